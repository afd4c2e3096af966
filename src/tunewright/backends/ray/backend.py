"""RayBackend: each run is a job of a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, final

from tunewright.backends.engine import (
    EngineBackend,
    EngineContext,
    EngineSettings,
    JobDispatcher,
    Notices,
    ServiceTime,
)
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_channel import FolderChannel, order_template
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.job_service import RayJobs
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend

_STATUS_PERIOD: Final = 15.0
_LEAST_ANSWER: Final = 0.5
"""Seconds between two looks of a runner at its control file are at most twice this."""


@final
class RayBackend(EngineBackend, Backend):
    """Runs trials as jobs of a Ray cluster; reports, requests and checkpoints go through a folder that all nodes see.

    One request lists all jobs. Lost nodes and restarts of the head become retries from the newest checkpoint.

    Parameters
    ----------
    benchmark
        Script and number of workers.
    config
        Cluster, and resources of each job.
    experiment
        Unique name; the jobs' names are made from it, and the same name finds the jobs again.
    folder
        For the files of trials, under the same path on all nodes.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """

    def __init__(
        self, benchmark: RealBenchmarkDefinition, config: RayConfig, *, experiment: str, folder: Path
    ) -> None:
        notices = Notices()
        channel = make_channel(benchmark, config, folder)
        client = RayClient(dashboard_address(config.address), auth_token())
        context = EngineContext(
            jobs=RayJobs(client, channel, config, experiment, notices),
            channel=channel,
            costs=FlatCosts(notices, calls=client.calls if config.price_per_hour else {}),
            prices=FlatPrices(client.address, config.price_per_hour),
            settings=EngineSettings(
                engine="Ray",
                n_workers=benchmark.n_workers,
                max_retries=config.max_retries,
                stop_grace=config.stop_grace,
                close_seconds=config.close_seconds,
                status_period=_STATUS_PERIOD,
                ending_period=config.list_seconds,
                cleanup_hint=f"'ray job list' shows those of tw-{experiment}; 'ray job stop' ends one",
            ),
            time=ServiceTime(speed=1.0, min_interval=_LEAST_ANSWER),
            notices=notices,
        )
        super().__init__(context, JobDispatcher(context))


def make_channel(benchmark: RealBenchmarkDefinition, config: RayConfig, folder: Path) -> FolderChannel:
    """The shared folder of an experiment; nothing is created.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """
    if benchmark.until_as_max_resource and not benchmark.max_resource_attr:
        raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
    if benchmark.instance_count > 1:
        raise SettingsError(f"instance_count={benchmark.instance_count}: a trial on Ray has one node")
    return FolderChannel(
        folder,
        order_template(benchmark),
        python=config.interpreter(sys.executable),
        until_name=(benchmark.max_resource_attr or "") if benchmark.until_as_max_resource else "",
        abandon_seconds=config.abandon_after,
        checkpoint_seconds=config.checkpoint_seconds,
        silent_seconds=config.silent_after,
    )
