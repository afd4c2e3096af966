"""Role, bucket, image and code of an experiment; also dry runs and estimates of costs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    Price,
    S3Objects,
    ServiceError,
    check_image,
    default_bucket,
    ensure_bucket,
    find_role,
    given_price,
    image_uri,
    open_session,
    prices_at,
    shipped_prices,
    support_warning,
)
from tunewright.aws.objects import in_parallel
from tunewright.aws.session import EMULATED_ACCOUNT
from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import JobOrder
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
from tunewright.runner.build import runner_bytes
from tunewright.runner.contract import JOB_FILE, SOURCE
from tunewright.space import Categorical
from tunewright.storage import home
from tunewright.trial import Run
from tunewright.types import Config

RUNNER: Final = "runner.pyz"

BIG_BYTES: Final = 100 * 1024 * 1024
"""A source folder above this size is worth a word."""

MANY_FILES: Final = 1000
"""So is one with more files, which every job downloads one by one."""

_JUNK_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "venv"})
_JUNK_SUFFIXES: Final = frozenset({".pyc", ".pyo"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBundle:
    """All files of the code channel."""

    files: Mapping[str, Path | bytes]
    """By path in the channel: a file of this machine, or the content itself."""
    digest: str
    """Of all names and contents."""
    size: int
    """Bytes."""

    @property
    def prefix(self) -> str:
        """Where it lies below the experiment's prefix, ending in a slash."""
        return f"code/{self.digest}/"


def bundle_code(script: str, job: Mapping[str, Any], dependencies: Sequence[Path] = ()) -> CodeBundle:
    """Collect the files of the code channel.

    Parameters
    ----------
    script
        A script's path, or ``path/file.py:name`` or ``module:name`` of a function. A script's whole folder goes with
        it, as :func:`source_files` lists it; of a module, its package.
    job
        Content of :data:`~tunewright.runner.contract.JOB_FILE` beside the script.
    dependencies
        Further folders and files, which lie beside the script.

    Raises
    ------
    SettingsError
        There is no such script or module, or the script lies in the user's home folder itself.
    """
    entry, files = _sources(script)
    order = {**job["order"], "script": entry}
    contents: dict[str, Path | bytes] = {f"{SOURCE}/{name}": path for name, path in files.items()}
    for dependency in dependencies:
        contents.update({f"{SOURCE}/{name}": path for name, path in dependency_files(dependency)})
    contents[RUNNER] = runner_bytes()
    contents[JOB_FILE] = json.dumps({**job, "order": order}, sort_keys=True).encode("utf-8")
    return bundle_contents(contents)


def bundle_contents(contents: Mapping[str, Path | bytes]) -> CodeBundle:
    """The bundle of these files, by path in the channel."""
    digest = hashlib.sha256()
    size = 0
    for name in sorted(contents):
        content = contents[name]
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest.update(json.dumps([name, len(data)]).encode("ascii") + data)
        size += len(data)
    return CodeBundle(files=contents, digest=digest.hexdigest()[:16], size=size)


