"""Starting runners: orders written, processes spawned."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import final

from tunewright.backends.local.config import LocalSettings
from tunewright.backends.local.gpus import VARIABLE
from tunewright.backends.local.run_folder import RunFolder
from tunewright.runner.build import build_runner, runner_bytes
from tunewright.runner.contract import Mode
from tunewright.runner.local_run import frozen_folder
from tunewright.runner.run_order import RunOrder
from tunewright.threads import users_environment
from tunewright.trial import Checkpoint, Run
from tunewright.types import Config


@final
class Launcher:
    """Makes orders and starts runners that outlive this process.

    Parameters
    ----------
    script
        Absolute path of a script, or ``module:name``.
    folder
        The experiment's folder of trials.
    settings
        How scripts are run.
    """

    def __init__(self, script: str, folder: Path, settings: LocalSettings) -> None:
        self._script = script
        self._folder = folder
        self._settings = settings
        digest = hashlib.sha256(runner_bytes()).hexdigest()[:12]
        self._runner = folder / f"runner-{digest}.pyz"
        if not self._runner.exists():
            build_runner(self._runner)

    def trial_folder(self, trial_id: int) -> Path:
        """Where everything of a trial is."""
        return self._folder / str(trial_id)

    def checkpoint_folder(self, checkpoint: Checkpoint) -> Path:
        """Where a frozen checkpoint is."""
        return frozen_folder(self.trial_folder(checkpoint.trial_id), checkpoint.resource)

    def order(self, run: Run, config: Config, gpus: tuple[str, ...]) -> RunOrder:
        """What a run's first retry is told."""
        settings, values = self._settings, dict(config)
        if settings.until_as_max_resource and run.until is not None:
            values[settings.max_resource_attr] = run.until
        cwd = settings.cwd or Path.cwd()
        order = RunOrder(
            script=self._script,
            config=values,
            checkpoint_dir="",
            trial_id=run.trial_id,
            attempt=run.attempt,
            until=run.until,
            resume_from=run.resume_from,
            checkpoint_from=str(self.checkpoint_folder(run.from_checkpoint)) if run.from_checkpoint else "",
            resource_attr=settings.resource_attr,
            arguments=settings.arguments,
            booleans=settings.booleans,
            environment={**settings.environment, **({VARIABLE: ",".join(gpus)} if gpus else {})},
            cwd=str(cwd),
            channels={name: str(path) for name, path in settings.channels.items()},
            cache_dir=str(settings.cache_dir),
            grace=settings.grace,
            dollars_per_hour=settings.dollars_per_hour,
        )
        paths = [str(path) for path in settings.import_paths]
        return replace(order, import_paths=[*paths, *_own_import_paths(cwd)] if order.function else paths)

    def launch(self, folder: RunFolder, order: RunOrder) -> subprocess.Popen[bytes]:
        """Write the order for this folder and start its runner in a session of its own."""
        placed = replace(
            order,
            checkpoint_dir=str(folder.working),
            config_file=str(folder.path / "config.json"),
            base_dir=str(folder.path),
        )
        folder.write_order(placed)
        with (folder.path / "runner.log").open("ab") as log:
            return subprocess.Popen(
                [
                    self._settings.python,
                    str(self._runner),
                    Mode.LOCAL.value,
                    str(folder.path),
                    str(self._settings.abandon_after),
                ],
                env=users_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def is_here(order: RunOrder) -> bool:
    """Whether a run was ordered on this machine: its script and its working directory are there."""
    place = order.script.rpartition(":")[0] or order.script
    return Path(order.cwd).is_dir() and (not place.endswith(".py") or Path(place).is_file())


def _own_import_paths(cwd: Path) -> list[str]:
    """Where this process finds the modules of its user: its import path without what Python itself put there."""
    homes = (Path(sys.prefix), Path(sys.base_prefix))
    paths = [cwd, *(Path(path).absolute() for path in sys.path if path)]
    return [str(path) for path in paths if not any(path.is_relative_to(home) for home in homes)]
