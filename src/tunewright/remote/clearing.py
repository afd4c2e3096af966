"""Clearing: training jobs and warm pools that experiments have left behind are found and ended from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunewright.aws import AwsSession, ServiceError, price_per_hour
from tunewright.backends.sagemaker.requests import job_prefix

_PAGE: Final = 100
_RUNNING: Final = frozenset({"InProgress", "Stopping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Instances that a job of an experiment still holds."""

    job: str
    experiment: str
    is_pool: bool
    """Whether the job is over and its instances are kept warm."""
    instance_type: str
    instance_count: int

    @property
    def dollars_per_hour(self) -> float | None:
        """What it costs to leave it alone; None where the price is not known."""
        price = price_per_hour(self.instance_type)
        return None if price is None else price * self.instance_count


def find_leftovers(session: AwsSession, experiments: Sequence[str]) -> list[Leftover]:
    """Jobs that run and pools that are kept for experiments: those of runs, of workers and tuning jobs alike.

    Parameters
    ----------
    session
        Of the account where they ran.
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

    A job that is being stopped may still become a pool: that one ends by itself when its time is over, or with the
    next call.

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
    """Find and end what experiments have left, without asking; returns jobs stopped and pools released.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    return end_leftovers(session, find_leftovers(session, experiments))


def _call(session: AwsSession, operation: str, **parameters: Any) -> None:
    """Send a request; that a job or pool is over already is fine."""
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
    return Leftover(
        job=name,
        experiment=experiment,
        is_pool=summary["TrainingJobStatus"] not in _RUNNING,
        instance_type=str(resources.get("InstanceType", "several")),
        instance_count=int(resources.get("InstanceCount", 1)),
    )
