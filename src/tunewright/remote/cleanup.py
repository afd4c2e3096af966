"""Cleanup of training jobs, warm pools and S3 files that experiments have left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunewright.aws import AwsSession, Price, S3Objects, ServiceError, prices_at
from tunewright.backends.s3.code import CODE, JOURNALS, ROOT_PREFIX, complete_key, users_prefix
from tunewright.backends.sagemaker.config import MAX_RUN_MAX
from tunewright.backends.sagemaker.requests import (
    EXPERIMENT_TAG,
    job_prefix,
    parse_job_name,
    tag_value,
    worker_prefix,
)
from tunewright.exceptions import SettingsError
from tunewright.remote.layout import EXPERIMENTS, job_names_prefix, tag_prefix
from tunewright.storage import safe_name

_PAGE: Final = 100
_DAY: Final = 24 * 3600
_TAGS: Final = ("tunewright:experiment", "tunewright:tag")
"""Tags of trials' jobs and of tuning jobs."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SHARED: Final = frozenset({CODE.rstrip("/"), JOURNALS.rstrip("/"), "remote", "remote-code"})
"""Prefixes that belong to no experiment."""
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


def find_all_leftovers(session: AwsSession, *, spared: Collection[str]) -> list[Leftover]:
    """Find running jobs and warm pools of all experiments in the account and region, whoever began them, by their tags.

    Parameters
    ----------
    session
        Of the account.
    spared
        Names of experiments whose jobs are left out.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    created = time.time() - MAX_RUN_MAX - _DAY  # no job is older than its maximum run time and a kept pool
    kept = tuple(f"{job_prefix(name)}-" for name in spared)
    leftovers: list[Leftover] = []
    for summary in _pages(session, {"CreationTimeAfter": created}):
        is_left = summary["TrainingJobStatus"] in _RUNNING or _has_pool(summary)
        if not is_left or summary["TrainingJobName"].startswith(kept):
            continue
        tags = session.call("ListTags", ResourceArn=summary["TrainingJobArn"])["Tags"]
        experiment = next((str(tag["Value"]) for tag in tags if tag["Key"] in _TAGS), None)
        if experiment is not None:
            leftovers.append(_leftover(session, experiment, summary))
    return leftovers


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
    for summary in _pages(session, {"NameContains": f"{prefix}-"}):
        name = summary["TrainingJobName"]
        if parse_job_name(prefix, name) or parse_job_name(worker_prefix(prefix), name):
            yield summary


def _pages(session: AwsSession, conditions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    request: dict[str, Any] = {**conditions, "MaxResults": _PAGE}
    while True:
        answer = session.call("ListTrainingJobs", **request)
        yield from answer["TrainingJobSummaries"]
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


def running_jobs(session: AwsSession, experiments: Iterable[str], tags: Iterable[str]) -> list[str]:
    """Names of the jobs of experiments, and of the tuning jobs of remote launches, that have not ended.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    of_trials = (one for name in experiments for one in _summaries(session, job_prefix(name)))
    of_tuning = (
        one
        for prefix in map(job_names_prefix, tags)
        for one in _pages(session, {"NameContains": prefix})
        if one["TrainingJobName"].startswith(prefix)
    )
    found = (*of_trials, *of_tuning)
    return [str(summary["TrainingJobName"]) for summary in found if summary["TrainingJobStatus"] in _RUNNING]


