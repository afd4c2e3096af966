"""The SageMaker backend as a plugin: from config and benchmark to training jobs, and what is said before they are created."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar, final

from typing_extensions import override

from tunewright.aws import (
    REMOTE_VARIABLE,
    AwsSession,
    Endpoint,
    EndpointKind,
    default_bucket,
    open_session,
    resolve_endpoint,
)
from tunewright.backends.plugin import (
    BackendPlugin,
    Description,
    ExperimentContext,
    TrialLog,
)
from tunewright.backends.sagemaker.backend import SageMakerBackend
from tunewright.backends.sagemaker.config import SageMakerConfig, SageMakerPlace
from tunewright.backends.sagemaker.deployment import ROOT_PREFIX, TrainingScript, dry_run, estimate
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.plugin.execution import choose_execution
from tunewright.backends.sagemaker.requests import job_prefix, merge
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.workers import (
    WorkersBackend,
    WorkerSettings,
    dry_run_workers,
    run_logs,
)
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend
from tunewright.runner.requirements import SHARED_VARIABLE
from tunewright.runner.run_order import AS_CONFIG_JSON, AS_LIST
from tunewright.storage import package_cache
from tunewright.trial import Start

_STOP_SECONDS: Final = 80.0
"""Time for the trials' jobs to end, out of the two minutes that a stopped tuning job has; then pools are released."""
_RULE: Final = "*" * 100
_EMBEDDED: Final = "SageMaker training jobs run on an endpoint embedded in this machine"
_NO_CREDENTIALS: Final = f"""\
{_RULE}
*** NO AWS CREDENTIALS WERE FOUND: nothing is created on AWS, nothing is billed.
*** {_EMBEDDED}.
*** For AWS: aws configure (or aws sso login), then this command again.
{_RULE}"""

P = TypeVar("P", bound=SageMakerPlace)


