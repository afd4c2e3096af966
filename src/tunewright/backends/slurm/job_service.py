"""SlurmJobs: the jobs of one experiment on a Slurm cluster, with a shared folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import JOB_LOG, FolderJob, FolderJobs
from tunewright.backends.engine.folder_channel import FolderChannel, FolderError, FolderOrder
from tunewright.backends.engine.job_service import (
    CreateOutcome,
    Failure,
    FailureCause,
    JobService,
    JobState,
    JobStatus,
    Submission,
)
from tunewright.backends.slurm.commands import QueuedJob, SlurmCommands, SlurmError
from tunewright.backends.slurm.config import SlurmConfig
from tunewright.runner.checkpoints import write_atomically
from tunewright.runner.contract import CHECKPOINT_DIR_VARIABLE

GONE: Final = "GONE"
"""State of a job that Slurm has forgotten: it forgets ended jobs after MinJobAge, five minutes by default."""
SILENT: Final = "SILENT"
"""State of a job that runs as Slurm says, and gives no sign of life."""
_SCRIPT: Final = "job.sh"
RANK_LOG: Final = "rank-"
"""Beginning of the name of a file of a run's folder: output of a process of the script; its rank follows."""
_THREADS: Final = 'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}"'
_PROCESSES: Final = (
    'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
    'export MASTER_ADDR="$(hostname)" MASTER_PORT="$((20000 + SLURM_JOB_ID % 20000))"',
)
_RANK: Final = f"""\
export RANK="$SLURM_PROCID" LOCAL_RANK="$SLURM_LOCALID" WORLD_SIZE="$SLURM_NTASKS"
[ "$RANK" = 0 ] || exec >> "${CHECKPOINT_DIR_VARIABLE}/../{RANK_LOG}$RANK" 2>&1
exec "$@"\
"""
_STARTING: Final = frozenset(
    {
        "PENDING",
        "CONFIGURING",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "SPECIAL_EXIT",
        "RESV_DEL_HOLD",
    }
)
_ENDED: Final = {
    "COMPLETED": JobState.COMPLETED,
    GONE: JobState.COMPLETED,  # its messages say how it ended; without an end it is retried
    "TIMEOUT": JobState.TIMED_OUT,
    "DEADLINE": JobState.TIMED_OUT,
    **dict.fromkeys(
        (
            "CANCELLED",
            "FAILED",
            "NODE_FAIL",
            "BOOT_FAIL",
            "OUT_OF_MEMORY",
            "PREEMPTED",
            "LAUNCH_FAILED",
            "RECONFIG_FAIL",
            "REVOKED",
            SILENT,
        ),
        JobState.FAILED,
    ),
}
ENDED_STATES: Final = frozenset(_ENDED)
"""Slurm's words for jobs that have ended, and ours."""
_LOST: Final = {
    "CANCELLED": "was cancelled, though not by this tuner",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost its node",
    "TIMEOUT": "reached its time limit",
    "DEADLINE": "reached its deadline",
    SILENT: "gave no sign of life",
}
_QUOTA: Final = ("MaxSubmit", "MaxJobsPer", "job submit limit")
"""Words of refusals because of too many jobs, which end."""
_BUSY: Final = ("temporarily unable to accept", "Resource temporarily unavailable", "try again later")
_NEVER_BEGAN_SECONDS: Final = 3600.0
"""A job without any sign of life is replaced after so long: setup lines and containers take their time."""