def upload_code(objects: S3Objects, bundle: CodeBundle) -> None:
    """Store a bundle below the experiment's prefix unless it is there already.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    marker = bundle.prefix.rstrip("/") + ".complete"
    if objects.exists(marker):
        return

    def put(name: str) -> None:
        content = bundle.files[name]
        if isinstance(content, bytes):
            objects.put(bundle.prefix + name, content)
        else:
            objects.put_file(bundle.prefix + name, content)

    in_parallel(put, sorted(bundle.files))
    objects.put(marker, b"")


def _sources(script: str) -> tuple[str, dict[str, Path]]:
    """The script's name within the source folder, and the folder's files."""
    place, separator, name = script.rpartition(":")
    is_function = bool(separator) and name.isidentifier()
    path = Path(place if is_function else script)
    if is_function and path.suffix != ".py":
        return script, _module_files(place)
    if not path.is_file():
        raise SettingsError(f"There is no training script {path}: check the path")
    folder = path.resolve().parent
    if folder in {Path.home(), Path(folder.root)}:
        raise SettingsError(
            f"Jobs would get all of {folder}, where the script lies: move it into a folder of its own"
        )
    entry = f"{path.name}:{name}" if is_function else path.name
    return entry, dict(source_files(folder))


def _module_files(module: str) -> dict[str, Path]:
    """The files of a module's outermost package, or the module's own."""
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise SettingsError(f"There is no module {top!r} whose files could be sent: check the name")
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return {origin.name: origin}
    return {f"{top}/{name}": path for name, path in source_files(origin.parent)}


def dependency_files(dependency: Path) -> Iterator[tuple[str, Path]]:
    """The files of a dependency, by their paths beside a script.

    Raises
    ------
    SettingsError
        It is not there.
    """
    if dependency.is_file():
        yield dependency.name, dependency
    elif dependency.is_dir():
        name = dependency.resolve().name
        yield from ((f"{name}/{inner}", path) for inner, path in source_files(dependency))
    else:
        raise SettingsError(f"There is no dependency {dependency}: give folders or files")


def source_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder by their paths in it.

    Left out are hidden files and folders (version control, caches, credentials), virtual environments, and what
    Tunewright itself stores.
    """
    stored = home().resolve()
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_source(name) and Path(where, name) != stored)
        for name in sorted(names):
            path = Path(where, name)
            if _is_source(name) and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _is_source(name: str) -> bool:
    is_hidden = name.startswith(".")
    return not is_hidden and name not in _JUNK_FOLDERS and Path(name).suffix not in _JUNK_SUFFIXES


ROOT_PREFIX: Final = "tunewright"
"""Prefix of all our keys in a bucket."""

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
    return Deployment(
        experiment=experiment,
        job_prefix=job_prefix(experiment),
        role_arn=find_role(session, settings.config.role),
        cpu_image=settings.config.image_uri or _image(session.endpoint, settings, for_gpu=False),
        gpu_image=settings.config.image_uri or _image(session.endpoint, settings, for_gpu=True),
        bucket=settings.config.bucket or default_bucket(session),
        prefix=prefix,
        code_prefix=f"{prefix}/{bundle.prefix}",
    )


def bundle(endpoint: Endpoint, settings: JobSettings) -> CodeBundle:
    """The code channel of an experiment.

    Raises
    ------
    SettingsError
        There is no such script.
    """
    benchmark, config = settings.benchmark, settings.config
    job: Mapping[str, Any] = {
        "order": {
            "resource_attr": benchmark.resource_attr or "",
            "metric": benchmark.metrics[0].name if len(benchmark.metrics) == 1 else "",
            "arguments": benchmark.argument_style,
            "booleans": config.booleans,
        },
        "poll_seconds": endpoint.seconds(CONTROL_SECONDS, at_least=config.min_interval),
        "checkpoint_seconds": config.checkpoint_seconds,
        "report_shards": settings.n_report_shards,
    }
    return bundle_code(benchmark.script, job, [Path(one) for one in benchmark.dependencies])


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
        There is no such script.
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
        if warning := check_images(settings):
            notices.add(warning)
        self._code = bundle(session.endpoint, settings)
        self.deployment: Final = describe_deployment(session, experiment, settings, self._code)
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
        if code.size > BIG_BYTES or len(code.files) > MANY_FILES:
            self.notices.add(
                f"The script's folder has {len(code.files)} files of {code.size / 1e6:.0f} MB, "
                "which every job downloads: keep data elsewhere"
            )
        ensure_bucket(self.session, self.settings.config.bucket)
        try:
            upload_code(self.objects, code)
        except ServiceError as error:
            raise BackendError(
                f"The code cannot be stored in s3://{self.deployment.bucket} ({error})"
            ) from error
        if line := preflight(self.session, self.settings, n_instances):
            self.notices.add(line)


def planned_deployment(settings: JobSettings, *, experiment: str, endpoint: Endpoint) -> Deployment:
    """The deployment of an experiment; nothing is created or started.

    Raises
    ------
    BackendError
        Credentials or role are missing.
    SettingsError
        There is no such script.
    """
    code = bundle(endpoint, settings)
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
