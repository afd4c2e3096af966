"""The Slurm backend as a plugin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import JOB_LOG, trials_folder
from tunewright.backends.engine.folder_channel import FolderChannel
from tunewright.backends.folder_plugin import FolderPlugin, jobs_line
from tunewright.backends.plugin import BackendPlugin, Description, ExperimentContext, Finding, TunerJob
from tunewright.backends.slurm.backend import SlurmBackend, make_channel
from tunewright.backends.slurm.config import SlurmConfig
from tunewright.backends.slurm.examination import examine
from tunewright.backends.slurm.job_service import RANK_LOG, job_script
from tunewright.backends.slurm.tuner_job import launch
from tunewright.trial import Start


@final
class SlurmPlugin(FolderPlugin[SlurmConfig], BackendPlugin[SlurmConfig]):
    """Trials are jobs of a Slurm cluster."""

    config = SlurmConfig

    @override
    def build(self, config: SlurmConfig, context: ExperimentContext) -> SlurmBackend:
        """Build the backend on the experiment's folder, or on one of its name below ``shared_folder``."""
        return SlurmBackend(
            context.script, config, experiment=context.folder.name, folder=self.trials(config, context)
        )

    @override
    def channel(self, config: SlurmConfig, context: ExperimentContext, folder: Path) -> FolderChannel:
        return make_channel(context.script, config, folder)

    @override
    def run_files(self, run: Path) -> Sequence[Path]:
        """Output of the script, of its processes of other ranks and of the job."""
        ranks = sorted(run.glob(f"{RANK_LOG}*"), key=lambda file: int(file.name.removeprefix(RANK_LOG)))
        return [*super().run_files(run), *ranks, run / JOB_LOG]

    @override
    def describe(self, config: SlurmConfig, context: ExperimentContext) -> Description[SlurmConfig]:
        """The number of jobs, and where their files lie."""
        place = f"in the partition {config.partition}" if config.partition else ""
        line = jobs_line("Slurm", config, context.script.n_workers, place)
        return Description(config=config, lines=(line,))

    @override
    def dry_run(self, config: SlurmConfig, context: ExperimentContext, first: Start) -> str:
        """The script of the first job."""
        job = self.first_job(config, context, first)
        return job_script(config, job.name, job.folder, job.command)

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


PLUGIN: Final = SlurmPlugin()
