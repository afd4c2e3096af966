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
    Price,
    ServiceError,
    check_image,
    choose_bucket,
    ensure_bucket,
    find_role,
    given_price,
    has_local_disks,
    image_uri,
    open_session,
    prices_at,
    shipped_prices,
    support_warning,
)
from tunewright.aws.account import FULL_ACCESS_LIMIT
from tunewright.aws.session import EMULATED_ACCOUNT
from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.s3.code import (
    CODE,
    IGNORE_FILE,
    JOURNALS,
    MANY_FILES,
    ROOT_PREFIX,
    CodeBundle,
    Sources,
    bundle_code,
    size_problem,
    sources_of,
    upload_code,
    users_prefix,
)
from tunewright.backends.sagemaker.preflight import preflight
from tunewright.backends.sagemaker.requests import (
    TYPE_NAMES,
    Deployment,
    build_request,
    instance_of,
    job_prefix,
)
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.job_secrets import SECRETS
from tunewright.runner.s3_keys import CHECKPOINTS
from tunewright.space import Categorical
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
    price: Price | None
    """Of all instances together, of the most expensive type; None if a price is unknown."""
    warm_pool: bool = False
    spot: bool = False

    def __str__(self) -> str:
        price = "an unknown price"
        if self.price is not None:
            price = f"${self.price.dollars_per_hour:.2f} an hour ({self.price})"
        pool = ", kept warm between trials" if self.warm_pool else ""
        spot, less = (" spot", ", their price on demand") if self.spot else ("", "")
        types = " or ".join(self.instance_types)
        return f"up to {self.n_instances} x {types}{spot}{pool}: at most {price}{less}"

    def times(self, n: int) -> Estimate:
        """The estimate of ``n`` such experiments at the same time."""
        price = None if self.price is None else self.price.times(n)
        return replace(self, n_instances=self.n_instances * n, price=price)


def estimate(settings: JobSettings, prices: Mapping[str, Price] | None = None) -> Estimate:
    """Estimate for settings while all workers are busy or their pools are kept.

    Parameters
    ----------
    settings
        Of the jobs.
    prices
        By instance type; None: the table that comes with Tunewright.
    """
    listed = shipped_prices() if prices is None else prices
    n_workers = settings.benchmark.n_workers
    found = [job_price({}, settings.on(one), listed) for one in settings.types]
    known = [price for price in found if price is not None]
    is_known = len(known) == len(found)
    dearest = max(known, key=lambda price: price.dollars_per_hour) if is_known else None
    return Estimate(
        instance_types=settings.types,
        n_instances=n_workers * settings.benchmark.instance_count,
        price=None if dearest is None else dearest.times(n_workers),
        warm_pool=settings.config.warm_pool,
        spot=settings.config.spot,
    )


def job_price(config: Config, settings: JobSettings, prices: Mapping[str, Price]) -> Price | None:
    """Price of one job's instances; None if it is neither given nor listed."""
    instance_type, count = instance_of(config, settings)
    given = settings.config.price_per_hour
    price = prices.get(instance_type) if given is None else given_price(given)
    return None if price is None else price.times(count)


def unpriced_types(settings: JobSettings, prices: Mapping[str, Price]) -> list[str]:
    """Instance types of the settings, or of the search space, whose price is neither given nor listed."""
    if settings.config.price_per_hour is not None:
        return []
    return [one for one in possible_types(settings) if one not in prices]


def possible_types(settings: JobSettings) -> list[str]:
    """Instance types of the settings and of the search space."""
    types, space = list(settings.types), settings.benchmark.space
    for name in TYPE_NAMES:
        domain = space.domains.get(name)
        if isinstance(domain, Categorical):
            types += map(str, domain.values)
        if name in space.constants:
            types.append(str(space.constants[name]))
    return list(dict.fromkeys(types))


def check_images(settings: JobSettings) -> str:
    """Check that AWS's training image runs on all instance types; return a warning if AWS does not patch it any more.

    Raises
    ------
    UnknownNameError
        No image of this framework and version is known.
    SettingsError
        The image does not fit an instance type; nothing is checked if the user gave an image.
    """
    if settings.config.image_uri:
        return ""
    framework, version = settings.benchmark.framework, settings.config.framework_version
    for instance_type in possible_types(settings):
        check_image(instance_type, framework=framework, version=version)
    return support_warning(framework, version)


def journal_prefix(experiment: str) -> str:
    """Prefix of the copy of an experiment's folder in S3; not below that of its jobs, whose role may write there."""
    return f"{ROOT_PREFIX}/{JOURNALS}{job_prefix(experiment)}"


def describe_deployment(
    session: AwsSession, experiment: str, settings: JobSettings, bundle: CodeBundle
) -> Deployment:
    """Find role, bucket and image, and name everything. Nothing is created.

    Raises
    ------
    BackendError
        There is no role.
    SettingsError
        There is no image for the region, or none for an instance type.
    """
    check_images(settings)
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
        As :func:`~tunewright.backends.s3.code.sources_of`.
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
        **({SECRETS: dict(config.secrets)} if config.secrets else {}),
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
        if warning := check_images(settings):
            notices.add(warning)
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
            upload_code(root, code, self._user)
        except ServiceError as error:
            remedy = f": {error.remedy}" if error.remedy else ""
            if error.is_forbidden and "sagemaker" not in self.deployment.bucket.lower():
                remedy += f" ({FULL_ACCESS_LIMIT})"
            raise BackendError(
                f"The code cannot be stored in s3://{self.deployment.bucket} ({error}){remedy}"
            ) from error
        quotas = preflight(self.session, self.settings, n_instances)
        self.max_instances = quotas.max_instances
        if quotas.line:
            self.notices.add(quotas.line)

    def withdraw(self) -> None:
        """Delete the experiment's files, if no job has reported; its code stays, for the next experiment with the same files.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer.
        """
        names = [stored.key for stored in self.objects.list()]
        if not any(name.startswith(("reports", CHECKPOINTS)) for name in names):
            root = self.session.objects(self.deployment.bucket, ROOT_PREFIX)
            root.delete([users_prefix(self._code.digest) + self._user])
            self.objects.delete(names)

    @property
    def _user(self) -> str:
        """Name of the experiment among the users of its code."""
        return self.deployment.prefix.removeprefix(f"{ROOT_PREFIX}/")

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
    price = job_price(config, settings, prices_at(endpoint))
    run = Run(trial_id=0, attempt=0, until=until)
    order = JobOrder(
        run=run, config=config, dollars_per_hour=0.0 if price is None else price.dollars_per_hour
    )
    return build_request(order, deployment, settings).fields


def _image(endpoint: Endpoint, settings: JobSettings, *, for_gpu: bool) -> str:
    return image_uri(
        endpoint.region,
        for_gpu=for_gpu,
        framework=settings.benchmark.framework,
        version=settings.config.framework_version,
    )
