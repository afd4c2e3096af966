"""WorkersBackend: each run is a task that a worker takes."""

from __future__ import annotations

from typing import Final, final

from tunewright.aws import AwsSession
from tunewright.backends.engine import EngineBackend, Notices, WorkerDispatcher
from tunewright.backends.engine.worker_jobs import WorkerJobOrder, WorkerTimes
from tunewright.backends.s3.tasks import S3TaskBoard
from tunewright.backends.sagemaker.backend import make_context
from tunewright.backends.sagemaker.config import MAX_RUN_MAX, S3, SageMakerConfig
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.requests import JobRequest, build_worker_request, worker_deployment
from tunewright.backends.sagemaker.settings import JobSettings, WorkerSettings
from tunewright.backends.sagemaker.workers.sizing import plan_fleet, worker_parameters
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend


@final
class WorkersBackend(EngineBackend, Backend):
    """Runs trials on workers: the instances of a few long SageMaker training jobs, which take run after run over S3.

    A run is posted as a task; a worker claims it, and shows by renewing a lease that it works on it. Reports, requests
    and checkpoints go the same ways as in jobs mode, and no request to SageMaker is made per run. A run whose worker
    is lost goes on elsewhere as the next retry.

    The backend owns the session: :meth:`close` closes it.

    Attributes
    ----------
    deployment
        Role, bucket, image and names.
    fleet
        Jobs and instances of the workers.

    Parameters
    ----------
    benchmark
        Script and number of workers.
    config
        Instances and limits; ``max_run`` is that of a run.
    experiment
        Any name; job names and S3 keys are made from it, and the same name finds everything again.
    session
        From :func:`tunewright.aws.open_session`.
    workers
        Times of worker jobs; None: the defaults, and ``abandon_after`` of the config.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script, or a run needs several instances.
    """

    def __init__(
        self,
        benchmark: RealBenchmarkDefinition,
        config: SageMakerConfig,
        *,
        experiment: str,
        session: AwsSession,
        workers: WorkerSettings | None = None,
    ) -> None:
        settings = JobSettings(benchmark=benchmark, config=config)
        workers = workers or WorkerSettings(abandon_seconds=config.abandon_after or MAX_RUN_MAX)
        refuse_what_workers_cannot(settings, workers)
        site = ExperimentSite(settings, experiment, session, Notices())
        self.deployment: Final = site.deployment
        self.fleet: Final = plan_fleet(
            benchmark.n_workers, settings.instance_type, config.trials_per_instance
        )
        endpoint, deployment = session.endpoint, worker_deployment(site.deployment)
        parameters = worker_parameters(workers, self.fleet, endpoint)

        def build(order: WorkerJobOrder) -> JobRequest:
            return build_worker_request(order, deployment, settings, parameters)

        context = make_context(site, deployment, build)
        times = WorkerTimes(
            lease=parameters.lease_seconds,
            take=parameters.take_seconds,
            hand_over=parameters.hand_over_seconds,
            idle=endpoint.seconds(workers.idle_seconds, at_least=workers.shortest_idle),
        )
        board = S3TaskBoard(site.objects, benchmark)
        dispatcher = WorkerDispatcher(context, board, self.fleet, times, ahead=workers.ahead)
        super().__init__(context, dispatcher)


def refuse_what_workers_cannot(settings: JobSettings, workers: WorkerSettings | None = None) -> None:
    """Raise if a run needs more than a worker has.

    Parameters
    ----------
    settings
        Of the runs.
    workers
        None: as they are by default.

    Raises
    ------
    SettingsError
        A run needs several instances or an isolated one, or spot jobs of workers would not live to their end.
    """
    if settings.benchmark.instance_count > 1:
        raise SettingsError(
            f"A worker is one instance, and each trial needs {settings.benchmark.instance_count}: use --execution jobs"
        )
    if settings.channel != S3:
        raise SettingsError(
            "Workers take runs over S3, which the channel logs does without: use --execution jobs"
        )
    job_seconds = (workers or WorkerSettings()).job_seconds
    if settings.config.spot and settings.config.max_wait is not None and settings.max_wait < job_seconds:
        raise SettingsError(
            f"max_wait is for jobs of workers here, and must be at least the time of one, {job_seconds} s, which it "
            f"includes, not {settings.max_wait}: give more, leave it out, or use --execution jobs"
        )
