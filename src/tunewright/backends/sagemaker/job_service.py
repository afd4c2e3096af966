"""The training jobs of one experiment: requests to SageMaker and CloudWatch Logs, and the records of their answers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.backends.sagemaker.refusals import TYPE_REMEDY, remedy_of_request, shortened
from tunewright.backends.sagemaker.requests import (
    HASH_VARIABLE,
    JobName,
    JobRequest,
    job_name,
    parse_job_name,
)
from tunewright.exceptions import BackendError
from tunewright.runner.log_lines import without_messages
from tunewright.runner.training_job import LOST_S3

_LONGEST_WARM_WAIT: Final = 60.0
"""Service seconds of waiting within which no instance can have been started: on warm ones it is about 12, else 100."""
_WAITING_STATUSES: Final = frozenset({"Starting", "Pending"})
_STARTUP_STATUSES: Final = frozenset({"Downloading", "DownloadingTrainingImage"})
_UPLOAD_STATUSES: Final = frozenset({"Uploading"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a job that is over is paid for."""

    seconds: float
    instance_type: str
    instance_count: int
    startup: float | None = None
    """Real seconds from the job's creation to its training."""
    startup_seconds: float = 0.0
    """Of the billed seconds those before the training: data and image are downloaded."""
    upload_seconds: float = 0.0
    """Of the billed seconds those after the training."""
    saved: float = 0.0
    """Seconds of training that were not billed, because the instances were spot ones."""
    interruptions: int = 0
    """How often they were taken away."""
    is_warm: bool = False
    """Whether it began on instances that were there already, whoever had left them."""

    @property
    def training_seconds(self) -> float:
        """The rest of the billed seconds."""
        return self.seconds - self.startup_seconds - self.upload_seconds


def bill_of(job: Mapping[str, Any], *, speed: float) -> Bill:
    """The bill of a job.

    Parameters
    ----------
    job
        A TrainingJob of Search, or an answer of DescribeTrainingJob, of a job that was billed.
    speed
        Service seconds per second: the record's times are real ones.
    """
    resources: Mapping[str, Any] = job["ResourceConfig"]
    billed = float(job["BillableTimeInSeconds"])
    whole = float(job.get("TrainingTimeInSeconds") or billed)
    share = billed / whole if whole else 1.0
    startup = min(billed, _span(job, _STARTUP_STATUSES) * speed * share)
    return Bill(
        seconds=billed,
        instance_type=str(resources["InstanceType"]),
        instance_count=int(resources["InstanceCount"]),
        startup=_startup(job),
        startup_seconds=startup,
        upload_seconds=min(billed - startup, _span(job, _UPLOAD_STATUSES) * speed * share),
        saved=max(0.0, whole - billed) if "TrainingTimeInSeconds" in job else 0.0,
        interruptions=[step["Status"] for step in _transitions(job)].count("Interrupted"),
        is_warm=_is_warm(job, speed),
    )


def _is_warm(job: Mapping[str, Any], speed: float) -> bool:
    """Whether no instance was started for it: then it could begin at once."""
    is_told = any(step["Status"] == "Starting" and step.get("EndTime") for step in _transitions(job))
    return is_told and _span(job, _WAITING_STATUSES) * speed < _LONGEST_WARM_WAIT


def _startup(job: Mapping[str, Any]) -> float | None:
    begun = next((step["StartTime"] for step in _transitions(job) if step["Status"] == "Training"), None)
    return None if begun is None else (begun - job["CreationTime"]).total_seconds()


def _span(job: Mapping[str, Any], statuses: frozenset[str]) -> float:
    """Real seconds that the job spent in these statuses."""
    return sum(
        (step["EndTime"] - step["StartTime"]).total_seconds()
        for step in _transitions(job)
        if step["Status"] in statuses and step.get("EndTime")
    )


