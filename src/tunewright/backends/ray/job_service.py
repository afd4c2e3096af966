"""RayJobs: the jobs of one experiment on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine import Notices
from tunewright.backends.engine.folder_backend import SubmittedJobs
from tunewright.backends.engine.folder_channel import FolderOrder
from tunewright.backends.engine.job_service import (
    CreateOutcome,
    Failure,
    FailureCause,
    JobService,
    JobState,
    JobStatus,
    Submission,
    name_taken,
)
from tunewright.backends.ray.client import RayClient, RayError, RayJob, RayNode, essence
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.places import Entry, Place
from tunewright.backends.ray.s3_program import UNSEEN_EXIT
from tunewright.exceptions import BackendError
from tunewright.types import Json

GONE: Final = "GONE"
"""State of a job that Ray does not know any more: its head was restarted, or the job's record deleted."""
SILENT: Final = "SILENT"
"""State of a job that runs as Ray says, and gives no sign of life."""
_DIED: Final = "JOB_SUPERVISOR_ACTOR_DIED"
_NO_ROOM: Final = frozenset({"JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"})
"""Failures of jobs that got no resources for 15 minutes (RAY_JOB_START_TIMEOUT_SECONDS of the head)."""
_BAD_ENVIRONMENT: Final = "RUNTIME_ENV_SETUP_FAILURE"
_COMMAND_FAILED: Final = "JOB_ENTRYPOINT_COMMAND_ERROR"
_STATES: Final = {
    "PENDING": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "STOPPED": JobState.FAILED,  # by hand, or by this tuner, which knows
}
_LOST: Final = {
    GONE: "is unknown to Ray, as after a restart of its head",
    SILENT: "gave no sign of life",
    "STOPPED": "was stopped, though not by this tuner",
    _DIED: "lost its node or its process",
}
_NO_PYTHON_EXITS: Final = frozenset({126, 127})
"""A shell's exit codes of a program that cannot be run, or is not there."""
_NEVER_BEGAN_SECONDS: Final = 600.0
"""A running job without any sign of life is replaced after so long; runtime environments are made before."""
_PENDING_SECONDS: Final = 30.0
"""A job that waits for resources for so long is explained to the user."""
_KEPT_JOBS: Final = 200
"""Records of ended jobs that are left to Ray, which sends them with each list and forgets none."""
_DELETED_AT_ONCE: Final = 10
STOP_WAIT: Final = "RAY_JOB_STOP_WAIT_TIME_S"
"""Ray's variable: seconds from SIGTERM to SIGKILL; it is 3 by default, too short for a checkpoint."""
_STOP_WAIT_SECONDS: Final = 60
_LOG_END: Final = 1000


