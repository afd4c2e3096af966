"""The local backend as a plugin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.local.backend import LocalBackend
from tunewright.backends.local.config import LocalConfig
from tunewright.backends.local.run import LOG_FILES, RunFolder
from tunewright.backends.plugin import BackendPlugin, ExperimentContext, FileLog, TrialLog
from tunewright.exceptions import SettingsError
from tunewright.runner.local_run import frozen_folder
from tunewright.trial import Checkpoint


@final
class LocalPlugin(BackendPlugin[LocalConfig]):
    """Trials are processes on this machine."""

    config = LocalConfig

    @override
    def build(self, config: LocalConfig, context: ExperimentContext) -> LocalBackend:
        """Build the backend from the benchmark's script and resources and the config."""
        benchmark = context.session_script
        return LocalBackend(
            benchmark.script,
            folder=context.folder.trials_path,
            config=config,
            n_workers=benchmark.n_workers,
            resource_attr=benchmark.resource_attr or "",
            metric=benchmark.metrics[0].name if len(benchmark.metrics) == 1 else "",
            max_resource_attr=benchmark.max_resource_attr or "",
            until_as_max_resource=benchmark.until_as_max_resource,
            arguments=benchmark.argument_style,
            environment=benchmark.environment,
            import_paths=tuple(dict.fromkeys(Path(one).absolute().parent for one in benchmark.dependencies)),
            function=context.function,
            channels={name: _folder(name, path) for name, path in benchmark.inputs.items()},
        )

    @override
    def logs(self, config: LocalConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """Output, errors, and the runner's own messages, run by run."""
        trial = context.folder.trials_path / str(trial_id)
        return FileLog(
            lambda: [
                RunFolder(trial, *run).path / name for run in RunFolder.all_of(trial) for name in LOG_FILES
            ]
        )

    @override
    def checkpoint_place(
        self, config: LocalConfig, context: ExperimentContext, checkpoint: Checkpoint
    ) -> str:
        """The folder of a frozen checkpoint."""
        trial = context.folder.trials_path / str(checkpoint.trial_id)
        folder = frozen_folder(trial, checkpoint.resource)
        return str(folder) if folder.is_dir() else ""

    @override
    def copy_checkpoint(
        self, config: LocalConfig, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        """Copy the folder of a frozen checkpoint; links in it stay links."""
        place = self.checkpoint_place(config, context, checkpoint)
        if not place:
            raise SettingsError(
                f"The checkpoint of trial {checkpoint.trial_id} at {checkpoint.resource} is not in "
                f"{context.folder.trials_path}: it was deleted, or the trial ran on another machine"
            )
        shutil.copytree(place, folder, symlinks=True)


PLUGIN: Final = LocalPlugin()


def _folder(name: str, path: str) -> Path:
    """An input folder of processes.

    Raises
    ------
    SettingsError
        It does not exist.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise SettingsError(f"The input {name} of a process is a folder on this machine: there is no {path}")
    return folder