@final
class SlurmJobs(FolderJobs, JobService[FolderOrder]):
    """Jobs by sbatch, squeue and scancel.

    A job's name has the key; before a request is repeated whose answer was lost, squeue is asked for that name. A second job
    of one name ends at once, since only one runner claims a run.

    Parameters
    ----------
    commands
        Slurm's commands.
    channel
        The shared folder.
    config
        Resources of each job.
    experiment
        Unique name of the experiment.
    """

    def __init__(
        self, commands: SlurmCommands, channel: FolderChannel, config: SlurmConfig, experiment: str
    ) -> None:
        super().__init__(channel, experiment)
        self._commands = commands
        self._config = config

    @override
    def prepare(self, n_instances: int) -> None:
        self._commands.check()
        super().prepare(n_instances)

    @override
    def submit(self, job: FolderJob) -> Submission:
        key = job.key
        if (job.may_exist or key in self.submitted.unanswered) and self._commands.queue(job.name):
            return self.submitted.accepted(key)
        script = job.folder / _SCRIPT
        try:
            write_atomically(script, job_script(self._config, job.name, job.folder, job.command))
        except OSError as error:
            raise FolderError(f"{script} cannot be written ({error})") from error
        try:
            self._commands.submit(script)
        except SlurmError as error:
            if error.is_lost:
                self.submitted.unanswered.add(key)
            return refusal(error)
        return self.submitted.accepted(key)

    @override
    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        """By one call of squeue; jobs that it has forgotten have ended."""
        known = dict(self.submitted.known)
        statuses = self._statuses(self._commands.queue())
        if not wanted:
            known |= self._channel.begun()
        for key, created in known.items():
            if key not in statuses and not wanted:
                statuses[key] = _gone(created)
            elif key not in statuses and key in wanted:
                statuses[key] = self._forgotten(key, created)
        self.submitted.known |= {
            key: status.created for key, status in statuses.items() if not status.is_terminal
        }
        return statuses

    @override
    def describe(self, key: str) -> JobStatus:
        statuses = self._statuses(self._commands.queue(self.full_name(key)))
        return statuses.get(key) or self._forgotten(key, self.submitted.known.get(key, time.time()))

    @override
    def stop(self, key: str) -> None:
        self._commands.cancel(self.full_name(key))

    @override
    def failure(self, key: str, status: JobStatus) -> Failure:
        state = status.detail
        if state == "FAILED":
            state = self._commands.accounted_state(self.full_name(key)) or state
        if state == "OUT_OF_MEMORY":
            reason = f"The job needed more memory than --mem allows{self.log_end(key)}"
            return Failure(cause=FailureCause.JOB, reason=reason)
        name = self.full_name(key)
        if state == "FAILED" and not self._channel.heartbeat(key):
            failure = super().failure(key, status)
            if failure.remedy:
                return replace(
                    failure, remedy=f"{failure.remedy}, and change --setup, --python or --container"
                )
            reason = f"the job {name} failed before its trial began{self.log_end(key)}"
            return Failure(cause=FailureCause.SERVICE, reason=reason)
        hint = ": give a longer --time_limit" if status.state is JobState.TIMED_OUT else ""
        reason = f"the job {name} {_LOST.get(state, f'ended as {state}')}"
        return Failure(cause=FailureCause.SERVICE, reason=reason, hint=hint)

    def _forgotten(self, key: str, created: float) -> JobStatus:
        """A job that squeue does not show any more: accounting may know how it ended."""
        state = self._commands.accounted_state(self.full_name(key))
        if state not in _ENDED:
            return _gone(created)
        return JobStatus(state=_ENDED[state], detail=state, created=created, ended=time.time())

    def _statuses(self, jobs: Sequence[QueuedJob]) -> dict[str, JobStatus]:
        """By key; of two jobs of one name that which has not ended."""
        statuses: dict[str, JobStatus] = {}
        for job in jobs:
            if (key := self.submitted.key_of(job.name)) is None:
                continue
            status = self._with_pulse(key, _status(job))
            if key not in statuses or not status.is_terminal:
                statuses[key] = status
        return statuses

    def _with_pulse(self, key: str, status: JobStatus) -> JobStatus:
        """The status, or SILENT for a job that runs and shows no life; such a job is cancelled.

        A node that died and came back at once leaves jobs that Slurm calls running for good.
        """
        if status.is_terminal or status.state is JobState.STARTING:
            return status
        if not self.submitted.is_silent(key, self._config.silent_after, _NEVER_BEGAN_SECONDS, self.stop):
            return status
        return JobStatus(state=JobState.FAILED, detail=SILENT, created=status.created, ended=time.time())