# --- files in S3


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFiles:
    """Objects of an experiment, of a remote launch, or of shared code in S3."""

    prefix: str
    """Below :data:`~tunewright.backends.s3.code.ROOT_PREFIX`, without a slash at its end."""
    n_objects: int
    size: int
    """Bytes."""
    code: tuple[str, ...] = ()
    """Hashes of the code that it uses."""
    experiments: tuple[str, ...] = ()
    """Names of the experiments of a remote launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgePlan:
    """Files to delete."""

    own: tuple[StoredFiles, ...]
    """Of the experiments and launches."""
    code: tuple[StoredFiles, ...]
    """Code that only they use."""
    kept: Mapping[str, int]
    """Hash of code that others use as well -> number of these others."""

    @property
    def experiments(self) -> tuple[str, ...]:
        """Names of the experiments of remote launches among them."""
        return tuple(name for files in self.own for name in files.experiments)

    @property
    def n_objects(self) -> int:
        """Number of objects to delete."""
        return sum(files.n_objects for files in (*self.own, *self.code))

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(files.size for files in (*self.own, *self.code))


def plan_purge(root: S3Objects, experiments: Iterable[str], tags: Iterable[str]) -> PurgePlan:
    """Find the files of experiments and of remote launches with their experiments. Nothing is deleted.

    Parameters
    ----------
    root
        The objects under :data:`~tunewright.backends.s3.code.ROOT_PREFIX`.
    experiments
        Names of experiments.
    tags
        Tags of remote launches.

    Raises
    ------
    SettingsError
        A name is none of an experiment.
    ServiceError
        S3 refuses or does not answer.
    """
    launches = [_files(root, tag_prefix(tag).removeprefix(f"{ROOT_PREFIX}/")) for tag in tags]
    names = [*experiments, *(name for launch in launches for name in launch.experiments)]
    prefixes = dict.fromkeys(job_prefix(name) for name in names)
    if wrong := _SHARED & prefixes.keys():
        raise SettingsError(f"{', '.join(sorted(wrong))} is no experiment: its prefix is shared by all")
    journals = (f"{JOURNALS}{prefix}" for prefix in prefixes)
    found = (*launches, *(_files(root, prefix) for prefix in (*prefixes, *journals)))
    own = tuple(files for files in found if files.n_objects)
    users = {digest: _users(root, digest) for files in own for digest in files.code}
    ours = {files.prefix for files in own}
    return PurgePlan(
        own=own,
        code=tuple(_files(root, f"{CODE}{digest}") for digest, known in users.items() if known <= ours),
        kept={digest: len(known - ours) for digest, known in users.items() if not known <= ours},
    )


def purge(root: S3Objects, plan: PurgePlan) -> None:
    """Delete files; code that an experiment began to use meanwhile is kept.

    An experiment first notes that it uses code, and then looks whether it is there as a whole (`upload_code`). So the marker of
    whole code goes first here, then the notes are read: an experiment that is not among them finds no marker, and stores the code.
    A purge that was interrupted can be repeated.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    for files in plan.own:
        root.delete([users_prefix(digest) + files.prefix for digest in files.code])
    for code in plan.code:
        digest = code.prefix.removeprefix(CODE)
        root.delete([complete_key(digest)])
        if _users(root, digest):
            root.put(complete_key(digest), b"")
        else:
            root.delete_under(f"{code.prefix}/")
    for files in plan.own:
        root.delete_under(f"{files.prefix}/")


def lifecycle_rule(days: int) -> dict[str, Any]:
    """LifecycleConfiguration of a bucket: our files expire after so many days, parts of broken uploads after one week.

    Code that is used is stored again when it is a week old, so that it outlives the experiment that uses it.
    """
    week = 7
    rule = {
        "ID": ROOT_PREFIX,
        "Filter": {"Prefix": f"{ROOT_PREFIX}/"},
        "Status": "Enabled",
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": week},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": week},
    }
    return {"Rules": [rule]}


def _files(root: S3Objects, prefix: str) -> StoredFiles:
    n_objects = size = 0
    code: list[str] = []
    experiments: dict[str, None] = {}
    for stored in root.list(f"{prefix}/"):
        n_objects, size = n_objects + 1, size + stored.size
        first, _, rest = stored.key.removeprefix(f"{prefix}/").partition("/")
        if f"{first}/" == CODE and _DIGEST.fullmatch(rest):
            code.append(rest)
        if rest.startswith(EXPERIMENTS):
            experiments[rest.removeprefix(EXPERIMENTS).partition("/")[0]] = None
    is_launch = prefix.startswith("remote/")
    names = tuple(experiments) if is_launch else ()
    return StoredFiles(prefix=prefix, n_objects=n_objects, size=size, code=tuple(code), experiments=names)


def _users(root: S3Objects, digest: str) -> set[str]:
    place = users_prefix(digest)
    return {stored.key.removeprefix(place) for stored in root.list(place)}