@final
class RayJobs(JobService[FolderOrder]):
    """Jobs by Ray's Jobs API.

    A job's ``submission_id`` has the key; Ray refuses a second job of one name.

    Parameters
    ----------
    client
        Of the cluster.
    place
        Where jobs find their work.
    config
        Resources of each job.
    experiment
        Unique name of the experiment.
    notices
        For the user.

    Raises
    ------
    SettingsError
        The runtime environment cannot be read.
    """

    def __init__(
        self, client: RayClient, place: Place, config: RayConfig, experiment: str, notices: Notices
    ) -> None:
        self.submitted = SubmittedJobs(place, experiment)
        self._place = place
        self._client = client
        self._config = config
        self._notices = notices
        self._environment = config.environment()
        self._jobs: dict[str, RayJob] = {}
        """The newest record of each job that has failed."""
        self._is_wait_explained = False

    @override
    def full_name(self, key: str) -> str:
        return self.submitted.full_name(key)

    @override
    def prepare(self, n_instances: int) -> None:
        del n_instances
        self._client.check()
        self._place.prepare()

    @override
    def create(self, order: FolderOrder) -> Submission:
        key, name = order.key, self.full_name(order.key)
        entry = self._place.put(order, name)
        request = job_request(self._config, self._environment, name, entry)
        try:
            self._client.submit(request)
        except RayError as error:
            if "already exists" in error.reason:
                if not order.is_attached and key not in self.submitted.unanswered:
                    raise BackendError(name_taken(name)) from error
                return self.submitted.accepted(key)
            if error.is_lost:
                self.submitted.unanswered.add(key)
            return refusal(error)
        return self.submitted.accepted(key)

    @override
    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        """By one request; jobs that Ray does not know any more have ended as soon as they are silent."""
        known = dict(self.submitted.known)
        jobs = self._own(self._client.jobs())
        statuses = {key: self._status(key, job) for key, job in jobs.items()}
        if not wanted:
            known |= self._place.begun()
        for key, created in known.items():
            if key not in statuses and (not wanted or key in wanted):
                statuses[key] = self._gone(key, created)
        self.submitted.known |= {
            key: status.created for key, status in statuses.items() if not status.is_terminal
        }
        if wanted:
            self._explain_wait(statuses)
            self._forget(
                [key for key, status in statuses.items() if status.is_terminal and key not in wanted]
            )
        return statuses

    @override
    def describe(self, key: str) -> JobStatus:
        job = self._client.job(self.full_name(key))
        return self._status(key, job) if job else self._gone(key, self.submitted.known.get(key, time.time()))

    @override
    def stop(self, key: str) -> None:
        self._client.stop(self.full_name(key))

    @override
    def failure(self, key: str, status: JobStatus) -> Failure:
        name, job = self.full_name(key), self._jobs.get(key)
        if status.detail in _NO_ROOM:
            reason = f"the job {name} got no resources in time: {self._shortage() or 'all nodes are full'}"
            return Failure(cause=FailureCause.CAPACITY, reason=reason, hint=" for want of resources")
        if job is None or status.detail in _LOST:
            reason = f"the job {name} {_LOST.get(status.detail, f'ended as {status.detail}')}"
            return Failure(cause=FailureCause.SERVICE, reason=reason)
        message = (job.message or "").strip()
        output = message[-_LOG_END:] if status.detail == _COMMAND_FAILED else essence(message)
        reason = f"the job {name} failed ({status.detail}): {output}"
        has_begun = bool(self._place.heartbeat(key))
        if not has_begun and not self._place.begun():  # all jobs will fail; else the node may be the cause
            return Failure(
                cause=FailureCause.JOB, reason=reason, remedy=remedy_of(job, self._place.unseen_remedy)
            )
        return Failure(cause=FailureCause.SERVICE, reason=reason)

    def _own(self, jobs: Sequence[RayJob]) -> dict[str, RayJob]:
        """The jobs of this experiment by key."""
        keys = ((self.submitted.key_of(job.submission_id or ""), job) for job in jobs)
        return {key: job for key, job in keys if key is not None}

    def _status(self, key: str, job: RayJob) -> JobStatus:
        """The status of a job that Ray knows."""
        state = _STATES.get(job.status, JobState.RUNNING)
        created = (job.start_time or 0) / 1000
        if state is JobState.FAILED:
            self._jobs[key] = job
            if _reason_of(job) == _DIED and self._has_pulse(key):  # its processes are about to be killed
                return JobStatus(state=JobState.RUNNING, detail=_DIED, created=created)
            ended = job.end_time / 1000 if job.end_time else time.time()
            return JobStatus(state=state, detail=_reason_of(job), created=created, ended=ended)
        if state is JobState.RUNNING and self.submitted.is_silent(
            key, self._config.silent_after, _NEVER_BEGAN_SECONDS, self.stop
        ):
            return JobStatus(state=JobState.FAILED, detail=SILENT, created=created, ended=time.time())
        ended = job.end_time / 1000 if job.end_time and state is JobState.COMPLETED else None
        return JobStatus(state=state, detail=job.status, created=created, ended=ended)

    def _gone(self, key: str, created: float) -> JobStatus:
        """The status of a job that Ray does not know; its runner may go on for a moment."""
        if self._has_pulse(key):
            return JobStatus(state=JobState.RUNNING, detail=GONE, created=created)
        return JobStatus(state=JobState.FAILED, detail=GONE, created=created, ended=time.time())

    def _has_pulse(self, key: str) -> bool:
        """Whether the runner of a job has shown life a short while ago, as far as is known."""
        beat, seconds = self.submitted.pulse(key)
        return bool(beat) and seconds < self._place.signs_seconds

    def _explain_wait(self, statuses: Mapping[str, JobStatus]) -> None:
        """Say once why jobs wait, if they wait for long."""
        waiting = [key for key, status in statuses.items() if status.state is JobState.STARTING]
        if self._is_wait_explained or not waiting:
            return
        seconds = time.time() - min(statuses[key].created for key in waiting)
        if seconds < _PENDING_SECONDS:
            return
        self._is_wait_explained = True
        n_jobs = f"{len(waiting)} job{'' if len(waiting) == 1 else 's'}"
        if shortage := self._shortage():
            self._notices.add(
                f"WARNING: {shortage}: {n_jobs} of this experiment will wait until the cluster gets such a node"
            )
        else:
            self._notices.add(
                f"{n_jobs} of this experiment wait for resources: all nodes of the cluster are full"
            )

    def _shortage(self) -> str:
        """Why no node, full or not, can run a trial; empty if one can, or if Ray does not say."""
        try:
            return shortage(self._config.needs(), self._client.nodes())
        except RayError:
            return ""

    def _forget(self, ended: Sequence[str]) -> None:
        """Delete the oldest records of ended jobs if there are many."""
        n_many = len(ended) - _KEPT_JOBS
        if n_many > 0:
            oldest = sorted(ended, key=lambda key: int(key.partition("-")[0]))
            for key in oldest[: min(n_many, _DELETED_AT_ONCE)]:
                self._client.delete(self.full_name(key))


