"""RayBackend: each run is a job of a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.aws import AwsSession
from tunewright.backends.engine import (
    EngineBackend,
    EngineContext,
    EngineSettings,
    JobDispatcher,
    Notices,
    ServiceTime,
    WorkerDispatcher,
    channel_for,
    folder_engine,
    worker_times,
)
from tunewright.backends.engine.backend import Dispatcher
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_backend import job_name
from tunewright.backends.engine.folder_channel import FolderChannel, FolderOrder
from tunewright.backends.engine.worker_jobs import FleetPlan, WorkerTimes
from tunewright.backends.ray.client import RayClient, auth_token, dashboard_address
from tunewright.backends.ray.config import ONE_NODE, RayConfig
from tunewright.backends.ray.job_service import RayJobs
from tunewright.backends.ray.places import FolderPlace
from tunewright.backends.ray.s3_place import S3Place, open_s3
from tunewright.backends.s3.channel import OVERLAP_SECONDS, S3Channel
from tunewright.backends.s3.tasks import S3TaskBoard
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend

_STATUS_PERIOD: Final = 15.0
_MIN_INTERVAL: Final = 0.5
"""Least seconds between two requests of one kind."""


@final
class RayBackend(EngineBackend, Backend):
    """Runs trials as jobs of a Ray cluster, or on jobs that take run after run; reports, requests and checkpoints go through a folder that all nodes see, or through S3.

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
        For the files of trials, under the same path on all nodes; not used if ``shared_folder`` is an address in S3.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """

    def __init__(
        self, benchmark: RealBenchmarkDefinition, config: RayConfig, *, experiment: str, folder: Path
    ) -> None:
        check_nodes(benchmark)
        notices = Notices()
        client = RayClient(dashboard_address(config.address), auth_token())
        costs = FlatCosts(notices, calls=client.calls if config.price_per_hour else {})
        prices = FlatPrices(client.address, config.price_per_hour)
        settings = EngineSettings(
            engine="Ray",
            n_workers=benchmark.n_workers,
            max_retries=config.max_retries,
            stop_grace=config.stop_grace,
            close_seconds=config.close_seconds,
            status_period=_STATUS_PERIOD,
            ending_period=config.list_seconds,
            cleanup_hint=f"'ray job list' shows those of {job_name(experiment, '')}*; 'ray job stop' ends one",
        )
        self._session: AwsSession | None = None
        if not config.is_in_s3:
            channel = make_channel(benchmark, config, folder)
            jobs = RayJobs(client, FolderPlace(channel), config, experiment, notices)
            context, dispatcher = folder_engine(
                channel, jobs, settings, costs=costs, prices=prices, notices=notices
            )
            super().__init__(context, dispatcher)
            return
        self._session = open_s3()
        workers = times_of(config)
        place = S3Place(benchmark, config, experiment, self._session, workers)
        s3_context = EngineContext(
            jobs=RayJobs(client, place, config, experiment, notices),
            channel=S3Channel(place.objects, overlap=OVERLAP_SECONDS),
            costs=costs,
            prices=prices,
            settings=settings,
            time=ServiceTime(speed=1.0, min_interval=_MIN_INTERVAL),
            notices=notices,
        )
        super().__init__(s3_context, _dispatcher(s3_context, place, benchmark, workers))

    @override
    def close(self) -> None:
        """End all jobs so that their runs can be continued; see :meth:`EngineBackend.close`."""
        try:
            super().close()
        finally:
            if self._session is not None:
                self._session.close()


def _dispatcher(
    context: EngineContext[FolderOrder],
    place: S3Place,
    benchmark: RealBenchmarkDefinition,
    workers: WorkerTimes | None,
) -> Dispatcher:
    """Jobs, or workers, whose tasks are in S3."""
    if workers is None:
        return JobDispatcher(context)
    plan = FleetPlan(slots=1, instances=benchmark.n_workers, jobs=benchmark.n_workers)
    return WorkerDispatcher(context, S3TaskBoard(place.objects, benchmark), plan, workers)


def times_of(config: RayConfig) -> WorkerTimes | None:
    """Times of workers; None: each run is a job."""
    if config.execution == "jobs":
        return None
    return worker_times(lease=config.silent_after, idle=config.idle_after)


def check_nodes(benchmark: RealBenchmarkDefinition) -> None:
    """Check that a trial needs one node.

    Raises
    ------
    SettingsError
        It needs several.
    """
    if benchmark.instance_count > 1:
        raise SettingsError(f"instance_count={benchmark.instance_count} {ONE_NODE}")


def make_channel(benchmark: RealBenchmarkDefinition, config: RayConfig, folder: Path) -> FolderChannel:
    """The shared folder of an experiment; nothing is created.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """
    check_nodes(benchmark)
    return channel_for(
        benchmark,
        folder,
        python=config.interpreter(sys.executable),
        abandon_seconds=config.abandon_after,
        checkpoint_seconds=config.checkpoint_seconds,
        silent_seconds=config.silent_after,
        workers=times_of(config),
    )
