"""Config of the Slurm backend: flags, TOML and stored JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, final

from tunewright.backends.folder_plugin import FolderConfig
from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, check_at_least

TUNER_SIGNAL_SECONDS: Final = 120
"""Seconds before the time limit of a tuner's job at which the next one is submitted; Slurm may be a minute early."""
_TIME: Final = re.compile(
    r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+)(?::(?P<seconds>\d+))?)?|(?P<clock>\d+(?::\d+){0,2}))"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmConfig(FolderConfig, BackendConfig):
    """Trials are jobs of a Slurm cluster.

    Raises
    ------
    SettingsError
        A number is out of range, a time has not Slurm's form, or an option has a line break.
    """

    backend_name: ClassVar[str] = "slurm"
    runs_tuners: ClassVar[bool] = True

    partition: str = ""
    """Partition of the jobs, or several with commas (default: the cluster's)."""
    account: str = ""
    """Account that the jobs are charged to."""
    qos: str = ""
    """Quality of service of the jobs."""
    time_limit: str = field(default="", metadata={"metavar": "LIMIT"})
    """Time limit of each job as Slurm writes it, such as 90 (minutes) or 1-12:00:00; a trial that needs longer goes on in a new job from its checkpoint."""
    signal_seconds: int = 90
    """Seconds before the time limit at which a trial is asked to store its checkpoint."""
    cpus_per_trial: int = 1
    """CPUs of each trial, or of each of its processes with nodes_per_trial or tasks_per_node."""
    nodes_per_trial: int = 1
    """Nodes of each trial: srun starts the script on all of them, and the process of rank 0 reports."""
    tasks_per_node: int = 1
    """Processes of the script on each node, such as one per GPU."""
    mem: str = ""
    """Memory of each trial on each node, such as 16G (default: the cluster's)."""
    num_gpus_per_trial: int = 0
    """GPUs of each trial on each node."""
    gres: str = ""
    """Generic resources of each trial on each node instead, such as gpu:a100:2."""
    constraint: str = ""
    """Features of the nodes."""
    setup: tuple[str, ...] = field(default=(), metadata={"metavar": "LINE"})
    """Shell line before the trial, such as "module load cuda"; may be repeated."""
    container: str = field(default="", metadata={"metavar": "IMAGE"})
    """Apptainer image in which the trial runs."""
    sbatch: tuple[str, ...] = field(default=(), metadata={"metavar": "OPTION"})
    """Further option of sbatch, such as --exclusive; may be repeated."""
    python: str = field(default="", metadata={"metavar": "PATH"})
    """Python of the trials, 3.9 or newer (default: the tuner's; in a container python3)."""
    checkpoint_seconds: float = 300.0
    """Seconds between two copies of a trial's checkpoint, for the loss of its node."""
    abandon_after: float = 600.0
    """Seconds without a tuner after which trials store their checkpoints and end; 0: they go on."""
    silent_after: float = 300.0
    """Seconds without a sign of life after which a job that Slurm calls running, or a worker, is replaced."""
    idle_after: float = 300.0
    """Seconds without a run after which a worker's job ends, with --execution workers."""
    squeue_seconds: float = 2.0
    """Least seconds between two calls of squeue."""
    stop_grace: float = 120.0
    """Seconds after which a trial that does not end when it is asked to is cancelled."""
    close_seconds: float = 120.0
    """Longest wait for jobs to end when the tuner ends."""
    tuner_partition: str = ""
    """Partition of a tuner that runs as a job, with --remote (default: that of the trials)."""
    tuner_time_limit: str = field(default="", metadata={"metavar": "LIMIT"})
    """Time limit of each job of such a tuner; another job goes on before it ends (default: the partition's)."""
    tuner_sbatch: tuple[str, ...] = field(default=(), metadata={"metavar": "OPTION"})
    """Further option of sbatch for such a tuner, such as --mem=4G; may be repeated."""
    max_retries: int = 20
    """New jobs of a trial after preemptions and lost nodes, before it has failed; those after time limits do not count."""

    def __post_init__(self) -> None:
        FolderConfig.__post_init__(self)  # super() does not work in a class with slots
        check_at_least(self, 1, "cpus_per_trial", "nodes_per_trial", "tasks_per_node", "signal_seconds")
        check_at_least(self, 0.1, "squeue_seconds")
        check_at_least(self, 15, "silent_after")
        names = ("num_gpus_per_trial", "price_per_hour", "checkpoint_seconds", "abandon_after", "idle_after")
        check_at_least(self, 0, *names, "stop_grace", "close_seconds", "max_retries")
        if self.gres and self.num_gpus_per_trial:
            raise SettingsError("gres and num_gpus_per_trial both ask for resources: give one of them")
        options = (self.partition, self.account, self.qos, self.mem, self.gres, self.constraint)
        for text in (
            *options,
            self.container,
            *self.sbatch,
            *self.tuner_sbatch,
            self.tuner_partition,
            *self.setup,
        ):
            if "\n" in text:
                raise SettingsError(f"A line break is in {text!r}: give one option or line each time")
        for option in (*self.sbatch, *self.tuner_sbatch):
            if not option.startswith("-"):
                raise SettingsError(f"sbatch={option!r} is no option: it begins with a hyphen")
        tuner_limit = seconds_of(self.tuner_time_limit)
        if tuner_limit is not None and tuner_limit <= TUNER_SIGNAL_SECONDS:
            raise SettingsError(
                f"tuner_time_limit={self.tuner_time_limit} must be longer than the {TUNER_SIGNAL_SECONDS} s at whose begin the next job is submitted"
            )
        limit = seconds_of(self.time_limit)
        if limit is not None and limit <= self.signal_seconds:
            raise SettingsError(
                f"time_limit={self.time_limit} ends before its signal: it must be longer than signal_seconds={self.signal_seconds}"
            )

    @property
    def n_tasks(self) -> int:
        """Processes of the script in each trial."""
        return self.nodes_per_trial * self.tasks_per_node


def seconds_of(limit: str) -> int | None:
    """Seconds of a time limit; None: there is none.

    Parameters
    ----------
    limit
        ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``, ``days-hours:minutes`` or
        ``days-hours:minutes:seconds``, as in the manual of sbatch; empty, ``UNLIMITED`` or ``INFINITE``: none.

    Raises
    ------
    SettingsError
        It has another form.
    """
    if not limit or limit.upper() in {"UNLIMITED", "INFINITE"}:
        return None
    match = _TIME.fullmatch(limit)
    if match is None:
        raise SettingsError(
            f"time_limit={limit!r} is no time of Slurm: minutes, hours:minutes:seconds or days-hours:minutes:seconds"
        )
    if match["days"]:
        days, hours, minutes, seconds = (
            int(match[name] or 0) for name in ("days", "hours", "minutes", "seconds")
        )
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    parts = [int(part) for part in match["clock"].split(":")]
    hours, minutes, seconds = parts if len(parts) == 3 else (0, parts[0], parts[1] if len(parts) == 2 else 0)
    return (hours * 60 + minutes) * 60 + seconds