def _transitions(job: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return job.get("SecondaryStatusTransitions") or ()


_FAR: Final = 4e9
"""Seconds since 1970 of a time to come, of which there are no lines."""
_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_NO_GROUP: Final = "ResourceNotFoundException"
"""No job of this account and region has ever printed anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One line of a log."""

    job: str
    """Name of the job that printed it."""
    time: float
    """Seconds since 1970 at which it was printed, by the machine's clock, but not after it reached the log."""
    message: str


@final
class JobLogs:
    """Reads the log group of training jobs.

    Parameters
    ----------
    session
        An open session.
    """

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def check(self) -> None:
        """Make sure that the log may be read.

        Raises
        ------
        ServiceError
            It may not, or the service does not answer.
        """
        for _ in self.events("tunewright-asks", since=_FAR):
            return

    def events(self, prefix: str, *, since: float = 0.0, term: str = "") -> Iterator[LogEvent]:
        """What jobs printed, page by page; a page may be empty and have successors.

        Parameters
        ----------
        prefix
            Beginning of the jobs' names.
        since
            Seconds since 1970 of the earliest line.
        term
            What a line must hold; empty: anything.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        request: dict[str, Any] = {"logGroupName": _GROUP, "logStreamNamePrefix": prefix}
        if since > 0:
            request["startTime"] = int(since * 1000)
        if term:
            request["filterPattern"] = f'"{term}"'
        while True:
            try:
                answer = self._session.call("FilterLogEvents", **request)
            except ServiceError as error:
                if error.code == _NO_GROUP:
                    return
                raise
            yield from map(_log_event, answer.get("events", []))
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]


def _log_event(event: Mapping[str, Any]) -> LogEvent:
    printed = event.get("timestamp", 0)
    return LogEvent(
        job=str(event["logStreamName"]).partition("/")[0],
        time=min(printed, event.get("ingestionTime", printed)) / 1000,
        message=str(event["message"]),
    )


_PAGE: Final = 100
_CREATION_SLACK: Final = 60.0
_TERMINAL: Final = frozenset({"Completed", "Failed", "Stopped"})
_ZERO_QUOTA: Final = re.compile(r"is 0 Instances")
_WRONG_REQUEST: Final = frozenset({"ValidationException", "ResourceNotFound"})
_CAPACITY: Final = "CapacityError"
_SERVICE_FAILURES: Final = (_CAPACITY, "InternalServerError")
_LOST: Final = re.compile(rf"AlgorithmError: The \w+ {re.escape(LOST_S3)}:")
"""How a job fails whose runner could do nothing more without S3."""


class PoolStatus(StrEnum):
    """Where a job's warm pool stands."""

    NONE = ""
    IN_USE = "InUse"
    AVAILABLE = "Available"
    REUSED = "Reused"
    TERMINATED = "Terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One line of ListTrainingJobs. Times are seconds since 1970."""

    status: str
    secondary: str = ""
    created: float
    ended: float | None = None
    pool: PoolStatus = PoolStatus.NONE
    idle_seconds: int = 0
    """Billed seconds that the pool stood idle."""
    reused_by: str = ""

    @property
    def is_terminal(self) -> bool:
        """Whether the job is over."""
        return self.status in _TERMINAL


class CreateOutcome(StrEnum):
    """What came of a CreateTrainingJob."""

    RUNNING = "running"
    """The job exists, made now or before by a request whose answer was lost."""
    LATER = "later"
    """The service has no room or no time: send it again later."""
    FULL = "full"
    """The account's limit for the instance type is reached."""
    UNKNOWN = "unknown"
    """No answer: the job may exist. Send it again later."""
    REFUSED = "refused"
    """This request will never be taken."""
    NEVER = "never"
    """Neither it nor any other with the same instance type."""


@final
class JobService:
    """The training jobs of one experiment.

    Parameters
    ----------
    session
        An open session.
    prefix
        What the names of the experiment's jobs begin with, without the last hyphen.
    """

    def __init__(self, session: AwsSession, prefix: str) -> None:
        self.prefix: Final = prefix
        self._session = session
        self._logs = JobLogs(session)

    def name(self, run: JobName) -> str:
        """The name of a run's job."""
        return job_name(self.prefix, run)

    @property
    def speed(self) -> float:
        """Service seconds per second."""
        return self._session.endpoint.speed

    def create_delay(self) -> float:
        """Seconds until the rate allows another CreateTrainingJob."""
        return self._session.bucket_of("CreateTrainingJob").delay()

    def create(self, request: JobRequest) -> tuple[CreateOutcome, str]:
        """Send a CreateTrainingJob, or adopt the job if it exists.

        Returns
        -------
        (CreateOutcome, str)
            The text says why not, for people.

        Raises
        ------
        BackendError
            No job of this account can be created, whatever the trial.
        """
        try:
            self._session.call("CreateTrainingJob", **request.fields)
        except ServiceError as error:
            return self._outcome(request, error)
        return CreateOutcome.RUNNING, ""

    def list_jobs(self, *, wanted: Collection[JobName] = (), since: float = 0.0) -> dict[JobName, JobStatus]:
        """Jobs of the experiment, newest first, 100 a request.

        Parameters
        ----------
        wanted
            Stop when all of these were found, or after as many pages as so many jobs would fill and one more, however
            many others were created since: :meth:`look_at` finds the rest. Empty: list all.
        since
            Stop at jobs that were created a while before that second.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        found: dict[JobName, JobStatus] = {}
        missing = set(wanted)
        most = len(wanted) // _PAGE + 2
        for n_pages, summaries in enumerate(self._pages(), 1):
            for summary in summaries:
                run = parse_job_name(self.prefix, summary["TrainingJobName"])
                if run is not None:
                    found[run] = _job_status(summary)
                    missing.discard(run)
            oldest = min((status.created for status in found.values()), default=since)
            if wanted and (not missing or oldest < since - _CREATION_SLACK or n_pages >= most):
                break
        return found

    def look_at(self, run: JobName) -> JobStatus:
        """The same of one job, by a DescribeTrainingJob.

        Raises
        ------
        ServiceError
            There is no such job, or the service does not answer.
        """
        return _job_status(self._session.call("DescribeTrainingJob", TrainingJobName=self.name(run)))

    def stop(self, run: JobName) -> None:
        """Send a StopTrainingJob; a job that is over already is none of its business."""
        try:
            self._session.call("StopTrainingJob", TrainingJobName=self.name(run))
        except ServiceError as error:
            if error.code != "ValidationException":
                raise

    def failure_reason(self, run: JobName) -> str:
        """The service's own words about a failed job."""
        answer = self._session.call("DescribeTrainingJob", TrainingJobName=self.name(run))
        return str(answer.get("FailureReason", ""))

    def end_pool(self, run: JobName) -> None:
        """Give back the instances that a job's pool keeps; a pool that is gone is fine."""
        try:
            self._session.call(
                "UpdateTrainingJob",
                TrainingJobName=self.name(run),
                ResourceConfig={"KeepAlivePeriodInSeconds": 0},
            )
        except ServiceError as error:
            if error.is_transient:
                raise

    def bills(self) -> dict[JobName, Bill]:
        """What was billed for the experiment's jobs that are over and in the search index, 100 a request."""
        bills: dict[JobName, Bill] = {}
        name_filter = {"Name": "TrainingJobName", "Operator": "Contains", "Value": f"{self.prefix}-"}
        request: dict[str, Any] = {
            "Resource": "TrainingJob",
            "SearchExpression": {"Filters": [name_filter]},
            "MaxResults": _PAGE,
        }
        while True:
            answer = self._session.call("Search", **request)
            for result in answer.get("Results", []):
                job: Mapping[str, Any] = result["TrainingJob"]
                run = parse_job_name(self.prefix, job["TrainingJobName"])
                if run is not None and "BillableTimeInSeconds" in job:
                    bills[run] = bill_of(job, speed=self.speed)
            if not answer.get("NextToken"):
                return bills
            request["NextToken"] = answer["NextToken"]

    def logs(self, trial_id: int) -> str:
        """What all jobs of a trial printed, oldest first; empty where there is nothing."""
        events = self._logs.events(f"{self.prefix}-{trial_id}-")
        lines = [
            without_messages(event.message) for event in events if parse_job_name(self.prefix, event.job)
        ]
        return "".join(f"{line}\n" for line in lines if line)

    def _pages(self) -> Iterator[list[Mapping[str, Any]]]:
        request: dict[str, Any] = {
            "NameContains": f"{self.prefix}-",
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": _PAGE,
        }
        while True:
            answer = self._session.call("ListTrainingJobs", **request)
            yield answer["TrainingJobSummaries"]
            if not answer.get("NextToken"):
                return
            request["NextToken"] = answer["NextToken"]

    def _outcome(self, request: JobRequest, error: ServiceError) -> tuple[CreateOutcome, str]:
        if error.code == "ResourceInUse":
            return self._adopt(request)
        if error.code == "ResourceLimitExceeded":
            if _ZERO_QUOTA.search(error.text):
                return CreateOutcome.NEVER, f"The account may not use this instance type: {error.text}"
            return CreateOutcome.FULL, "waiting for an instance: the account's limit is reached"
        if error.is_throttling:
            return CreateOutcome.LATER, "waiting: the service takes no more requests at present"
        if error.is_lost:
            return CreateOutcome.UNKNOWN, f"CreateTrainingJob got no answer ({error.text}); sent again"
        if error.is_denied or error.code == "ParamValidation":
            remedy = error.remedy or "correct it"
            raise BackendError(f"CreateTrainingJob is refused ({error}): {remedy}, then resume") from error
        return _refused(error)

    def _adopt(self, request: JobRequest) -> tuple[CreateOutcome, str]:
        name = str(request.fields["TrainingJobName"])
        try:
            job = self._session.call("DescribeTrainingJob", TrainingJobName=name)
        except ServiceError as error:
            return CreateOutcome.UNKNOWN, f"The job {name} exists but cannot be looked at ({error})"
        if job.get("Environment", {}).get(HASH_VARIABLE) == request.hash:
            return CreateOutcome.RUNNING, ""
        raise BackendError(
            f"There is a job {name} of another configuration: somebody else used the experiment's name. Give this one "
            "another with --experiment_tag"
        )


def _refused(error: ServiceError) -> tuple[CreateOutcome, str]:
    text = f"SageMaker refused the job: {error.code}: {shortened(error.text)}"
    remedy = remedy_of_request(error.text) if error.code in _WRONG_REQUEST else ""
    if not remedy:
        return CreateOutcome.REFUSED, text
    if remedy != TYPE_REMEDY:
        raise BackendError(f"{text}: {remedy}; then resume") from error
    return CreateOutcome.NEVER, f"{text}: {remedy}"


def is_capacity_failure(reason: str) -> bool:
    """Whether a FailureReason says that there were no instances of the type."""
    return reason.startswith(_CAPACITY)


def is_service_failure(reason: str) -> bool:
    """Whether a FailureReason is the service's fault, so that the run may be tried again."""
    return reason.startswith(_SERVICE_FAILURES) or _LOST.match(reason) is not None


def _job_status(summary: Mapping[str, Any]) -> JobStatus:
    pool: Mapping[str, Any] = summary.get("WarmPoolStatus") or {}
    ended: datetime | None = summary.get("TrainingEndTime")
    known = {status.value for status in PoolStatus}
    return JobStatus(
        status=str(summary["TrainingJobStatus"]),
        secondary=str(summary.get("SecondaryStatus", "")),
        created=summary["CreationTime"].timestamp(),
        ended=ended.timestamp() if ended else None,
        pool=PoolStatus(pool["Status"]) if pool.get("Status") in known else PoolStatus.NONE,
        idle_seconds=int(pool.get("ResourceRetainedBillableTimeInSeconds") or 0),
        reused_by=str(pool.get("ReusedByJob") or ""),
    )
