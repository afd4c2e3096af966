"""Before the first job: role, bucket, image and code; also what a dry run shows and what jobs would cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    S3Objects,
    ServiceError,
    default_bucket,
    ensure_bucket,
    find_role,
    image_uri,
    open_session,
    price_per_hour,
)
from tunewright.aws.session import EMULATED_ACCOUNT
from tunewright.backends.sagemaker.code import BIG_BYTES, MANY_FILES, CodeBundle, bundle_code, upload_code
from tunewright.backends.sagemaker.names import job_prefix
from tunewright.backends.sagemaker.requests import Deployment, JobOrder, build_request, instance_of
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.exceptions import BackendError
from tunewright.trial import Run
from tunewright.types import Config

ROOT_PREFIX: Final = "tunewright"
"""What all our keys in a bucket begin with."""

CONTROL_SECONDS: Final = 2.0
"""Service seconds between two looks of a job at what is wanted of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingScript:
    """What the jobs run."""

    path: str
    """A script, or ``path/file.py:name`` or ``module:name`` of a function."""
    resource_attr: str = ""
    """The reports' key of the resource; empty: reports are counted."""
    dependencies: tuple[str, ...] = ()
    """Folders and files that the script imports; they lie beside it in the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an experiment will create, and at what price at most."""

    instance_type: str
    """Several, with ``or``, where several were listed."""
    n_instances: int
    dollars_per_hour: float | None
    """Of all instances together, of the dearest type; None where a price is not known."""
    warm_pool: bool
    spot: bool = False

    def __str__(self) -> str:
        price = "unknown" if self.dollars_per_hour is None else f"${self.dollars_per_hour:.2f} an hour"
        pool = ", kept warm between trials" if self.warm_pool else ""
        spot, less = (" spot", ", their price on demand") if self.spot else ("", "")
        return f"up to {self.n_instances} x {self.instance_type}{spot}{pool}: at most {price}{less}"


def estimate(settings: SageMakerSettings) -> Estimate:
    """What the settings come to while all workers are busy or their pools are kept."""
    prices = [dollars_per_hour({}, settings.on(one)) for one in settings.types]
    known = [price for price in prices if price is not None]
    price = max(known) if len(known) == len(prices) else None
    return Estimate(
        instance_type=" or ".join(settings.types),
        n_instances=settings.n_workers * settings.instance_count,
        dollars_per_hour=None if price is None else price * settings.n_workers,
        warm_pool=settings.warm_pool,
        spot=settings.spot,
    )


def dollars_per_hour(config: Config, settings: SageMakerSettings) -> float | None:
    """Price of one job's instances; None where the table does not know the type."""
    instance_type, count = instance_of(config, settings)
    given = settings.price_per_hour
    price = price_per_hour(instance_type) if given is None else given
    return None if price is None else price * count


def describe_deployment(
    session: AwsSession, experiment: str, settings: SageMakerSettings, bundle: CodeBundle
) -> Deployment:
    """Find role, bucket and image, and name everything. Nothing is created.

    Raises
    ------
    BackendError
        There is no role, or no image for the region.
    """
    prefix = f"{ROOT_PREFIX}/{job_prefix(experiment)}"
    return Deployment(
        experiment=experiment,
        job_prefix=job_prefix(experiment),
        role_arn=find_role(session, settings.role),
        cpu_image=settings.image_uri or _image(session.endpoint, settings, for_gpu=False),
        gpu_image=settings.image_uri or _image(session.endpoint, settings, for_gpu=True),
        bucket=settings.bucket or default_bucket(session),
        prefix=prefix,
        code_prefix=f"{prefix}/{bundle.prefix}",
    )


def bundle(script: TrainingScript, endpoint: Endpoint, settings: SageMakerSettings) -> CodeBundle:
    """The code channel of an experiment.

    Raises
    ------
    SettingsError
        There is no such script.
    """
    job: Mapping[str, Any] = {
        "order": {
            "resource_attr": script.resource_attr,
            "arguments": settings.arguments,
            "booleans": settings.booleans,
        },
        "poll_seconds": endpoint.seconds(CONTROL_SECONDS, at_least=settings.min_interval),
        "checkpoint_seconds": settings.checkpoint_seconds,
        "report_shards": settings.n_report_shards,
    }
    return bundle_code(script.path, job, [Path(one) for one in script.dependencies])


def deploy(
    session: AwsSession,
    deployment: Deployment,
    bundle: CodeBundle,
    settings: SageMakerSettings,
    notify: Callable[[str], None],
) -> S3Objects:
    """Make sure that the bucket is there and holds the code.

    Returns
    -------
    S3Objects
        The objects of the experiment.

    Raises
    ------
    BackendError
        The bucket cannot be used, or the code not stored.
    """
    if bundle.size > BIG_BYTES or len(bundle.files) > MANY_FILES:
        notify(
            f"The script's folder has {len(bundle.files)} files of {bundle.size / 1e6:.0f} MB, "
            "which every job downloads: keep data elsewhere"
        )
    ensure_bucket(session, settings.bucket)
    objects = session.objects(deployment.bucket, deployment.prefix)
    try:
        upload_code(objects, bundle)
    except ServiceError as error:
        raise BackendError(f"The code cannot be stored in s3://{deployment.bucket} ({error})") from error
    return objects


def planned_deployment(
    script: TrainingScript, *, experiment: str, endpoint: Endpoint, settings: SageMakerSettings
) -> Deployment:
    """What an experiment's deployment would be; nothing is created or started.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    code = bundle(script, endpoint, settings)
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
    script: TrainingScript,
    config: Config,
    *,
    experiment: str,
    endpoint: Endpoint,
    settings: SageMakerSettings,
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
    deployment = planned_deployment(script, experiment=experiment, endpoint=endpoint, settings=settings)
    price = dollars_per_hour(config, settings) or 0.0
    run = Run(trial_id=0, attempt=0, until=until)
    order = JobOrder(run=run, config=config, dollars_per_hour=price)
    return build_request(order, deployment, settings).fields


def _image(endpoint: Endpoint, settings: SageMakerSettings, *, for_gpu: bool) -> str:
    return image_uri(
        endpoint.region,
        for_gpu=for_gpu,
        framework=settings.framework,
        version=settings.framework_version,
    )
