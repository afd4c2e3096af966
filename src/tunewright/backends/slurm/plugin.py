"""The Slurm backend as a plugin."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import JOB_LOG, trials_folder
from tunewright.backends.engine.folder_channel import FolderCheckpoints, FolderOrder
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.engine.worker_jobs import WorkerJobOrder
from tunewright.backends.plugin import (
    BackendPlugin,
    Description,
    ExperimentContext,
    FileLog,
    Finding,
    TrialLog,
    TunerJob,
)
from tunewright.backends.slurm.backend import SlurmBackend, make_channel
from tunewright.backends.slurm.config import SlurmConfig
from tunewright.backends.slurm.examination import examine
from tunewright.backends.slurm.job_service import RANK_LOG, job_script
from tunewright.backends.slurm.tuner_job import launch
from tunewright.trial import Checkpoint, Run, Start


@final
class SlurmPlugin(BackendPlugin[SlurmConfig]):
    """Trials are jobs of a Slurm cluster."""

    config = SlurmConfig

    @override
    def build(self, config: SlurmConfig, context: ExperimentContext) -> SlurmBackend:
        """Build the backend on the experiment's folder, or on one of its name below ``shared_folder``."""
        return SlurmBackend(
            context.script, config, experiment=context.folder.name, folder=_trials(config, context)
        )

    @override
    def logs(self, config: SlurmConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """Output of the script, of its processes of other ranks and of the job, run by run."""
        runs = _trials(config, context) / str(trial_id) / "runs"

        def order(path: Path) -> list[int]:
            return [int(number) for number in re.findall(r"\d+", path.name)]

        def files(run: Path) -> list[Path]:
            ranks = sorted(run.glob(f"{RANK_LOG}*"), key=order)
            return [run / "stdout", run / "stderr", *ranks, run / JOB_LOG]

        return FileLog(lambda: [file for run in sorted(runs.glob("*-*"), key=order) for file in files(run)])

    @override
    def checkpoint_place(
        self, config: SlurmConfig, context: ExperimentContext, checkpoint: Checkpoint
    ) -> str:
        """The folder of a complete checkpoint."""
        checkpoints = FolderCheckpoints(_trials(config, context))
        return str(checkpoints.folder(checkpoint)) if checkpoints.is_complete(checkpoint) else ""

    @override
    def copy_checkpoint(
        self, config: SlurmConfig, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        FolderCheckpoints(_trials(config, context)).copy(checkpoint, folder)

    @override
    def describe(self, config: SlurmConfig, context: ExperimentContext) -> Description[SlurmConfig]:
        """The number of jobs, and where their files lie."""
        where = f"below {config.shared_folder}" if config.shared_folder else "in the experiment's folder"
        partition = f" in the partition {config.partition}" if config.partition else ""
        n_workers = context.script.n_workers
        jobs = f"Slurm job{'' if n_workers == 1 else 's'}"
        if config.execution == "workers":
            jobs += f" that take{'s' if n_workers == 1 else ''} run after run,"
        line = f"Up to {n_workers} {jobs} at a time{partition}; their files are {where}, which all nodes must see"
        return Description(config=config, lines=(line,))

    @override
    def dry_run(self, config: SlurmConfig, context: ExperimentContext, first: Start) -> str:
        """The script of the first job."""
        folder = Path(config.shared_folder or "EXPERIMENT").expanduser() / context.tag
        channel = make_channel(context.script, config, folder)
        order: FolderOrder = JobOrder(run=Run(trial_id=0, attempt=0, until=first.until), config=first.config)
        if config.execution == "workers":
            order = WorkerJobOrder(number=0, n_instances=1, dollars_per_hour=config.price_per_hour)
        key = order.key
        return job_script(config, f"tw-{context.tag}-{key}", channel.job_folder(key), channel.command(key))

    @override
    def examine(self, config: SlurmConfig, folder: Path) -> Iterator[Finding]:
        """Commands, partitions, accounting, the shared folder, and a job of a second."""
        folder = trials_folder(config.shared_folder, folder.name, own=folder)
        try:
            yield from examine(config, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @override
    def launch(self, config: SlurmConfig, tuner: TunerJob) -> str:
        return launch(config, tuner)

    @override
    def unknown_costs(self, config: SlurmConfig, context: ExperimentContext) -> str:
        """A price that was not given."""
        return "" if config.price_per_hour else "the price of a job is not known: give --price_per_hour"


PLUGIN: Final = SlurmPlugin()


def _trials(config: SlurmConfig, context: ExperimentContext) -> Path:
    """Where the files of trials lie."""
    return trials_folder(config.shared_folder, context.folder.name, own=context.folder.trials_path)
