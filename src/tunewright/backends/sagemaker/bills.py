"""What a job is paid for, from its record: the service's own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_WARM_SECONDS: Final = 60.0
"""Service seconds of waiting within which no instance can have been started: on warm ones it is about 12, else 100."""
_WAITING: Final = frozenset({"Starting", "Pending"})
_STARTUP: Final = frozenset({"Downloading", "DownloadingTrainingImage"})
_UPLOAD: Final = frozenset({"Uploading"})


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
    startup = min(billed, _span(job, _STARTUP) * speed * share)
    return Bill(
        seconds=billed,
        instance_type=str(resources["InstanceType"]),
        instance_count=int(resources["InstanceCount"]),
        startup=_startup(job),
        startup_seconds=startup,
        upload_seconds=min(billed - startup, _span(job, _UPLOAD) * speed * share),
        saved=max(0.0, whole - billed) if "TrainingTimeInSeconds" in job else 0.0,
        interruptions=[step["Status"] for step in _transitions(job)].count("Interrupted"),
        is_warm=_is_warm(job, speed),
    )


def _is_warm(job: Mapping[str, Any], speed: float) -> bool:
    """Whether no instance was started for it: then it could begin at once."""
    is_told = any(step["Status"] == "Starting" and step.get("EndTime") for step in _transitions(job))
    return is_told and _span(job, _WAITING) * speed < _WARM_SECONDS


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
