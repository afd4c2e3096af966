"""The Ray backend as a plugin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import trials_folder
from tunewright.backends.engine.folder_channel import FolderCheckpoints
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.plugin import (
    BackendPlugin,
    Description,
    ExperimentContext,
    FileLog,
    Finding,
    TrialLog,
)
from tunewright.backends.ray.backend import RayBackend, make_channel
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.examination import examine
from tunewright.backends.ray.job_service import job_request
from tunewright.trial import Checkpoint, Run, Start


@final
class RayPlugin(BackendPlugin[RayConfig]):
    """Trials are jobs of a Ray cluster."""

    config = RayConfig

    @override
    def build(self, config: RayConfig, context: ExperimentContext) -> RayBackend:
        """Build the backend on the experiment's folder, or on one of its name below ``shared_folder``."""
        return RayBackend(
            context.script, config, experiment=context.folder.name, folder=_trials(config, context)
        )

    @override
    def logs(self, config: RayConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """Output of the script, run by run."""
        runs = _trials(config, context) / str(trial_id) / "runs"

        def order(run: Path) -> list[int]:
            return [int(number) for number in run.name.split("-")]

        return FileLog(
            lambda: [
                run / name for run in sorted(runs.glob("*-*"), key=order) for name in ("stdout", "stderr")
            ]
        )

    @override
    def checkpoint_place(self, config: RayConfig, context: ExperimentContext, checkpoint: Checkpoint) -> str:
        """The folder of a complete checkpoint."""
        checkpoints = FolderCheckpoints(_trials(config, context))
        return str(checkpoints.folder(checkpoint)) if checkpoints.is_complete(checkpoint) else ""

    @override
    def copy_checkpoint(
        self, config: RayConfig, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        FolderCheckpoints(_trials(config, context)).copy(checkpoint, folder)

    @override
    def describe(self, config: RayConfig, context: ExperimentContext) -> Description[RayConfig]:
        """Decide on the cluster; the number of jobs, and where their files lie."""
        config.environment()
        address = dashboard_address(config.address)
        file = str(Path(config.runtime_env).expanduser().absolute()) if config.runtime_env else ""
        where = f"below {config.shared_folder}" if config.shared_folder else "in the experiment's folder"
        n_workers = context.script.n_workers
        line = f"Up to {n_workers} Ray job{'' if n_workers == 1 else 's'} at a time on {address}; their files are {where}, which all nodes must see"
        return Description(config=replace(config, address=address, runtime_env=file), lines=(line,))

    @override
    def dry_run(self, config: RayConfig, context: ExperimentContext, first: Start) -> str:
        """The request for the first job."""
        folder = Path(config.shared_folder or "EXPERIMENT").expanduser() / context.tag
        channel = make_channel(context.script, config, folder)
        name = JobOrder(run=Run(trial_id=0, attempt=0, until=first.until), config=first.config).name
        request = job_request(
            config,
            config.environment(),
            f"tw-{context.tag}-{name.key}",
            channel.run_folder(name),
            channel.command(name.key),
        )
        return f"POST {dashboard_address(config.address)}/api/jobs/\n{json.dumps(request, indent=2)}"

    @override
    def examine(self, config: RayConfig, folder: Path) -> Iterator[Finding]:
        """Dashboard, token, nodes, the shared folder, and a job of a second."""
        folder = trials_folder(config.shared_folder, folder.name, own=folder)
        try:
            yield from examine(config, RayClient(dashboard_address(config.address), auth_token()), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @override
    def unknown_costs(self, config: RayConfig, context: ExperimentContext) -> str:
        """A price that was not given."""
        return "" if config.price_per_hour else "the price of a job is not known: give --price_per_hour"


PLUGIN: Final = RayPlugin()


def _trials(config: RayConfig, context: ExperimentContext) -> Path:
    """Where the files of trials lie."""
    return trials_folder(config.shared_folder, context.folder.name, own=context.folder.trials_path)
