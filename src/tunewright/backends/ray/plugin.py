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
from tunewright.backends.engine.folder_channel import FolderChannel
from tunewright.backends.folder_plugin import FolderPlugin, jobs_line
from tunewright.backends.plugin import Description, ExperimentContext, Finding, TunerJob
from tunewright.backends.ray.backend import RayBackend, make_channel
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.examination import examine
from tunewright.backends.ray.job_service import job_request
from tunewright.backends.ray.tuner_job import launch
from tunewright.trial import Start


@final
class RayPlugin(FolderPlugin[RayConfig]):
    """Trials are jobs of a Ray cluster."""

    config = RayConfig

    @override
    def build(self, config: RayConfig, context: ExperimentContext) -> RayBackend:
        """Build the backend on the experiment's folder, or on one of its name below ``shared_folder``."""
        return RayBackend(
            context.script, config, experiment=context.folder.name, folder=self.trials(config, context)
        )

    @override
    def channel(self, config: RayConfig, context: ExperimentContext, folder: Path) -> FolderChannel:
        return make_channel(context.script, config, folder)

    @override
    def describe(self, config: RayConfig, context: ExperimentContext) -> Description[RayConfig]:
        """Decide on the cluster; the number of jobs, and where their files lie."""
        config.environment()
        address = dashboard_address(config.address)
        file = str(Path(config.runtime_env).expanduser().absolute()) if config.runtime_env else ""
        line = jobs_line("Ray", config, context.script.n_workers, f"on {address}")
        return Description(config=replace(config, address=address, runtime_env=file), lines=(line,))

    @override
    def dry_run(self, config: RayConfig, context: ExperimentContext, first: Start) -> str:
        """The request for the first job."""
        job = self.first_job(config, context, first)
        request = job_request(config, config.environment(), job.name, job.folder, job.command)
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
    def launch(self, config: RayConfig, tuner: TunerJob) -> str:
        return launch(config, tuner)


PLUGIN: Final = RayPlugin()
