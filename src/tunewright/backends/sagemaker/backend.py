"""SageMakerBackend: each run is a training job."""

from __future__ import annotations

from typing import Final, final

from tunewright.aws import AwsSession
from tunewright.backends.engine import EngineBackend, JobDispatcher, Notices
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.context import make_context, run_requests
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.interfaces import Backend


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
