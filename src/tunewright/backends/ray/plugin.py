"""The Ray backend as a plugin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import job_name, trials_folder
from tunewright.backends.engine.folder_channel import FolderChannel
from tunewright.backends.folder_plugin import FolderPlugin, first_order, jobs_line
from tunewright.backends.plugin import (
    BackendPlugin,
    Description,
    ExperimentContext,
    Finding,
    TrialLog,
    TunerJob,
)
from tunewright.backends.ray import s3_program
from tunewright.backends.ray.backend import RayBackend, make_channel, times_of
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.examination import examine, examine_s3
from tunewright.backends.ray.job_service import job_request
from tunewright.backends.ray.logs import WholeLog, trial_output
from tunewright.backends.ray.places import Entry, seen_command
from tunewright.backends.ray.s3_place import S3Place, open_s3, s3_objects
from tunewright.backends.ray.s3_program import PROGRAM_VARIABLE
from tunewright.backends.ray.tuner_job import launch
from tunewright.backends.s3.checkpoints import download
from tunewright.backends.s3.tasks import run_logs
from tunewright.exceptions import SettingsError
from tunewright.runner.s3_keys import checkpoint_prefix
from tunewright.trial import Checkpoint, Start


@final
class RayPlugin(FolderPlugin[RayConfig], BackendPlugin[RayConfig]):
    """Trials are jobs of a Ray cluster."""

    config = RayConfig

    @override
    def build(self, config: RayConfig, context: ExperimentContext) -> RayBackend:
        """Build the backend on the experiment's folder, or on one of its name below ``shared_folder``."""
        return RayBackend(
            context.script,
            config,
            experiment=context.folder.name,
            folder=context.folder.trials_path if config.is_in_s3 else self.trials(config, context),
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
        order = first_order(config, first)
        name = job_name(context.tag, order.key)
        if config.is_in_s3:
            session = open_s3()
            entry = S3Place(context.script, config, context.tag, session, times_of(config)).entry(order, name)
            shown = {**entry.variables, PROGRAM_VARIABLE: f"<source of {s3_program.__name__}>"}
            entry = replace(entry, variables=shown)
            session.close()
        else:
            job = self.first_job(config, context, first)
            entry = Entry(command=seen_command(job.folder, job.command))
        request = job_request(config, config.environment(), name, entry)
        return f"POST {dashboard_address(config.address)}/api/jobs/\n{json.dumps(request, indent=2)}"

    @override
    def logs(self, config: RayConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """Files of the shared folder; with S3 the output of the trial's jobs in Ray, or that which workers stored in S3."""
        if not config.is_in_s3:
            return super().logs(config, context, trial_id)
        if config.execution == "workers":
            session = open_s3()
            objects = s3_objects(config, context.folder.name, session)
            return WholeLog(lambda: run_logs(objects, trial_id), session.close)
        client = RayClient(dashboard_address(config.address), auth_token())
        return WholeLog(lambda: trial_output(client, context.folder.name, trial_id))

    @override
    def checkpoint_place(self, config: RayConfig, context: ExperimentContext, checkpoint: Checkpoint) -> str:
        """The folder of a complete checkpoint, or its address in S3."""
        if not config.is_in_s3:
            return super().checkpoint_place(config, context, checkpoint)
        place = checkpoint_prefix(checkpoint.trial_id, checkpoint.resource)
        return f"{config.shared_folder.rstrip('/')}/{context.folder.name}/{place}"

    @override
    def copy_checkpoint(
        self, config: RayConfig, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        """Copy it from the shared folder, or download it from S3."""
        if not config.is_in_s3:
            super().copy_checkpoint(config, context, checkpoint, folder)
            return
        session = open_s3()
        try:
            objects = s3_objects(config, context.folder.name, session)
            if not download(objects, checkpoint_prefix(checkpoint.trial_id, checkpoint.resource), folder):
                raise SettingsError(
                    f"The checkpoint of trial {checkpoint.trial_id} at {checkpoint.resource} is not in {objects.uri()}: "
                    "it was deleted"
                )
        finally:
            session.close()

    @override
    def examine(self, config: RayConfig, folder: Path) -> Iterator[Finding]:
        """Dashboard, token, nodes, the shared folder, and a job of a second; with S3 the bucket, and no job."""
        client = RayClient(dashboard_address(config.address), auth_token())
        if config.is_in_s3:
            yield from examine_s3(config, client, folder.name)
            return
        folder = trials_folder(config.shared_folder, folder.name, own=folder)
        try:
            yield from examine(config, client, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @override
    def launch(self, config: RayConfig, tuner: TunerJob) -> str:
        return launch(config, tuner)


PLUGIN: Final = RayPlugin()
