"""Cleanup of training jobs and warm pools that experiments have left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunewright.aws import AwsSession, ServiceError, price_per_hour
from tunewright.backends.sagemaker.requests import (
    EXPERIMENT_TAG,
    job_prefix,
    parse_job_name,
    tag_value,
    worker_prefix,
)
from tunewright.storage import safe_name

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

    @property
    def dollars_per_hour(self) -> float | None:
        """Price of its instances; None if it is unknown."""
        price = price_per_hour(self.instance_type)
        return None if price is None else price * self.instance_count


def find_leftovers(session: AwsSession, experiments: Sequence[str]) -> list[Leftover]:
    """Find running jobs and warm pools of experiments: of trials and of workers.

    A job belongs to an experiment if its whole name and its tag do.

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
        for summary in _summaries(session, job_prefix(experiment))
        if (summary["TrainingJobStatus"] in _RUNNING or _has_pool(summary))
        and _is_tagged(session, summary, experiment)
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


def clear_experiments(session: AwsSession, experiments: Sequence[str], tag: str) -> tuple[int, int]:
    """Find and end the leftovers of a launch's experiments; return the number of jobs stopped and of pools released.

    Parameters
    ----------
    session
        Of the account.
    experiments
        Their names in S3. Names of other tags are ignored: whoever may write to the bucket can put them there.
    tag
        Of the launch.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    own = [name for name in experiments if name.startswith(f"{safe_name(tag, 'experiment tag')}-")]
    return end_leftovers(session, find_leftovers(session, own))


def _call(session: AwsSession, operation: str, **parameters: Any) -> None:
    """Send a request; errors about jobs and pools that have ended already are ignored."""
    try:
        session.call(operation, **parameters)
    except ServiceError as error:
        if error.is_transient or error.is_denied:
            raise


def _summaries(session: AwsSession, prefix: str) -> Iterator[Mapping[str, Any]]:
    """Jobs whose whole names are those of an experiment's runs or workers."""
    request: dict[str, Any] = {"NameContains": f"{prefix}-", "MaxResults": _PAGE}
    while True:
        answer = session.call("ListTrainingJobs", **request)
        for summary in answer["TrainingJobSummaries"]:
            name = summary["TrainingJobName"]
            if parse_job_name(prefix, name) or parse_job_name(worker_prefix(prefix), name):
                yield summary
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def _is_tagged(session: AwsSession, summary: Mapping[str, Any], experiment: str) -> bool:
    """Whether a job has the tag of an experiment."""
    request: dict[str, Any] = {"ResourceArn": summary["TrainingJobArn"]}
    tags: dict[str, str] = {}
    while True:
        answer = session.call("ListTags", **request)
        tags |= {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
        if not answer.get("NextToken"):
            return tags.get(EXPERIMENT_TAG) == tag_value(experiment)
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
