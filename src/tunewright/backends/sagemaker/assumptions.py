"""Checks of the backend's assumptions about SageMaker, with short jobs of a real account.

Each check makes a :class:`Finding`: what was assumed, what was seen, and whether it holds. Durations are in service
seconds. Jobs are tiny, end by themselves, and their warm pool is released at the end whatever happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.aws import AwsSession, ServiceError
from tunewright.aws.boto import service_errors
from tunewright.exceptions import BackendError

PATIENCE: Final = 1800.0
"""Service seconds until a job that does not get anywhere is given up."""
STOP_SECONDS: Final = 60.0
"""A slower stop means that SIGTERM was ignored (SageMaker sends SIGKILL after 120 s)."""
KEEP_ALIVE: Final = 300
LONG_KEEP_ALIVE: Final = 3601
"""More than every account has."""
BURST: Final = 40
"""Requests in a row that must meet the limit of their rate."""
_POLL: Final = 5.0
_LISTENING: Final = (
    "import signal,sys,time;signal.signal(15,lambda *_:sys.exit(0));print('ready',flush=True);time.sleep({})"
)
_OVER: Final = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One assumption and the observation."""

    assumption: str
    seen: str
    holds: bool | None
    """None: could not be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlace:
    """Common fields of the jobs of a check."""

    prefix: str
    """Beginning of their names; must be new."""
    role_arn: str
    image: str
    instance_type: str
    bucket: str


@final
class AssumptionCheck:
    """Runs the checks one after the other.

    Parameters
    ----------
    session
        Of the account to check.
    place
        Names, role, image, instance type and bucket of the jobs.
    tell
        Called with a line of text before each step that takes time.
    """

    def __init__(self, session: AwsSession, place: JobPlace, tell: Callable[[str], None]) -> None:
        self._session = session
        self._place = place
        self._tell = tell
        self._created: list[str] = []

    def run(self) -> Iterator[Finding]:
        """All findings, as they come; jobs and warm pools are ended when the iterator is exhausted or closed.

        Raises
        ------
        BackendError
            The service refuses even the first job.
        """
        try:
            yield from self._starts_and_pool()
            yield from self._stop()
            yield self._taken_name()
            yield self._long_keep_alive()
            yield self._spot_with_pool()
            yield self._throttling()
            yield from self._conditional_writes()
        finally:
            self._clear()

    # ---- the checks

    def _starts_and_pool(self) -> Iterator[Finding]:
        self._tell("a first job, from cold ...")
        self._create("cold", seconds=1)
        cold = self._until("cold", _is_over)
        yield Finding(
            assumption="a job runs python3 of its image as its own entry point",
            seen=f"{cold['TrainingJobStatus']} {cold.get('FailureReason', '')}".strip(),
            holds=cold["TrainingJobStatus"] == "Completed",
        )
        cold = self._until("cold", _has_settled_pool)
        pool = cold.get("WarmPoolStatus", {}).get("Status", "none")
        yield Finding(
            assumption="its instance is kept warm (the quota of warm pools is not 0)",
            seen=f"pool {pool}",
            holds=pool == "Available",
        )

    def _stop(self) -> Iterator[Finding]:
        self._tell("a second job on the same instance, which is stopped ...")
        self._create("warm", seconds=3600)
        warm = self._until("warm", lambda job: job["SecondaryStatus"] == "Training" or _is_over(job))
        loading = self._seconds_of(warm, "Downloading")
        former = self._describe("cold").get("WarmPoolStatus", {})
        times = [self._seconds_to_train(name) for name in ("cold", "warm")]
        yield Finding(
            assumption="a job with the same resources takes over the warm pool and begins sooner",
            seen=f"pool {former.get('Status', 'none')}; {times[0]:.0f} s cold, {times[1]:.0f} s then, of which"
            f" {loading:.0f} s of Downloading without an input channel",
            holds=former.get("ReusedByJob") == self._name("warm") and times[1] < times[0],
        )
        time.sleep(self._session.endpoint.seconds(_POLL, at_least=1.0))  # its handler stands
        self._session.call("StopTrainingJob", TrainingJobName=self._name("warm"))
        stopped = self._until("warm", _is_over)
        took = self._seconds_of(stopped, "Stopping")
        yield Finding(
            assumption="an entry point of its own hears the stop at once (it costs no 120 s)",
            seen=f"{stopped['TrainingJobStatus']} after {took:.0f} s of stopping",
            holds=stopped["TrainingJobStatus"] == "Stopped" and took < STOP_SECONDS,
        )

    def _taken_name(self) -> Finding:
        code = self._refusal("cold", seconds=1)
        return Finding(
            assumption="a name that was used is refused with ResourceInUse (lost answers are settled by it)",
            seen=code,
            holds=code == "ResourceInUse",
        )

    def _long_keep_alive(self) -> Finding:
        code = self._refusal("long", seconds=1, resources={"KeepAlivePeriodInSeconds": LONG_KEEP_ALIVE})
        return Finding(
            assumption=f"keep-alive above {LONG_KEEP_ALIVE - 1} s needs a quota of its own",
            seen=code,
            holds=code != "accepted",
        )

    def _spot_with_pool(self) -> Finding:
        wait = {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
        code = self._refusal(
            "spot", seconds=1, changes={"EnableManagedSpotTraining": True, "StoppingCondition": wait}
        )
        return Finding(
            assumption="spot instances cannot be kept warm: the service refuses",
            seen=code,
            holds=code != "accepted",
        )

    def _throttling(self) -> Finding:
        self._tell(f"{BURST} quick requests ...")
        client = self._session.client("sagemaker")
        for n in range(1, BURST + 1):
            try:
                with service_errors():
                    client.list_training_jobs(MaxResults=1)
            except ServiceError as error:
                return Finding(
                    assumption="too many requests are answered by a code that is known as throttling",
                    seen=f"{error.code or error.text} at request {n}",
                    holds=error.is_throttling,
                )
        return Finding(
            assumption="too many requests are answered by a code that is known as throttling",
            seen=f"{BURST} requests in a row were answered (boto3 repeats throttled ones by itself)",
            holds=None,
        )

    def _conditional_writes(self) -> Iterator[Finding]:
        s3, bucket, key = self._session.client("s3"), self._place.bucket, f"{self._place.prefix}/lease"
        with service_errors():
            first = s3.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")
        again = _code(lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*"))
        yield Finding(
            assumption="S3 writes a new object only once (If-None-Match)",
            seen=again,
            holds=again == "PreconditionFailed",
        )
        with service_errors():
            s3.put_object(Bucket=bucket, Key=key, Body=b"3", IfMatch=first["ETag"])
        stale = _code(lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"4", IfMatch=first["ETag"]))
        yield Finding(
            assumption="S3 replaces an object only if it is as it was read (If-Match)",
            seen=stale,
            holds=stale == "PreconditionFailed",
        )
        with service_errors():
            s3.delete_object(Bucket=bucket, Key=key)

    # ---- jobs

    def _name(self, what: str) -> str:
        return f"{self._place.prefix}-{what}"

    def _create(
        self,
        what: str,
        *,
        seconds: float,
        resources: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        place = self._place
        request: dict[str, Any] = {
            "TrainingJobName": self._name(what),
            "RoleArn": place.role_arn,
            "AlgorithmSpecification": {
                "TrainingImage": place.image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3"],
                "ContainerArguments": ["-c", _LISTENING.format(seconds)],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{place.bucket}/{place.prefix}/output"},
            "ResourceConfig": {
                "InstanceType": place.instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
                "KeepAlivePeriodInSeconds": KEEP_ALIVE,
                **(resources or {}),
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **(changes or {}),
        }
        self._session.call("CreateTrainingJob", **request)
        self._created.append(what)

    def _refusal(self, what: str, **changes: Any) -> str:
        """The code with which a job is refused, or ``accepted``; that job is ended at once."""
        return _code(lambda: self._create(what, **changes))

    def _describe(self, what: str) -> Mapping[str, Any]:
        return self._session.call("DescribeTrainingJob", TrainingJobName=self._name(what))

    def _until(self, what: str, reached: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Look again and again until a job is as wanted."""
        endpoint = self._session.endpoint
        deadline = time.monotonic() + endpoint.seconds(PATIENCE, at_least=60.0)
        while not reached(job := self._describe(what)):
            if time.monotonic() > deadline:
                raise BackendError(
                    f"The job {self._name(what)} stays {job['SecondaryStatus']}: look at it in the console"
                )
            time.sleep(endpoint.seconds(_POLL, at_least=0.1))
        return job

    def _seconds_to_train(self, what: str) -> float:
        job = self._describe(what)
        begun = [
            entry["StartTime"] for entry in job["SecondaryStatusTransitions"] if entry["Status"] == "Training"
        ]
        if not begun:
            return float("inf")
        return (begun[0] - job["CreationTime"]).total_seconds() * self._session.endpoint.speed

    def _seconds_of(self, job: Mapping[str, Any], status: str) -> float:
        spans = [
            (entry["EndTime"] - entry["StartTime"]).total_seconds()
            for entry in job["SecondaryStatusTransitions"]
            if entry["Status"] == status and "EndTime" in entry
        ]
        return sum(spans) * self._session.endpoint.speed

    def _clear(self) -> None:
        for what in self._created:
            name = self._name(what)
            try:
                if not _is_over(self._describe(what)):
                    self._session.call("StopTrainingJob", TrainingJobName=name)
                    self._until(what, _is_over)
                self._session.call(
                    "UpdateTrainingJob", TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0}
                )
            except ServiceError:
                continue  # it has no pool (any more)


def report(findings: Sequence[Finding], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The findings as JSON types, to keep or to send.

    Parameters
    ----------
    findings
        Of :meth:`AssumptionCheck.run`.
    facts
        Where and when, without anything that names the account.
    """
    return {
        **facts,
        "findings": [
            {"assumption": one.assumption, "seen": one.seen, "holds": one.holds} for one in findings
        ],
    }


def _code(attempt: Callable[[], object]) -> str:
    try:
        with service_errors():
            attempt()
    except ServiceError as error:
        return error.code or error.text
    return "accepted"


def _is_over(job: Mapping[str, Any]) -> bool:
    return job["TrainingJobStatus"] in _OVER


def _has_settled_pool(job: Mapping[str, Any]) -> bool:
    return job.get("WarmPoolStatus", {}).get("Status") != "InUse"
