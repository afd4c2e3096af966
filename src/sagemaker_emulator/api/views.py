"""Training jobs in the form of the service's responses; times are epoch seconds, durations service seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.service.settings import SPOT_PRICE_SHARE

_HIDDEN_MEMBERS: Final = frozenset({"Tags", "TrainingJobName", "SessionChainingConfig"})
"""Members of a request that Describe does not return unchanged."""


def describe(job: Job, idle_seconds: float) -> dict[str, Any]:
    """Response of DescribeTrainingJob. ``idle_seconds`` is the billed idle time of the job's warm pool."""
    shown = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "ModelArtifacts": {"S3ModelArtifacts": job.model_uri or ""},
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "FailureReason": job.failure_reason,
        **{name: value for name, value in job.request.items() if name not in _HIDDEN_MEMBERS},
        "WarmPoolStatus": warm_pool(job, idle_seconds),
        "CreationTime": _time(job.created),
        "TrainingStartTime": _time(job.started),
        "TrainingEndTime": _time(job.ended) if job.started else None,
        "LastModifiedTime": _time(job.modified),
        "SecondaryStatusTransitions": [
            _present(
                {
                    "Status": entry.status,
                    "StartTime": _time(entry.start),
                    "EndTime": _time(entry.end),
                    "StatusMessage": entry.message,
                }
            )
            for entry in job.transitions
        ],
        "FinalMetricDataList": [
            {"MetricName": name, "Value": value, "Timestamp": _time(when)}
            for name, value, when in job.final_metrics
        ],
    }
    if job.started is not None:
        seconds = job.training_seconds
        shown["TrainingTimeInSeconds"] = round(seconds)
        shown["BillableTimeInSeconds"] = round(seconds * (SPOT_PRICE_SHARE if job.is_spot else 1.0))
    return _present(shown)


def summary(job: Job, idle_seconds: float) -> dict[str, Any]:
    """Entry of ListTrainingJobs."""
    return _present(
        {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": _time(job.created),
            "TrainingEndTime": _time(job.ended),
            "LastModifiedTime": _time(job.modified),
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "WarmPoolStatus": warm_pool(job, idle_seconds),
        }
    )


def record(job: Job, idle_seconds: float) -> dict[str, Any]:
    """``TrainingJob`` of a Search result: the description without the warm pool, with tags."""
    shown = describe(job, idle_seconds)
    shown.pop("WarmPoolStatus", None)
    return {**shown, "Tags": tags(job.tags)}


def warm_pool(job: Job, idle_seconds: float) -> dict[str, Any] | None:
    """WarmPoolStatus; None for a job without a warm pool."""
    if job.pool is None:
        return None
    retained = None if job.pool.retained_seconds is None else round(idle_seconds)
    return _present(
        {
            "Status": job.pool.status,
            "ResourceRetainedBillableTimeInSeconds": retained,
            "ReusedByJob": job.pool.reused_by,
        }
    )


def tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the service's form."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _time(when: float | None) -> float | None:
    return None if when is None else round(when, 3)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
