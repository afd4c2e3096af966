"""Training jobs as the answers of the service show them; times are epoch seconds, durations service seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.service.timings import SPOT_PRICE_SHARE

_NOT_SHOWN: Final = frozenset({"Tags", "TrainingJobName", "SessionChainingConfig"})
"""Members of a request that Describe does not give back as they were."""


def describe(job: Job, idle_seconds: float) -> dict[str, Any]:
    """The answer of DescribeTrainingJob. ``idle_seconds`` is what the job's warm pool has been billed for so far."""
    shown = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "ModelArtifacts": {"S3ModelArtifacts": job.model_uri or ""},
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "FailureReason": job.failure_reason,
        **{name: value for name, value in job.request.items() if name not in _NOT_SHOWN},
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
    """One entry of ListTrainingJobs."""
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
    """The ``TrainingJob`` of a Search result: the description without the warm pool, with the tags."""
    shown = describe(job, idle_seconds)
    shown.pop("WarmPoolStatus", None)
    return {**shown, "Tags": tags(job.tags)}


def warm_pool(job: Job, idle_seconds: float) -> dict[str, Any] | None:
    """WarmPoolStatus, or None for a job that keeps nothing warm."""
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
    """Tags as the service lists them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _time(when: float | None) -> float | None:
    return None if when is None else round(when, 3)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