@final
class SageMakerPlugin(BackendPlugin[SageMakerConfig]):
    """Trials are SageMaker training jobs."""

    config = SageMakerConfig

    @override
    def build(self, config: SageMakerConfig, context: ExperimentContext) -> Backend:
        """Open a session, and build the backend of the config's execution mode; ``auto`` is a job per run."""
        endpoint = endpoint_of(config)
        settings = sagemaker_settings(context.script, config)
        settings = replace(settings, environment={**shared_packages(endpoint), **settings.environment})
        script, name = _script(context.script), context.folder.name
        session = open_session(endpoint)
        try:
            if config.execution == "workers":
                return WorkersBackend(
                    script,
                    experiment=name,
                    session=session,
                    settings=settings,
                    workers=_worker_settings(config),
                )
            return SageMakerBackend(script, experiment=name, session=session, settings=settings)
        except BaseException:
            session.close()
            raise

    @override
    def logs(self, config: SageMakerConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """CloudWatch's log events of the trial's jobs; in workers mode, the output that workers stored in S3."""
        session, prefix = open_session(endpoint_of(config)), job_prefix(context.folder.name)
        if config.execution != "workers":
            return ServiceLog(session, lambda: job_logs(session, prefix, trial_id))
        objects = session.objects(config.bucket or default_bucket(session), f"{ROOT_PREFIX}/{prefix}")
        return ServiceLog(session, lambda: run_logs(objects, trial_id))

    @override
    def describe(self, config: SageMakerConfig, context: ExperimentContext) -> Description[SageMakerConfig]:
        """Decide execution mode and endpoint; say which mode keeps how many workers busy, quotas, instances and price."""
        settings = sagemaker_settings(context.script, config)
        execution, advice = choose_execution(context.script, config, settings)
        description = describe_jobs(replace(config, execution=execution), settings)
        return replace(description, advice=(advice,))

    @override
    def dry_run(self, config: SageMakerConfig, context: ExperimentContext, first: Start) -> str:
        benchmark, endpoint = context.script, endpoint_of(config)
        settings = sagemaker_settings(benchmark, config)
        if config.execution == "workers":
            request = dry_run_workers(
                _script(benchmark),
                experiment=context.tag,
                endpoint=endpoint,
                settings=settings,
                workers=_worker_settings(config),
            )
        else:
            request = dry_run(
                _script(benchmark),
                first.config,
                experiment=context.tag,
                endpoint=endpoint,
                settings=settings,
                until=first.until,
            )
        return json.dumps(request, indent=2)

    @override
    def price(self, config: SageMakerConfig, context: ExperimentContext) -> float | None:
        """Of all instances together, of the most expensive type; None if a price is unknown."""
        return estimate(sagemaker_settings(context.script, config)).dollars_per_hour


PLUGIN: Final = SageMakerPlugin()


def endpoint_of(place: SageMakerPlace) -> Endpoint:
    """The endpoint of requests. Nothing is started, no request is made.

    Raises
    ------
    SettingsError
        Endpoint, region and speed contradict each other.
    """
    return resolve_endpoint(place.endpoint, speed=place.speed, region=place.region)


def describe_jobs(place: P, settings: SageMakerSettings) -> Description[P]:
    """Decide the endpoint, and describe the training jobs created there: trials' jobs or tuning jobs.

    Parameters
    ----------
    place
        Config of the jobs.
    settings
        Number and kind of their instances.

    Raises
    ------
    SettingsError
        Endpoint, region and speed contradict each other.
    """
    endpoint = endpoint_of(place)
    lines = (_quota_text(settings),) if settings.warm_pool or settings.spot else ()
    if endpoint.kind is EndpointKind.OTHER:
        lines += (f"SageMaker training jobs run on {place.endpoint}",)
        return Description(config=replace(place, region=endpoint.region), lines=lines)
    settled = replace(place, endpoint=str(endpoint.kind), region=endpoint.region)
    if endpoint.kind is EndpointKind.EMBEDDED:
        is_fallback = place.endpoint == "auto"
        lines += (_NO_CREDENTIALS if is_fallback else f"{_EMBEDDED}; nothing is created on AWS",)
        return Description(config=settled, lines=lines)
    lines += (
        f"On AWS, region {endpoint.region}, this creates training jobs, {estimate(settings)}, and files in S3",
    )
    error = "AWS credentials were found, and there is no terminal to ask at: give --endpoint aws, --yes or --endpoint embedded"
    return Description(
        config=settled,
        lines=lines,
        must_confirm=True,
        unattended_error="" if place.endpoint == EndpointKind.AWS else error,
    )


def _quota_text(settings: SageMakerSettings) -> str:
    n, kind = settings.n_workers * settings.instance_count, settings.instance_type
    if settings.spot:
        return f'Spot instances need a quota of {n} for "{kind} for spot training job usage" (Service Quotas)'
    return (
        f'Warm pools need a quota of {n} both for "{kind} for training job usage" and for '
        f'"{kind} for training warm pool usage" (Service Quotas)'
    )


# --- from benchmark and config to the settings of training jobs


def sagemaker_settings(benchmark: RealBenchmarkDefinition, config: SageMakerConfig) -> SageMakerSettings:
    """Settings of the training jobs of a benchmark's trials.

    Raises
    ------
    SettingsError
        A setting cannot work.
    """
    default = SageMakerSettings()
    template = merge(_network(config), merge(config.request_template, _channels(benchmark.inputs)))
    return SageMakerSettings(
        n_workers=benchmark.n_workers,
        instance_types=_instance_types(
            config.instance_type or benchmark.instance_type or default.instance_type
        ),
        instance_count=benchmark.instance_count,
        channel=config.channel,
        network_isolation=config.network_isolation,
        warm_pool=config.warm_pool,
        spot=config.spot,
        max_wait_seconds=config.max_wait,
        role=config.role,
        bucket=config.bucket,
        image_uri=config.image_uri,
        framework=benchmark.framework,
        volume_gb=config.volume_gb or default.volume_gb,
        close_seconds=_STOP_SECONDS if REMOTE_VARIABLE in os.environ else default.close_seconds,
        max_run_seconds=config.max_run or default.max_run_seconds,
        tags=config.tags,
        request_template=merge(benchmark.request_template, template),
        environment=benchmark.environment,
        arguments=AS_CONFIG_JSON if benchmark.config_json else AS_LIST,
        max_resource_attr=benchmark.max_resource_attr or "",
        until_as_max_resource=benchmark.until_as_max_resource,
    )


def _instance_types(given: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in given.split(",") if one.strip())


def _network(config: SageMakerConfig) -> dict[str, Any]:
    """VPC and keys, as fields of a CreateTrainingJob request."""
    template: dict[str, Any] = {}
    if config.kms_key:
        template["OutputDataConfig"] = {"KmsKeyId": config.kms_key}
        template["ResourceConfig"] = {"VolumeKmsKeyId": config.kms_key}
    if config.subnets and config.security_group_ids:
        template["VpcConfig"] = {
            "Subnets": config.subnets.split(","),
            "SecurityGroupIds": config.security_group_ids.split(","),
        }
    return template


def _channels(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Input channels of a training job.

    Raises
    ------
    SettingsError
        An input is not in S3.
    """
    for name, uri in inputs.items():
        if not uri.startswith("s3://"):
            raise SettingsError(
                f"The input {name} of a training job lies in S3: give s3://bucket/prefix, not {uri!r}"
            )
    channels = [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": uri,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
        for name, uri in inputs.items()
    ]
    return {"InputDataConfig": channels} if channels else {}


def _script(benchmark: RealBenchmarkDefinition) -> TrainingScript:
    return TrainingScript(
        path=benchmark.script,
        resource_attr=benchmark.resource_attr or "",
        dependencies=benchmark.dependencies,
    )


def _worker_settings(config: SageMakerConfig) -> WorkerSettings:
    return WorkerSettings(trials_per_instance=config.trials_per_instance)


def shared_packages(endpoint: Endpoint) -> dict[str, str]:
    """Variables by which jobs of the embedded endpoint share installed packages: all of them are on this machine."""
    if endpoint.kind is not EndpointKind.EMBEDDED:
        return {}
    return {SHARED_VARIABLE: os.environ.get(SHARED_VARIABLE) or str(package_cache())}


# --- logs of trials


@final
class ServiceLog(TrialLog):
    """Output in a service, which is read whole at each look.

    Parameters
    ----------
    session
        An open session; closed with this object.
    read
        Reads all output so far.
    """

    def __init__(self, session: AwsSession, read: Callable[[], str]) -> None:
        self._session = session
        self._read = read
        self._n_read = 0

    @override
    def new_text(self) -> str:
        text = self._read()
        new, self._n_read = text[self._n_read :], len(text)
        return new

    @override
    def close(self) -> None:
        """Close the session."""
        self._session.close()
