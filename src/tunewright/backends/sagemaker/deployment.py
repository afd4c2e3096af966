"""Role, bucket, image and code of an experiment; also dry runs and estimates of costs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    ServiceError,
    choose_bucket,
    ensure_bucket,
    find_role,
    has_local_disks,
    image_uri,
    open_session,
    price_per_hour,
)
from tunewright.aws.session import EMULATED_ACCOUNT
from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.sagemaker.code import (
    CODE,
    IGNORE_FILE,
    MANY_FILES,
    ROOT_PREFIX,
    CodeBundle,
    Sources,
    bundle_code,
    size_problem,
    sources_of,
    upload_code,
)
from tunewright.backends.sagemaker.preflight import preflight
from tunewright.backends.sagemaker.requests import Deployment, build_request, instance_of, job_prefix
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.exceptions import BackendError, SettingsError
from tunewright.trial import Run
from tunewright.types import Config

_SHOWN: Final = 5
"""Names of files that a notice lists."""
CONTROL_SECONDS: Final = 2.0
"""Service seconds between two polls of a job's control key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Upper bound of an experiment's instances and price."""

    instance_types: tuple[str, ...]
    """All types that will do, the preferred one first."""
    n_instances: int
    dollars_per_hour: float | None
    """Of all instances together, of the most expensive type; None if a price is unknown."""
    warm_pool: bool = False
    spot: bool = False

    def __str__(self) -> str:
        price = "unknown" if self.dollars_per_hour is None else f"${self.dollars_per_hour:.2f} an hour"
        pool = ", kept warm between trials" if self.warm_pool else ""
        spot, less = (" spot", ", their price on demand") if self.spot else ("", "")
        types = " or ".join(self.instance_types)
        return f"up to {self.n_instances} x {types}{spot}{pool}: at most {price}{less}"

    def times(self, n: int) -> Estimate:
        """The estimate of ``n`` such experiments at the same time."""
        price = None if self.dollars_per_hour is None else self.dollars_per_hour * n
        return replace(self, n_instances=self.n_instances * n, dollars_per_hour=price)


def estimate(settings: JobSettings) -> Estimate:
    """Estimate for settings while all workers are busy or their pools are kept."""
    n_workers = settings.benchmark.n_workers
    prices = [dollars_per_hour({}, settings.on(one)) for one in settings.types]
    known = [price for price in prices if price is not None]
    price = max(known) if len(known) == len(prices) else None
    return Estimate(
        instance_types=settings.types,
        n_instances=n_workers * settings.benchmark.instance_count,
        dollars_per_hour=None if price is None else price * n_workers,
        warm_pool=settings.config.warm_pool,
        spot=settings.config.spot,
    )


def dollars_per_hour(config: Config, settings: JobSettings) -> float | None:
    """Price of one job's instances; None if the table does not have the type."""
    instance_type, count = instance_of(config, settings)
    given = settings.config.price_per_hour
    price = price_per_hour(instance_type) if given is None else given
    return None if price is None else price * count


def describe_deployment(
    session: AwsSession, experiment: str, settings: JobSettings, bundle: CodeBundle
) -> Deployment:
    """Find role, bucket and image, and name everything. Nothing is created.

    Raises
    ------
    BackendError
        There is no role, or no image for the region.
    """
    prefix = f"{ROOT_PREFIX}/{job_prefix(experiment)}"
    bucket = choose_bucket(session, settings.config.bucket, settings.config.bucket_terms)
    return Deployment(
        experiment=experiment,
        job_prefix=job_prefix(experiment),
        role_arn=find_role(session, settings.config.role),
        cpu_image=settings.config.image_uri or _image(session.endpoint, settings, for_gpu=False),
        gpu_image=settings.config.image_uri or _image(session.endpoint, settings, for_gpu=True),
        bucket=bucket,
        bucket_terms=session.terms_of(bucket),
        prefix=prefix,
        code_prefix=f"{ROOT_PREFIX}/{bundle.prefix}",
        code_sha256=bundle.digest,
        runner_sha256=bundle.runner_sha256,
    )


def sources(settings: JobSettings) -> Sources:
    """The files that are sent with an experiment's script.

    Raises
    ------
    SettingsError
        As :func:`~tunewright.backends.sagemaker.code.sources_of`.
    """
    benchmark = settings.benchmark
    return sources_of(benchmark.script, [Path(one) for one in benchmark.dependencies])


def bundle(endpoint: Endpoint, settings: JobSettings, files: Sources) -> CodeBundle:
    """The code channel of an experiment, with its files."""
    benchmark, config = settings.benchmark, settings.config
    job: Mapping[str, Any] = {
        "order": {
            "resource_attr": benchmark.resource_attr or "",
            "metric": benchmark.metrics[0].name if len(benchmark.metrics) == 1 else "",
            "arguments": benchmark.argument_style,
            "booleans": config.booleans,
            "launch": config.launch or "",
        },
        "poll_seconds": endpoint.seconds(CONTROL_SECONDS, at_least=config.min_interval),
        "checkpoint_seconds": config.checkpoint_seconds,
        "report_shards": settings.n_report_shards,
        "abandon_seconds": config.abandon_after,
    }
    return bundle_code(files, job)


