"""RayBackend: each run is a job of a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, final

from tunewright.backends.engine import (
    EngineBackend,
    EngineSettings,
    Notices,
    channel_for,
    folder_engine,
    worker_times,
)
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_channel import FolderChannel
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import ONE_NODE, RayConfig
from tunewright.backends.ray.job_service import RayJobs
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend

_STATUS_PERIOD: Final = 15.0


@final
class RayBackend(EngineBackend, Backend):
    """Runs trials as jobs of a Ray cluster, or on jobs that take run after run; reports, requests and checkpoints go through a folder that all nodes see.

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
        context, dispatcher = folder_engine(
            channel,
            RayJobs(client, channel, config, experiment, notices),
            EngineSettings(
                engine="Ray",
                n_workers=benchmark.n_workers,
                max_retries=config.max_retries,
                stop_grace=config.stop_grace,
                close_seconds=config.close_seconds,
                status_period=_STATUS_PERIOD,
                ending_period=config.list_seconds,
                cleanup_hint=f"'ray job list' shows those of tw-{experiment}; 'ray job stop' ends one",
            ),
            costs=FlatCosts(notices, calls=client.calls if config.price_per_hour else {}),
            prices=FlatPrices(client.address, config.price_per_hour),
            notices=notices,
        )
        super().__init__(context, dispatcher)


def make_channel(benchmark: RealBenchmarkDefinition, config: RayConfig, folder: Path) -> FolderChannel:
    """The shared folder of an experiment; nothing is created.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """
    if benchmark.instance_count > 1:
        raise SettingsError(f"instance_count={benchmark.instance_count} {ONE_NODE}")
    workers = None
    if config.execution == "workers":
        workers = worker_times(lease=config.silent_after, idle=config.idle_after)
    return channel_for(
        benchmark,
        folder,
        python=config.interpreter(sys.executable),
        abandon_seconds=config.abandon_after,
        checkpoint_seconds=config.checkpoint_seconds,
        silent_seconds=config.silent_after,
        workers=workers,
    )
