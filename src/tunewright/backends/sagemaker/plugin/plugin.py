"""The SageMaker backend as a plugin: from config and benchmark to training jobs, and what is said before they are created."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar, final

from typing_extensions import override

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    ServiceError,
    choose_bucket,
    ensure_bucket,
    open_session,
    prices_at,
    resolve_endpoint,
)
from tunewright.aws.catalog import TABLE
from tunewright.aws.mirror import open_mirrored
from tunewright.backends.plugin import (
    BackendPlugin,
    Description,
    ExperimentContext,
    Finding,
    TrialLog,
)
from tunewright.backends.s3.checkpoints import CopiedCheckpoints, download
from tunewright.backends.s3.code import ROOT_PREFIX, StoredCode
from tunewright.backends.s3.tasks import run_logs
from tunewright.backends.sagemaker.backend import SageMakerBackend
from tunewright.backends.sagemaker.config import LOGS, SageMakerConfig, SageMakerPlace
from tunewright.backends.sagemaker.deployment import (
    Estimate,
    bundle,
    check_images,
    dry_run,
    estimate,
    journal_prefix,
    sources,
    unpriced_types,
)
from tunewright.backends.sagemaker.examination import examine
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.plugin.execution import choose_execution
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.backends.sagemaker.template import check_own_fields, check_tags
from tunewright.backends.sagemaker.workers import (
    WorkersBackend,
    WorkerSettings,
    dry_run_workers,
)
from tunewright.events import Header
from tunewright.exceptions import BackendError, SettingsError
from tunewright.formatting import listed
from tunewright.interfaces import Backend
from tunewright.journal import Journal
from tunewright.runner.checkpoints import SYNCED
from tunewright.runner.requirements import SHARED_VARIABLE
from tunewright.runner.s3_keys import checkpoint_prefix
from tunewright.storage import package_cache
from tunewright.trial import Checkpoint, Start

_RULE: Final = "*" * 100
_EMBEDDED: Final = "SageMaker training jobs run on an endpoint embedded in this machine"
_NO_CREDENTIALS: Final = f"""\
{_RULE}
*** NO AWS CREDENTIALS WERE FOUND: nothing is created on AWS, nothing is billed.
*** {_EMBEDDED}.
*** For AWS: aws configure (or aws sso login), then this command again; --endpoint aws for the role of an EC2 or notebook instance.
{_RULE}"""
_OTHER_REGION: Final = "The price may differ in {region}: allow pricing:GetProducts, or give --price_per_hour, to count with that of {region}"

P = TypeVar("P", bound=SageMakerPlace)


@final
class SageMakerPlugin(BackendPlugin[SageMakerConfig]):
    """Trials are SageMaker training jobs."""

    config = SageMakerConfig
    has_service_logs = True

    @override
    def build(self, config: SageMakerConfig, context: ExperimentContext) -> Backend:
        """Open a session, and build the backend of the config's execution mode; ``auto`` is a job per run."""
        endpoint, benchmark = endpoint_of(config), context.script
        benchmark = replace(benchmark, environment={**shared_packages(endpoint), **benchmark.environment})
        make = WorkersBackend if config.execution == "workers" else SageMakerBackend
        session = open_session(endpoint)
        try:
            return make(benchmark, config, experiment=context.folder.name, session=session)
        except BaseException:
            session.close()
            raise

    @override
    def open_journal(self, config: SageMakerConfig, context: ExperimentContext, header: Header) -> Journal:
        """A file in the experiment's folder; with ``journal="s3"`` it is copied to S3, with the hash of the code."""
        if config.journal == "local":
            return super().open_journal(config, context, header)
        settings = JobSettings(benchmark=context.script, config=config)
        session = open_session(endpoint_of(config))
        try:
            sent = sources(settings)
            code = bundle(session.endpoint, settings, sent)
            StoredCode(entry=sent.entry, digest=code.digest).note(context.folder)
            bucket = ensure_bucket(session, config.bucket, config.bucket_terms)
            objects = session.objects(bucket, journal_prefix(context.folder.name))
            return open_mirrored(context.folder, header, objects, session.close)
        except ServiceError as error:
            session.close()
            raise BackendError(f"The journal cannot be copied to S3 ({error})") from error
        except BaseException:
            session.close()
            raise

    @override
    def logs(self, config: SageMakerConfig, context: ExperimentContext, trial_id: int) -> TrialLog:
        """CloudWatch's log events of the trial's jobs; in workers mode, the output that workers stored in S3."""
        session, prefix = open_session(endpoint_of(config)), job_prefix(context.folder.name)
        if config.execution != "workers":
            return ServiceLog(session, lambda: job_logs(session, prefix, trial_id))
        bucket = choose_bucket(session, config.bucket, config.bucket_terms)
        objects = session.objects(bucket, f"{ROOT_PREFIX}/{prefix}")
        return ServiceLog(session, lambda: run_logs(objects, trial_id))

    @override
    def checkpoint_place(
        self, config: SageMakerConfig, context: ExperimentContext, checkpoint: Checkpoint
    ) -> str:
        """The address of its folder in S3, or of the trial's folder that the service copies; the default bucket has no name here."""
        if JobSettings(benchmark=context.script, config=config).channel == LOGS:
            key = f"{SYNCED}{checkpoint.trial_id}/"
        else:
            key = checkpoint_prefix(checkpoint.trial_id, checkpoint.resource)
        key = f"{ROOT_PREFIX}/{job_prefix(context.folder.name)}/{key}"
        return f"s3://{config.bucket}/{key}" if config.bucket else f"{key} in the account's default bucket"

    @override
    def copy_checkpoint(
        self, config: SageMakerConfig, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        """Download it from S3."""
        channel = JobSettings(benchmark=context.script, config=config).channel
        session = open_session(endpoint_of(config))
        try:
            bucket = choose_bucket(session, config.bucket, config.bucket_terms)
            objects = session.objects(bucket, f"{ROOT_PREFIX}/{job_prefix(context.folder.name)}")
            place = checkpoint_prefix(checkpoint.trial_id, checkpoint.resource)
            if channel == LOGS:
                place = CopiedCheckpoints(objects).prefix_of(checkpoint)
            if place is None or not download(objects, place, folder):
                raise SettingsError(
                    f"The checkpoint of trial {checkpoint.trial_id} at {checkpoint.resource} is not in {objects.uri()}: "
                    "it was deleted"
                )
        finally:
            session.close()

    @override
    def describe(self, config: SageMakerConfig, context: ExperimentContext) -> Description[SageMakerConfig]:
        """Decide execution mode and endpoint; say which mode keeps how many workers busy, quotas, instances and price."""
        settings = JobSettings(benchmark=context.script, config=config)
        check_images(settings)
        execution, advice = choose_execution(settings)
        jobs = estimate(settings, prices_at(endpoint_of(config)))
        description = describe_jobs(replace(config, execution=execution), jobs)
        return replace(description, advice=(advice,))

    @override
    def dry_run(self, config: SageMakerConfig, context: ExperimentContext, first: Start) -> str:
        endpoint, settings = endpoint_of(config), JobSettings(benchmark=context.script, config=config)
        if config.execution == "workers":
            request = dry_run_workers(settings, WorkerSettings(), experiment=context.tag, endpoint=endpoint)
        else:
            request = dry_run(
                settings, first.config, experiment=context.tag, endpoint=endpoint, until=first.until
            )
        return json.dumps(request, indent=2)

    @override
    def check(self, config: SageMakerConfig, context: ExperimentContext) -> None:
        """Refuse illegal tags, and a template with fields that Tunewright sets."""
        check_tags(config.tags)
        for template in (context.script.request_template, config.request_template):
            check_own_fields(template)

    @override
    def examine(self, config: SageMakerConfig, folder: Path) -> Iterator[Finding]:
        """Credentials, role, bucket, jobs, logs and quotas of the account; no job, which would be billed."""
        del folder
        return examine(config, endpoint_of(config))

    @override
    def unknown_costs(self, config: SageMakerConfig, context: ExperimentContext) -> str:
        """Instance types whose price is neither given nor listed."""
        endpoint, settings = endpoint_of(config), JobSettings(benchmark=context.script, config=config)
        types = unpriced_types(settings, prices_at(endpoint))
        if not types:
            return ""
        is_asked = endpoint.kind is EndpointKind.AWS
        remedy = "give --price_per_hour" + (", allow pricing:GetProducts" if is_asked else "")
        return f"the price of {listed(types)} is not known: {remedy}"


PLUGIN: Final = SageMakerPlugin()


def endpoint_of(place: SageMakerPlace) -> Endpoint:
    """The endpoint of requests. Nothing is started, no request is made.

    Raises
    ------
    SettingsError
        Endpoint, region and speed contradict each other.
    """
    return resolve_endpoint(
        place.endpoint,
        speed=place.speed,
        region=place.region,
        profile=place.profile,
        assume_role=place.assume_role,
    )


def describe_jobs(place: P, jobs: Estimate) -> Description[P]:
    """Decide the endpoint, and describe the training jobs created there: trials' jobs or tuning jobs.

    Parameters
    ----------
    place
        Config of the jobs.
    jobs
        Their instances and price.

    Raises
    ------
    SettingsError
        Endpoint, region and speed contradict each other.
    """
    endpoint = endpoint_of(place)
    lines = (_quota_text(jobs),) if jobs.warm_pool or jobs.spot else ()
    if endpoint.kind is EndpointKind.OTHER:
        lines += (f"SageMaker training jobs run on {endpoint.url}",)
        return Description(
            config=replace(place, endpoint=str(endpoint.url), region=endpoint.region), lines=lines
        )
    settled = replace(place, endpoint=str(endpoint.kind), region=endpoint.region)
    if endpoint.kind is EndpointKind.EMBEDDED:
        is_fallback = place.endpoint == "auto"
        lines += (_NO_CREDENTIALS if is_fallback else f"{_EMBEDDED}; nothing is created on AWS",)
        return Description(config=settled, lines=lines)
    lines += (f"On AWS, region {endpoint.region}, this creates training jobs, {jobs}, and files in S3",)
    if jobs.price is not None and jobs.price.source == TABLE and jobs.price.region != endpoint.region:
        lines += (_OTHER_REGION.format(region=endpoint.region),)
    error = "AWS credentials were found, and there is no terminal to ask at: give --endpoint aws, --yes or --endpoint embedded"
    return Description(
        config=settled,
        lines=lines,
        must_confirm=True,
        unattended_error="" if place.endpoint == EndpointKind.AWS else error,
    )


def _quota_text(jobs: Estimate) -> str:
    n, kind = jobs.n_instances, jobs.instance_types[0]
    if jobs.spot:
        return (
            f'Spot instances need a quota of {n} for "{kind} for spot training job usage" (Service Quotas). AWS may interrupt '
            "them without a signal: the script should save a checkpoint at every report that is to be kept"
        )
    return (
        f'Warm pools need a quota of {n} both for "{kind} for training job usage" and for '
        f'"{kind} for training warm pool usage" (Service Quotas)'
    )


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
