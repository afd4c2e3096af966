"""The training jobs of one experiment: requests to SageMaker and CloudWatch Logs, and the records of their answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from typing_extensions import override

from tunewright.aws import AwsSession, ServiceError
from tunewright.aws.account import FULL_ACCESS_LIMIT
from tunewright.backends.engine.job_service import (
    CreateOutcome,
    Failure,
    FailureCause,
    JobService,
    JobState,
    JobStatus,
    OrderT,
    PoolStatus,
    Submission,
    name_taken,
)
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.requests import JobRequest, chooses_count, job_name, parse_job_name
from tunewright.exceptions import BackendError
from tunewright.runner.contract import CODE_VARIABLE
from tunewright.runner.log_lines import without_messages
from tunewright.runner.training_job import CHANGED_CODE, LOST_S3, REFUSED_S3, UNREADABLE
from tunewright.trial import PhaseName

_PAGE: Final = 100
_CREATION_SLACK: Final = 60.0
"""Seconds by which a job may seem older than its request."""
_TERMINAL_STATES: Final = {
    "Completed": JobState.COMPLETED,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}
_LIMIT_STATES: Final = {
    "MaxRuntimeExceeded": JobState.TIMED_OUT,
    "MaxWaitTimeExceeded": JobState.WAIT_EXPIRED,
}
_STARTING_STATUSES: Final = frozenset({"Starting", "Pending", "Interrupted"})
"""Secondary statuses of jobs that wait for instances."""
_PHASES: Final = {
    "Starting": PhaseName.STARTING,
    "Pending": PhaseName.STARTING,
    "Downloading": PhaseName.STARTING,
    "DownloadingTrainingImage": PhaseName.STARTING,
    "Training": PhaseName.TRAINING,
    "Uploading": PhaseName.UPLOADING,
}
_LIMIT: Final = re.compile(r"(?:limit '(?P<name>[^']*)' )?\bis (?P<limit>\d+) Instance")
_DELTA: Final = re.compile(r"request delta of (\d+) Instance")
_WRONG_REQUEST: Final = frozenset({"ValidationException", "ResourceNotFound"})
_CAPACITY: Final = "CapacityError"
_INTERNAL_ERROR: Final = "InternalServerError"
_LOST_S3_REASON: Final = re.compile(rf"AlgorithmError: The \w+ {re.escape(LOST_S3)}:")
"""FailureReason of a job that lost access to S3."""
_LONGEST_WARM_WAIT: Final = 60.0
"""Service seconds of waiting within which no instance can have been started: on warm ones it is about 12, else 100."""
_WAITING_STATUSES: Final = frozenset({"Starting", "Pending"})
_STARTUP_STATUSES: Final = frozenset({"Downloading", "DownloadingTrainingImage"})
_UPLOAD_STATUSES: Final = frozenset({"Uploading"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Bill of an ended job."""

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
_NAME_TAKEN: Final = "ResourceInUse"
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
        """Output of jobs, page by page; a page may be empty and have successors.

        Parameters
        ----------
        prefix
            Beginning of the jobs' names.
        since
            Seconds since 1970 of the earliest line.
        term
            Text that a line must contain; empty: any.

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


@final
class SageMakerJobs(JobService[OrderT]):
    """The training jobs of one experiment.

    Parameters
    ----------
    site
        Account, bucket and code of the experiment.
    prefix
        Beginning of the jobs' names, without the last hyphen.
    build
        Builds the request of an order.
    """

    def __init__(self, site: ExperimentSite, prefix: str, build: Callable[[OrderT], JobRequest]) -> None:
        self.prefix: Final = prefix
        self._site = site
        self._session = site.session
        self._build = build
        self._is_deployed = False
        self._may_have_jobs = False

    @property
    def speed(self) -> float:
        """Service seconds per second."""
        return self._session.endpoint.speed

    @property
    @override
    def max_instances(self) -> int | None:
        return self._site.max_instances

    @override
    def prepare(self, n_instances: int) -> None:
        self._site.deploy(n_instances)
        self._is_deployed = True

    @override
    def full_name(self, key: str) -> str:
        return job_name(self.prefix, key)

    @override
    def create_delay(self) -> float:
        return self._session.bucket_of("CreateTrainingJob").delay()

    @override
    def list_delay(self) -> float:
        return self._session.bucket_of("ListTrainingJobs").delay()

    @override
    def create(self, order: OrderT) -> Submission:
        """Send a CreateTrainingJob; a job of that name is adopted if this very request created it.

        A configuration that is too long for the request is stored first.
        """
        request = self._build(order)
        if request.refusal:
            return Submission(CreateOutcome.REFUSED, request.refusal)
        if request.config_key:
            self._site.objects.put(request.config_key, request.config_body)
        try:
            self._session.call("CreateTrainingJob", **request.fields)
        except ServiceError as error:
            self._may_have_jobs = self._may_have_jobs or error.is_lost or error.code == _NAME_TAKEN
            return self._refused(order, request, error)
        self._may_have_jobs = True
        return Submission(CreateOutcome.CREATED)

    @override
    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        """Statuses by key, newest first, 100 a request.

        A listing of wanted jobs ends after as many pages as so many jobs would fill and one more, however many others were
        created since: :meth:`describe` finds the rest.
        """
        found: dict[str, JobStatus] = {}
        missing = set(wanted)
        most = len(wanted) // _PAGE + 2
        for n_pages, summaries in enumerate(self._pages(), 1):
            for summary in summaries:
                key = parse_job_name(self.prefix, summary["TrainingJobName"])
                if key is not None:
                    self._may_have_jobs = True
                    found[key] = _job_status(summary)
                    missing.discard(key)
            oldest = min((status.created for status in found.values()), default=since)
            if wanted and (not missing or oldest < since - _CREATION_SLACK or n_pages >= most):
                break
        return found

    @override
    def describe(self, key: str) -> JobStatus:
        return _job_status(self._describe(self.full_name(key)))

    @override
    def stop(self, key: str) -> None:
        try:
            self._session.call("StopTrainingJob", TrainingJobName=self.full_name(key))
        except ServiceError as error:
            if error.code != "ValidationException":
                raise

    @override
    def failure(self, key: str, status: JobStatus) -> Failure:
        """Explain a job's end by its status or its FailureReason."""
        settings = self._site.settings
        if status.state is JobState.WAIT_EXPIRED:
            return Failure(
                cause=FailureCause.SERVICE,
                reason=f"no end within max_wait={settings.max_wait} s of spot instances",
                hint=": no spot instances in time. Give max_wait more, choose another instance_type, or do without spot",
            )
        if status.state is JobState.TIMED_OUT:
            reason = f"The job took longer than max_run={settings.max_run} and was stopped"
            return Failure(cause=FailureCause.JOB, reason=reason)
        reason = str(self._describe(self.full_name(key)).get("FailureReason", ""))
        if reason.startswith(_CAPACITY):
            return Failure(cause=FailureCause.CAPACITY, reason=reason)
        if reason.startswith(_INTERNAL_ERROR) or _LOST_S3_REASON.match(reason):
            return Failure(cause=FailureCause.SERVICE, reason=reason)
        remedy = self._remedy_of_changed_code() if CHANGED_CODE in reason else remedy_of_job(reason)
        return Failure(cause=FailureCause.JOB, reason=reason, remedy=remedy)

    @override
    def has_present_code(self, key: str) -> bool:
        environment = self._describe(self.full_name(key)).get("Environment", {})
        return environment.get(CODE_VARIABLE) == self._site.deployment.code_sha256

    @override
    def revive(self) -> None:
        """Restart an embedded endpoint that died."""
        self._session.revive()

    @override
    def close(self) -> None:
        """Close the session; an experiment without a job leaves no files but its code."""
        if self._is_deployed and not self._may_have_jobs:
            with suppress(ServiceError):
                self._site.withdraw()
        self._session.close()

    def release_pool(self, key: str) -> None:
        """Release the instances that a job's warm pool keeps; a pool that is gone is left alone."""
        try:
            self._session.call(
                "UpdateTrainingJob",
                TrainingJobName=self.full_name(key),
                ResourceConfig={"KeepAlivePeriodInSeconds": 0},
            )
        except ServiceError as error:
            if error.is_transient:
                raise

    def bills(self) -> dict[str, Bill]:
        """Bills of the experiment's jobs that have ended and are in the search index, 100 a request."""
        bills: dict[str, Bill] = {}
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
                key = parse_job_name(self.prefix, job["TrainingJobName"])
                if key is not None and "BillableTimeInSeconds" in job:
                    bills[key] = bill_of(job, speed=self.speed)
            if not answer.get("NextToken"):
                return bills
            request["NextToken"] = answer["NextToken"]

    def _remedy_of_changed_code(self) -> str:
        deployment = self._site.deployment
        code = f"s3://{deployment.bucket}/{deployment.code_prefix.rstrip('/')}"
        return f"find out who writes to the bucket, and delete the objects that begin with {code}, which are sent again"

    def _describe(self, name: str) -> Mapping[str, Any]:
        return self._session.call("DescribeTrainingJob", TrainingJobName=name)

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

    def _refused(self, order: OrderT, request: JobRequest, error: ServiceError) -> Submission:
        if error.code == _NAME_TAKEN:
            return self._adopt(request, is_attached=order.is_attached)
        if error.code == "ResourceLimitExceeded":
            return over_limit(error.text, is_chosen=chooses_count(order.config))
        if error.is_throttling:
            return Submission(CreateOutcome.LATER, "waiting: the service takes no more requests at present")
        if error.is_lost:
            return Submission(
                CreateOutcome.UNKNOWN, f"CreateTrainingJob got no answer ({error.text}); sent again"
            )
        if error.is_denied or error.code == "ParamValidation":
            remedy = remedy_of_denial(error) or "correct it"
            raise BackendError(f"CreateTrainingJob is refused ({error}): {remedy}", then="resume") from error
        return _invalid(error)

    def _adopt(self, request: JobRequest, *, is_attached: bool) -> Submission:
        name = str(request.fields["TrainingJobName"])
        try:
            job = self._describe(name)
        except ServiceError as error:
            return Submission(
                CreateOutcome.UNKNOWN, f"The job {name} exists but cannot be described ({error})"
            )
        if request.created(job, by_any_session=is_attached):
            return Submission(CreateOutcome.CREATED)
        raise BackendError(name_taken(name))