def job_script(config: SlurmConfig, name: str, folder: Path, command: Sequence[str]) -> str:
    """The script of a job.

    The runner takes the place of the shell, so that the signals for the job reach it.

    Parameters
    ----------
    config
        Resources and setup.
    name
        Of the job.
    folder
        For the job's own output.
    command
        Runs the trial; with several processes by :func:`step_command`.
    """
    gpus = f"gpu:{config.num_gpus_per_trial}" if config.num_gpus_per_trial else ""
    options: Mapping[str, str] = {
        "job-name": name,
        "output": str(folder / JOB_LOG),
        "open-mode": "append",
        "signal": f"B:TERM@{config.signal_seconds}",
        "nodes": str(config.nodes_per_trial) if config.n_tasks > 1 else "",
        "ntasks-per-node": str(config.tasks_per_node) if config.n_tasks > 1 else "",
        "ntasks": "1" if config.n_tasks == 1 else "",
        "cpus-per-task": str(config.cpus_per_trial),
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "time": config.time_limit,
        "mem": config.mem,
        "gres": config.gres or gpus,
        "constraint": config.constraint,
    }
    words = list(command)
    if config.n_tasks == 1:
        words = [*container_command(config), *words]
    return "\n".join(
        [
            "#!/bin/bash",
            *option_lines(options),
            "#SBATCH --no-requeue",
            *(f"#SBATCH {option}" for option in config.sbatch),
            *config.setup,
            _THREADS,
            *(_PROCESSES if config.n_tasks > 1 else ()),
            f"exec {shlex.join(words)}",
            "",
        ]
    )


def option_lines(options: Mapping[str, str]) -> list[str]:
    """Lines of a script for sbatch; options without a value are left out."""
    return [f"#SBATCH --{option}={shlex.quote(value)}" for option, value in options.items() if value]


def container_command(config: SlurmConfig) -> list[str]:
    """The beginning of a command that runs in the container; empty without one."""
    if not config.container:
        return []
    nvidia = ["--nv"] if config.gres or config.num_gpus_per_trial else []
    return ["apptainer", "exec", *nvidia, config.container]


def step_command(config: SlurmConfig) -> list[str]:
    """The beginning of a command that runs on all nodes of a trial; empty for trials of one process.

    Each process gets the variables that PyTorch's ``env://`` needs. That of rank 0 writes where srun writes, the others into files
    of their own. If one fails, all are ended.
    """
    if config.n_tasks == 1:
        return []
    return [
        "srun",
        "--kill-on-bad-exit=1",
        "--export=ALL",
        "bash",
        "-c",
        _RANK,
        "bash",
        *container_command(config),
    ]


def refusal(error: SlurmError) -> Submission:
    """The outcome of a request that sbatch did not carry out."""
    text = error.reason
    if error.is_lost:
        return Submission(CreateOutcome.UNKNOWN, f"Slurm does not answer ({text}): asking again")
    if any(word in text for word in _QUOTA):
        return Submission(
            CreateOutcome.FULL, f"Slurm's limit of jobs is reached ({text}): trials wait until jobs end"
        )
    if any(word in text for word in _BUSY):
        return Submission(CreateOutcome.LATER, f"Slurm is busy ({text}): asking again")
    return Submission(CreateOutcome.UNEXPLAINED, f"Slurm refuses the jobs of this experiment ({text})")


def _status(job: QueuedJob) -> JobStatus:
    state = _ENDED.get(job.state)
    ended = None if state is None else job.ended or time.time()
    if state is None:
        state = JobState.STARTING if job.state in _STARTING else JobState.RUNNING
    started = None if state is JobState.STARTING else job.started
    return JobStatus(state=state, detail=job.state, created=job.submitted, started=started, ended=ended)


def _gone(created: float) -> JobStatus:
    return JobStatus(state=_ENDED[GONE], detail=GONE, created=created, ended=time.time())