def job_request(
    config: RayConfig, environment: Mapping[str, Json], name: str, entry: Entry
) -> dict[str, Json]:
    """The body of a request for a job.

    Parameters
    ----------
    config
        Resources.
    environment
        Ray's runtime environment of the jobs; its variables go over those of the entry.
    name
        Of the job.
    entry
        Its beginning.
    """
    needs = config.needs()
    variables: dict[str, Json] = {STOP_WAIT: str(_STOP_WAIT_SECONDS), **entry.variables}
    if isinstance(given := environment.get("env_vars"), dict):
        variables |= given
    request: dict[str, Json] = {
        "submission_id": name,
        "entrypoint": entry.command,
        "runtime_env": {**environment, "env_vars": variables},
    }
    fields = {"CPU": "entrypoint_num_cpus", "GPU": "entrypoint_num_gpus", "memory": "entrypoint_memory"}
    for resource, key in fields.items():
        if amount := needs.pop(resource, 0.0):
            request[key] = int(amount) if resource == "memory" else amount
    if needs:
        request["entrypoint_resources"] = dict(needs)
    return request


def remedy_of(job: RayJob, unseen_remedy: str) -> str:
    """Remedy of a job that failed before its trial began.

    Parameters
    ----------
    job
        Its record.
    unseen_remedy
        As :attr:`Place.unseen_remedy`.
    """
    if job.error_type == _BAD_ENVIRONMENT:
        return "change the file of --runtime_env"
    if job.driver_exit_code == UNSEEN_EXIT:
        return unseen_remedy
    if job.driver_exit_code in _NO_PYTHON_EXITS:
        return "give --python a Python that all nodes of the cluster have, such as python3"
    return "see its output in Ray's dashboard"


def shortage(needs: Mapping[str, float], nodes: Sequence[RayNode]) -> str:
    """Why no node, full or not, can run a trial; empty if one can.

    Parameters
    ----------
    needs
        Resources of a trial by Ray's names.
    nodes
        Nodes that are alive.
    """
    # memory is left out: Ray sends it as a text
    numbers = [
        {name: total for name, total in node.resources_total.items() if isinstance(total, int | float)}
        for node in nodes
    ]
    wanted = {name: number for name, number in needs.items() if name != "memory"}
    if any(all(number <= have.get(name, 0.0) for name, number in wanted.items()) for have in numbers):
        return ""
    text = ", ".join(f"{name} {number:g}" for name, number in wanted.items())
    most = ", ".join(
        f"{name} {max((have.get(name, 0.0) for have in numbers), default=0.0):g}" for name in wanted
    )
    return f"no node of the cluster has {text} (the most on {len(nodes)} node{'' if len(nodes) == 1 else 's'}: {most})"


def refusal(error: RayError) -> Submission:
    """The outcome of a request for a job that Ray did not carry out.

    Raises
    ------
    RayError
        The token is refused.
    """
    if error.is_denied:
        raise error
    if error.is_lost:
        return Submission(CreateOutcome.UNKNOWN, f"Ray does not answer ({error.reason}): asking again")
    if error.is_transient:
        return Submission(CreateOutcome.LATER, f"Ray is busy ({error.reason}): asking again")
    return Submission(CreateOutcome.UNEXPLAINED, f"Ray refuses the jobs of this experiment ({error.reason})")


def _reason_of(job: RayJob) -> str:
    """Kind of a failure; older versions of Ray have it in the message only."""
    if job.status == "STOPPED":
        return job.status
    if job.error_type:
        return job.error_type
    message = job.message or ""
    if "entrypoint command failed" in message:
        return _COMMAND_FAILED
    return _DIED if "supervisor actor died" in message else job.status