def job_logs(session: AwsSession, prefix: str, trial_id: int) -> str:
    """Output of all jobs of a trial, oldest first; empty if there is none.

    Parameters
    ----------
    session
        An open session.
    prefix
        From :func:`~tunewright.backends.sagemaker.requests.job_prefix`.
    trial_id
        The trial.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    events = JobLogs(session).events(f"{prefix}-{trial_id}-")
    lines = [without_messages(event.message) for event in events if parse_job_name(prefix, event.job)]
    return "".join(f"{line}\n" for line in lines if line)


def over_limit(text: str, *, is_chosen: bool = False) -> Submission:
    """Answer to a ResourceLimitExceeded: final if the job alone is larger than the limit.

    Parameters
    ----------
    text
        The service's words, with the limit and, after "a request delta of", the job's instances.
    is_chosen
        Whether the configuration chooses the number of instances, so that other jobs may be smaller.
    """
    limit, delta = _LIMIT.search(text), _DELTA.search(text)
    if limit is None:
        return Submission(CreateOutcome.FULL, "waiting for an instance: the account's limit is reached")
    name, has = limit["name"] or "", int(limit["limit"])
    if has == 0:
        subject = "any instance" if "across all" in name else "this instance type"
        reason = (
            f"The account may not use {subject}: ask for a higher quota ('tunewright sagemaker quotas' prints the command), or give "
            f"another --instance_type ({text.rstrip('.')})"
        )
        return Submission(CreateOutcome.TYPE_REFUSED, reason)
    if delta is None or int(delta[1]) <= has:
        quoted = f" '{name}'" if name else ""
        reason = f"waiting for an instance: the account's limit{quoted} of {has} is reached"
        return Submission(CreateOutcome.FULL, reason)
    return Submission(
        CreateOutcome.TOO_LARGE if is_chosen else CreateOutcome.TYPE_REFUSED,
        f"A job of {delta[1]} instances is larger than the account's limit '{name}' of {has}, so that waiting does not "
        f"help; ask for fewer instances per job, or for an increase of the quota ({text})",
    )


def _invalid(error: ServiceError) -> Submission:
    text = f"SageMaker refused the job: {error.code}: {shortened(error.text)}"
    remedy = remedy_of_request(error.text) if error.code in _WRONG_REQUEST else ""
    if not remedy:
        return Submission(CreateOutcome.REFUSED, text)
    if remedy != TYPE_REMEDY:
        raise BackendError(f"{text}: {remedy}", then="resume") from error
    return Submission(CreateOutcome.TYPE_REFUSED, f"{text}: {remedy}")


def _job_status(summary: Mapping[str, Any]) -> JobStatus:
    pool: Mapping[str, Any] = summary.get("WarmPoolStatus") or {}
    ended: datetime | None = summary.get("TrainingEndTime")
    known = {status.value for status in PoolStatus}
    status, secondary = str(summary["TrainingJobStatus"]), str(summary.get("SecondaryStatus", ""))
    return JobStatus(
        state=_job_state(status, secondary),
        detail=secondary,
        phase=_PHASES.get(secondary),
        created=summary["CreationTime"].timestamp(),
        ended=ended.timestamp() if ended else None,
        pool=PoolStatus(pool["Status"]) if pool.get("Status") in known else PoolStatus.NONE,
        idle_seconds=int(pool.get("ResourceRetainedBillableTimeInSeconds") or 0),
        reused_by=str(pool.get("ReusedByJob") or ""),
    )


def _job_state(status: str, secondary: str) -> JobState:
    state = _TERMINAL_STATES.get(status)
    if state is None:
        return JobState.STARTING if secondary in _STARTING_STATUSES else JobState.RUNNING
    return state if state is JobState.COMPLETED else _LIMIT_STATES.get(secondary, state)


# --- remedies for refusals that concern every job of an experiment, by the service's wording
#
# SageMaker has one code, ValidationException, for nearly everything that is wrong with a request, and one prefix, ClientError,
# for nearly everything that fails before a job's script begins. The text tells the cause.

_Causes = Sequence[tuple[re.Pattern[str], str]]

_ROLE: Final = (
    "give with --role a role that exists, whose trust policy lets sagemaker.amazonaws.com assume it, and that you may pass "
    "on (iam:PassRole)"
)
TYPE_REMEDY: Final = "correct --instance_type: 'tunewright sagemaker quotas' shows what the account may use"
"""The remedy if another one of several listed types may do."""
_IMAGE: Final = (
    "correct --image_uri, or let the role pull it from the registry ('tunewright sagemaker policy --for trial' prints what a role "
    "needs); without --image_uri AWS's own image is taken"
)
_KEY: Final = "correct --kms_key, or let the role use the key"
_PLACE: Final = (
    "the role needs access to the bucket, which must be yours and in the region of the jobs: see --bucket, --bucket_owner "
    f"and --role ({FULL_ACCESS_LIMIT})"
)
_S3_RIGHTS: Final = (
    "the bucket must be yours (--bucket_owner), and the role of the jobs needs s3:ListBucket on it "
    "(without it S3 denies GetObject of an object that does not exist) "
    f"and s3:GetObject, PutObject and DeleteObject on its objects: see 'tunewright sagemaker policy' ({FULL_ACCESS_LIMIT})"
)
_CONDITIONS: Final = (
    ". Conditions of such policies can be on sagemaker:InstanceTypes (--instance_type), MaxRuntimeInSeconds (--max_run), "
    "KeepAlivePeriod (--keep_alive), VolumeKmsKey and OutputKmsKey (--kms_key), VpcSubnets and VpcSecurityGroupIds, "
    "NetworkIsolation, and aws:RequestTag (--tags)"
)
"""Condition keys of CreateTrainingJob that a setting can meet; source: Service Authorization Reference, Amazon SageMaker."""

_OF_REQUESTS: Final[_Causes] = (
    (re.compile(r"kms", re.IGNORECASE), _KEY),
    (re.compile(r"repository|pull permissions", re.IGNORECASE), _IMAGE),
    (
        re.compile(r"VpcConfig.*\bec2:"),
        "let the role of --role make network interfaces, by the actions that are named",
    ),
    (re.compile(r"assume.?role|\brole\b|roleArn", re.IGNORECASE), _ROLE),
    (re.compile(r"instance.?type", re.IGNORECASE), TYPE_REMEDY),
    (re.compile(r"KeepAlivePeriod", re.IGNORECASE), "leave --warm_pool out, or lower --keep_alive"),
    (re.compile(r"image|repository|registry", re.IGNORECASE), _IMAGE),
    (re.compile(r"subnet|security.?group|vpc", re.IGNORECASE), "correct --subnets and --security_group_ids"),
    (re.compile(r"\bS3\b|bucket", re.IGNORECASE), _PLACE),
)
_UNREADABLE: Final = (
    "begin again with another --secret, or allow the role of the jobs to read it ('tunewright sagemaker policy --for trial "
    "--secret NAME=SECRET' prints the permissions)"
)
_OF_JOBS: Final[_Causes] = (
    (re.compile(rf"^AlgorithmError: The \w+ {UNREADABLE}"), _UNREADABLE),
    (re.compile(rf"^AlgorithmError: The \w+ {re.escape(REFUSED_S3)}:"), _S3_RIGHTS),
    (re.compile(r"^ClientError: (?!Artifact).*(image|repository|registry|manifest)", re.IGNORECASE), _IMAGE),
    (re.compile(r"^ClientError: (?!Artifact).*(\bS3\b|bucket|download)", re.IGNORECASE), _PLACE),
    (
        re.compile(
            r"^ClientError: (?!Artifact).*(assum\w+ (the |your )?role|AssumeRole|\brole .?arn:)",
            re.IGNORECASE,
        ),
        _ROLE,
    ),
    (
        re.compile(r"^AlgorithmError: ?,? ?exit code: 127$", re.IGNORECASE),
        "the image has no python3: give one with Python 3.9 or newer as --image_uri",
    ),
)
_LONG_ENUM: Final = re.compile(r"(enum value set)[^;]*")
_OWN: Final = re.compile(r"hyperParameters|'environment|trainingJobName", re.IGNORECASE)
"""Fields that differ from run to run."""


def remedy_of_request(text: str) -> str:
    """Remedy for a ValidationException of CreateTrainingJob that every run would meet; empty if only this run does.

    Parameters
    ----------
    text
        The service's words.
    """
    return "" if _OWN.search(text) else _remedy(_OF_REQUESTS, text)


def remedy_of_denial(error: ServiceError) -> str:
    """Remedy for a refusal of CreateTrainingJob for want of credentials or permissions."""
    is_of_jobs = error.is_forbidden and "sagemaker:CreateTrainingJob" in error.text
    return error.remedy + (_CONDITIONS if is_of_jobs else "")


def remedy_of_job(reason: str) -> str:
    """Remedy for a FailureReason that every job would share, of a job that ended before its script began.

    Parameters
    ----------
    reason
        The service's words; empty if there are none.
    """
    return _remedy(_OF_JOBS, reason)


def shortened(text: str) -> str:
    """The service's words without the list of all values that it would take (225 instance types, say)."""
    return _LONG_ENUM.sub(r"\1", text)


def _remedy(causes: _Causes, text: str) -> str:
    return next((remedy for pattern, remedy in causes if pattern.search(text)), "")
