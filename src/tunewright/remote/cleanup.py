"""Cleanup of training jobs and warm pools that experiments have left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunewright.aws import AwsSession, Price, ServiceError, prices_at
from tunewright.backends.sagemaker.requests import job_prefix

_PAGE: Final = 100
_RUNNING: Final = frozenset({"InProgress", "Stopping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A training job that holds instances after the end of its experiment."""

    job: str
    experiment: str
    is_pool: bool
    """Whether the job has ended and its instances are kept warm."""
    instance_type: str
    instance_count: int
    price: Price | None
    """Of its instances; None if it is unknown."""


def find_leftovers(session: AwsSession, experiments: Sequence[str]) -> list[Leftover]:
    """Find running jobs and warm pools of experiments: of trials, workers and tuning jobs.

    Parameters
    ----------
    session
        Of the account.
    experiments
        Their names.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    return [
        _leftover(session, experiment, summary)
        for experiment in experiments
        for summary in _summaries(session, f"{job_prefix(experiment)}-")
        if summary["TrainingJobStatus"] in _RUNNING or _has_pool(summary)
    ]


def end_leftovers(session: AwsSession, leftovers: Sequence[Leftover]) -> tuple[int, int]:
    """Stop jobs and release warm pools.

    A job that is stopped may still become a pool, which ends when its keep-alive period does, or by the next call.

    Returns
    -------
    (int, int)
        Jobs stopped and pools released.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    for leftover in leftovers:
        _call(
            session,
            "UpdateTrainingJob",
            TrainingJobName=leftover.job,
            ResourceConfig={"KeepAlivePeriodInSeconds": 0},
        )
        if not leftover.is_pool:
            _call(session, "StopTrainingJob", TrainingJobName=leftover.job)
    n_pools = sum(leftover.is_pool for leftover in leftovers)
    return len(leftovers) - n_pools, n_pools


def clear_experiments(session: AwsSession, experiments: Sequence[str]) -> tuple[int, int]:
    """Find and end the leftovers of experiments; return the number of jobs stopped and of pools released.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    return end_leftovers(session, find_leftovers(session, experiments))


def _call(session: AwsSession, operation: str, **parameters: Any) -> None:
    """Send a request; errors about jobs and pools that have ended already are ignored."""
    try:
        session.call(operation, **parameters)
    except ServiceError as error:
        if error.is_transient or error.is_denied:
            raise


def _summaries(session: AwsSession, prefix: str) -> Iterator[Mapping[str, Any]]:
    request: dict[str, Any] = {"NameContains": prefix, "MaxResults": _PAGE}
    while True:
        answer = session.call("ListTrainingJobs", **request)
        for summary in answer["TrainingJobSummaries"]:
            if summary["TrainingJobName"].startswith(prefix):
                yield summary
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def _has_pool(summary: Mapping[str, Any]) -> bool:
    return summary.get("WarmPoolStatus", {}).get("Status") == "Available"


def _leftover(session: AwsSession, experiment: str, summary: Mapping[str, Any]) -> Leftover:
    name = str(summary["TrainingJobName"])
    resources = session.call("DescribeTrainingJob", TrainingJobName=name)["ResourceConfig"]
    instance_type, count = (
        str(resources.get("InstanceType", "several")),
        int(resources.get("InstanceCount", 1)),
    )
    price = prices_at(session.endpoint).get(instance_type)
    return Leftover(
        job=name,
        experiment=experiment,
        is_pool=summary["TrainingJobStatus"] not in _RUNNING,
        instance_type=instance_type,
        instance_count=count,
        price=None if price is None else price.times(count),
    )
