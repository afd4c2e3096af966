"""SageMakerBackend: each run is a training job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, final

from tunewright.aws import AwsSession, prices_at
from tunewright.backends.engine import (
    EngineBackend,
    EngineContext,
    EngineSettings,
    JobDispatcher,
    Notices,
    ServiceTime,
)
from tunewright.backends.engine.channel import Channel
from tunewright.backends.engine.job_service import JobOrder, OrderT
from tunewright.backends.engine.run_meter import Overheads
from tunewright.backends.s3.channel import OVERLAP_SECONDS, SHORTEST_OVERLAP, S3Channel
from tunewright.backends.s3.checkpoints import CopiedCheckpoints
from tunewright.backends.sagemaker.config import LOGS, SageMakerConfig
from tunewright.backends.sagemaker.costs import SageMakerCosts, SageMakerPrices
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.job_service import JobLogs, SageMakerJobs
from tunewright.backends.sagemaker.log_channel import LogChannel
from tunewright.backends.sagemaker.requests import Deployment, JobRequest, build_request
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.interfaces import Backend
from tunewright.trial import ServiceTrouble


@final
class SageMakerBackend(EngineBackend, Backend):
    """Runs trials as SageMaker training jobs, on AWS or on any endpoint that speaks its protocol.

    Reports come through S3 listings, or through the log if jobs have no network; statuses come from end markers and
    ListTrainingJobs. No request is made per job while all goes well. Failures of the service (capacity, limits,
    throttling, lost answers) are waited for or retried, and show as notices of the summary.

    The backend owns the session: :meth:`close` closes it.

    Attributes
    ----------
    deployment
        Role, bucket, image and names.

    Parameters
    ----------
    benchmark
        Script, number of workers, and needs of a trial.
    config
        Instances, limits, warm pool.
    experiment
        Any name; job names and S3 keys are made from it, and the same name finds the jobs again.
    session
        From :func:`tunewright.aws.open_session`.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script, or a setting cannot work.
    """

    def __init__(
        self,
        benchmark: RealBenchmarkDefinition,
        config: SageMakerConfig,
        *,
        experiment: str,
        session: AwsSession,
    ) -> None:
        settings = JobSettings(benchmark=benchmark, config=config)
        site = ExperimentSite(settings, experiment, session, Notices())
        self.deployment: Final = site.deployment
        context = make_context(site, site.deployment, run_requests(site))
        super().__init__(context, JobDispatcher(context))


BILLED_OVERHEADS: Final = Overheads(cold_start=30.0, warm_start=8.0, upload=5.0, unseen_start=75.0)
"""Billed service seconds of a job beside its training, as measured on AWS: data and image are loaded before it."""
_CLEANUP_HINT: Final = "'tunewright sagemaker cleanup' shows and ends what is left"


def make_context(
    site: ExperimentSite, deployment: Deployment, build: Callable[[OrderT], JobRequest]
) -> EngineContext[OrderT]:
    """The context of an experiment.

    Parameters
    ----------
    site
        The experiment's place in the account.
    deployment
        With the prefix of the jobs' names.
    build
        Builds the request of an order.
    """
    session, settings, notices = site.session, site.settings, site.notices
    session.on_throttled = lambda operation: notices.record(
        ServiceTrouble.THROTTLED, f"AWS throttles {operation}: the request is sent again"
    )
    jobs = SageMakerJobs(site, deployment.job_prefix, build)
    time = ServiceTime(session.endpoint.speed, settings.config.min_interval)
    prices = SageMakerPrices(settings, notices, prices_at(session.endpoint))
    return EngineContext(
        jobs=jobs,
        channel=_channel(site, jobs, time),
        costs=SageMakerCosts(jobs, settings, notices, session, prices),
        prices=prices,
        settings=_engine_settings(settings),
        time=time,
        notices=notices,
    )


def run_requests(site: ExperimentSite) -> Callable[[JobOrder], JobRequest]:
    """The builder of requests of runs; with the channel ``logs`` it finds the checkpoint that an input channel brings."""
    copied = CopiedCheckpoints(site.objects)

    def build(order: JobOrder) -> JobRequest:
        source = order.run.from_checkpoint
        if site.settings.channel != LOGS or source is None:
            return build_request(order, site.deployment, site.settings)
        prefix = copied.prefix_of(source)
        if prefix is None:
            reason = f"The checkpoint of trial {source.trial_id} at {source.resource} is incomplete in {site.objects.uri()}"
            return JobRequest(fields={}, refusal=reason)
        return build_request(replace(order, checkpoint_key=prefix), site.deployment, site.settings)

    return build


def _channel(site: ExperimentSite, jobs: SageMakerJobs[OrderT], time: ServiceTime) -> Channel:
    if site.settings.channel == LOGS:
        return LogChannel(JobLogs(site.session), jobs, CopiedCheckpoints(site.objects), time)
    overlap = time.seconds(OVERLAP_SECONDS, at_least=SHORTEST_OVERLAP)
    return S3Channel(site.objects, overlap=overlap, n_shards=site.settings.n_report_shards)


def _engine_settings(settings: JobSettings) -> EngineSettings:
    return EngineSettings(
        engine="SageMaker",
        n_workers=settings.benchmark.n_workers,
        instances_per_job=settings.benchmark.instance_count,
        keeps_instances=settings.config.warm_pool,
        is_restartable=settings.is_restartable,
        max_retries=settings.config.max_retries,
        stop_grace=settings.config.stop_grace,
        close_seconds=settings.close_seconds,
        billed_share=settings.billed_share,
        overheads=BILLED_OVERHEADS,
        cleanup_hint=_CLEANUP_HINT,
    )
