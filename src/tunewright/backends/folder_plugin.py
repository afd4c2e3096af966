"""Plugins of engines whose jobs share a folder with the tuner: the parts that do not depend on the engine."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from tunewright.backends.engine.folder_backend import FolderJob, job_name, trials_folder
from tunewright.backends.engine.folder_channel import FolderChannel, FolderCheckpoints, FolderOrder
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.engine.worker_jobs import WorkerJobOrder
from tunewright.backends.plugin import ExperimentContext, FileLog, TrialLog
from tunewright.exceptions import SettingsError
from tunewright.trial import Checkpoint, Run, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig:
    """Settings that the config classes of such engines have in common.

    Raises
    ------
    SettingsError
        The shared folder is an address.
    """

    backend_name: ClassVar[str]
    """Name of the plugin's entry point."""
    execution: Literal["jobs", "workers"] = "jobs"
    """jobs: a job per run; workers: long jobs that take run after run, for long queues and for runs of seconds."""
    shared_folder: str = field(default="", metadata={"metavar": "DIR"})
    """Folder that all nodes see, for the files of trials (default: the experiment's folder)."""
    price_per_hour: float = 0.0
    """Dollars per hour of a job, for costs."""

    def __post_init__(self) -> None:
        if "://" in self.shared_folder:
            raise SettingsError(
                f"shared_folder={self.shared_folder!r} is an address, and --backend {self.backend_name} needs a folder that the tuner and "
                "all nodes mount under one path, such as NFS, EFS or Filestore"
            )


F = TypeVar("F", bound=FolderConfig)


class FolderPlugin(ABC, Generic[F]):
    """Methods of :class:`BackendPlugin` that the plugins of such engines have in common; a plugin inherits from both."""

    @abstractmethod
    def channel(self, config: F, context: ExperimentContext, folder: Path) -> FolderChannel:
        """The channel of an experiment in a folder; nothing is created.

        Raises
        ------
        SettingsError
            There is no such script, or a setting cannot work.
        """

    def run_files(self, run: Path) -> Sequence[Path]:
        """Files with the output of a run, in order, there or not; by default those of its script.

        Parameters
        ----------
        run
            Its folder.
        """
        return [run / "stdout", run / "stderr"]

    def logs(self, config: F, context: ExperimentContext, trial_id: int) -> TrialLog:
        """The files of the trial's runs, run by run."""
        runs = self.trials(config, context) / str(trial_id) / "runs"

        def order(run: Path) -> list[int]:
            return [int(number) for number in re.findall(r"\d+", run.name)]

        return FileLog(
            lambda: [file for run in sorted(runs.glob("*-*"), key=order) for file in self.run_files(run)]
        )

    def checkpoint_place(self, config: F, context: ExperimentContext, checkpoint: Checkpoint) -> str:
        """The folder of a complete checkpoint."""
        checkpoints = FolderCheckpoints(self.trials(config, context))
        return str(checkpoints.folder(checkpoint)) if checkpoints.is_complete(checkpoint) else ""

    def copy_checkpoint(
        self, config: F, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        """Copy a checkpoint from the shared folder."""
        FolderCheckpoints(self.trials(config, context)).copy(checkpoint, folder)

    def unknown_costs(self, config: F, context: ExperimentContext) -> str:
        """A price that was not given."""
        return "" if config.price_per_hour else "the price of a job is not known: give --price_per_hour"

    def trials(self, config: F, context: ExperimentContext) -> Path:
        """Where the files of trials lie."""
        return trials_folder(config.shared_folder, context.folder.name, own=context.folder.trials_path)

    def first_job(self, config: F, context: ExperimentContext, first: Start) -> FolderJob:
        """The first job of an experiment that has no folder yet: that of the first run, or a worker."""
        folder = Path(config.shared_folder or "EXPERIMENT").expanduser() / context.tag
        channel = self.channel(config, context, folder)
        order = first_order(config, first)
        return FolderJob(
            key=order.key,
            name=job_name(context.tag, order.key),
            folder=channel.job_folder(order.key),
            command=channel.command(order.key),
            may_exist=False,
        )


def first_order(config: FolderConfig, first: Start) -> FolderOrder:
    """The order of an experiment's first job: its first run, or a worker."""
    if config.execution == "workers":
        return WorkerJobOrder(number=0, n_instances=1, dollars_per_hour=config.price_per_hour)
    return JobOrder(run=Run(trial_id=0, attempt=0, until=first.until), config=first.config)


def jobs_line(engine: str, config: FolderConfig, n_workers: int, place: str) -> str:
    """A line about an experiment's jobs and their files, for the user.

    Parameters
    ----------
    engine
        Its name.
    config
        Says how runs become jobs, and where files lie.
    n_workers
        Jobs at the same time.
    place
        Partition or cluster, with its preposition; empty: the engine's default.
    """
    jobs = f"{engine} job{'' if n_workers == 1 else 's'}"
    if config.execution == "workers":
        jobs += f" that take{'s' if n_workers == 1 else ''} run after run,"
    where = f"below {config.shared_folder}" if config.shared_folder else "in the experiment's folder"
    at = f" {place}" if place else ""
    use = "use" if "://" in config.shared_folder else "see"
    return f"Up to {n_workers} {jobs} at a time{at}; their files are {where}, which all nodes must {use}"