@final
class ExperimentSite:
    """The place of an experiment in an account: role, image, bucket and code.

    Attributes
    ----------
    session, settings, notices
        As given.
    deployment
        Role, bucket, image and names.
    objects
        The S3 objects under the experiment's prefix.
    max_instances
        Maximum of instances of one job by the account's quota, known after :meth:`deploy`; None: unknown.

    Parameters
    ----------
    settings
        Script and jobs.
    experiment
        Any name; the same name finds everything again.
    session
        From :func:`tunewright.aws.open_session`.
    notices
        For the user.

    Raises
    ------
    BackendError
        There is no role or no image.
    SettingsError
        There is no such script, or the files beside it are too large.
    """

    def __init__(
        self,
        settings: JobSettings,
        experiment: str,
        session: AwsSession,
        notices: Notices,
    ) -> None:
        session.send_once()
        self.session: Final = session
        self.settings: Final = settings
        self.notices: Final = notices
        self.max_instances: int | None = None
        self._sources = sources(settings)
        self._check_size(experiment)
        self._code = bundle(session.endpoint, settings, self._sources)
        described = describe_deployment(session, experiment, settings, self._code)
        self.deployment: Final = replace(described, session=secrets.token_hex(6))
        self.objects: Final = session.objects(self.deployment.bucket, self.deployment.prefix)

    def deploy(self, n_instances: int) -> None:
        """Make sure that the bucket exists and holds the code, and compare the account's quotas with the need.

        Parameters
        ----------
        n_instances
            Instances wanted at the same time.

        Raises
        ------
        BackendError
            The bucket cannot be used, or the code not stored.
        """
        code = self._code
        if len(code.files) > MANY_FILES:
            self.notices.add(
                f"The script's folder has {len(code.files)} files of {code.size / 1e6:.0f} MB, "
                "which every job downloads one by one: keep data elsewhere"
            )
        if left_out := self._sources.left_out:
            more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
            self.notices.add(
                f"Not sent to the jobs, by .gitignore, {IGNORE_FILE} or as private: {', '.join(left_out[:_SHOWN])}{more}"
            )
        if line := _about_disks(self.settings):
            self.notices.add(line)
        ensure_bucket(self.session, self.settings.config.bucket, self.settings.config.bucket_terms)
        try:
            root = self.session.objects(self.deployment.bucket, ROOT_PREFIX)
            upload_code(root, code, self.deployment.prefix.removeprefix(f"{ROOT_PREFIX}/"))
        except ServiceError as error:
            remedy = f": {error.remedy}" if error.remedy else ""
            raise BackendError(
                f"The code cannot be stored in s3://{self.deployment.bucket} ({error}){remedy}"
            ) from error
        quotas = preflight(self.session, self.settings, n_instances)
        self.max_instances = quotas.max_instances
        if quotas.line:
            self.notices.add(quotas.line)

    def _check_size(self, experiment: str) -> None:
        """Refuse a folder that is too large, unless an earlier session of the experiment has stored code already."""
        config = self.settings.config
        problem = size_problem(self._sources.files, config.max_code_mb)
        if not problem:
            return
        bucket = choose_bucket(self.session, config.bucket, config.bucket_terms)
        objects = self.session.objects(bucket, f"{ROOT_PREFIX}/{job_prefix(experiment)}")
        try:
            has_code = bool(objects.page(CODE))
        except ServiceError:
            has_code = False
        if not has_code:
            raise SettingsError(problem)


def _about_disks(settings: JobSettings) -> str:
    """A line about disks for which the given key is not used; empty if there are none."""
    local = [one for one in settings.types if has_local_disks(one)]
    if not settings.config.kms_key or not local:
        return ""
    return (
        f"{' and '.join(local)}: local NVMe disks, which their hardware encrypts; the key is for the files in S3, and the "
        "requests have no VolumeKmsKeyId"
    )


def planned_deployment(settings: JobSettings, *, experiment: str, endpoint: Endpoint) -> Deployment:
    """The deployment of an experiment; nothing is created or started.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    code = bundle(endpoint, settings, sources(settings))
    if endpoint.kind is EndpointKind.EMBEDDED:
        session = AwsSession(endpoint)
        session.account = EMULATED_ACCOUNT
    else:
        session = open_session(endpoint)
    try:
        return describe_deployment(session, experiment, settings, code)
    finally:
        session.close()


def dry_run(
    settings: JobSettings,
    config: Config,
    *,
    experiment: str,
    endpoint: Endpoint,
    until: int | None = None,
) -> Mapping[str, Any]:
    """The CreateTrainingJob request of a first trial; nothing is created or started.

    On AWS, account and role are looked up; for the embedded endpoint they are known without it.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    deployment = planned_deployment(settings, experiment=experiment, endpoint=endpoint)
    price = dollars_per_hour(config, settings) or 0.0
    run = Run(trial_id=0, attempt=0, until=until)
    order = JobOrder(run=run, config=config, dollars_per_hour=price)
    return build_request(order, deployment, settings).fields


def _image(endpoint: Endpoint, settings: JobSettings, *, for_gpu: bool) -> str:
    return image_uri(
        endpoint.region,
        for_gpu=for_gpu,
        framework=settings.benchmark.framework,
        version=settings.config.framework_version,
    )
