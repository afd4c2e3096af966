"""``sagemaker-emulator serve``: its options, and their conversion to the emulator's settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Never, TypeVar, cast

from cyclopts import Parameter
from cyclopts.validators import Number

try:
    from sagemaker_emulator.emulator import ServeOptions, serve
    from sagemaker_emulator.execution import Isolation, read_packages
    from sagemaker_emulator.service.faults import Fault, parse_faults
    from sagemaker_emulator.service.settings import DEFAULT_QUOTA, Preset, ServiceSettings
except ModuleNotFoundError as error:
    if (error.name or "").startswith("sagemaker_emulator"):
        raise
    raise SystemExit(
        f"sagemaker-emulator needs the package {error.name}: pip install 'tunewright[emulator]'"
    ) from error

_T = TypeVar("_T")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArguments:
    """Options of ``serve`` as typed."""

    directory: Annotated[
        Path, Parameter(name="--dir", help="Folder of jobs and S3 objects; kept between runs.")
    ]
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), help="0: any free port.")] = 0
    speed: Annotated[float, Parameter(help="Service seconds per real second (training is not scaled).")] = (
        60.0
    )
    region: Annotated[str, Parameter(help="Region of the ARNs.")] = "us-east-1"
    preset: Annotated[
        Preset,
        Parameter(
            env_var="SAGEMAKER_EMULATOR_PRESET",
            help="Account: default (no permissions are checked), new-account (as AWS gives it), or strict (as new-account, "
            "with raised quotas).",
        ),
    ] = "default"
    control_policy: Annotated[
        Path | None,
        Parameter(
            env_var="SAGEMAKER_EMULATOR_CONTROL_POLICY",
            help="JSON file of a service control policy, which new-account and strict apply to all callers.",
        ),
    ] = None
    quota: Annotated[
        list[str] | None,
        Parameter(
            help=f"TYPE=N: instances of a type; {DEFAULT_QUOTA} of each other (new-account: 0). Repeatable."
        ),
    ] = None
    warm_pool_quota: Annotated[
        list[str] | None,
        Parameter(
            help=f"TYPE=N: warm instances of a type; {DEFAULT_QUOTA} of each other (new-account: 0). Repeatable."
        ),
    ] = None
    total_quota: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=0),
            help="Instances across all training jobs; without it no limit (new-account: 4, strict: 100).",
        ),
    ] = None
    keep_alive_cap: Annotated[
        int, Parameter(validator=Number(gte=0), help="Longest KeepAlivePeriodInSeconds that is accepted.")
    ] = 3600
    throttle: Annotated[
        Literal["published", "off"],
        Parameter(help="Request rates of the service (per service second), or none."),
    ] = "published"
    faults: Annotated[Path | None, Parameter(help="JSON file of faults; see docs/emulator.md.")] = None
    image: Annotated[
        list[str] | None,
        Parameter(help="IMAGE=PYTHON: interpreter for a TrainingImage. Repeatable."),
    ] = None
    image_packages: Annotated[
        list[str] | None,
        Parameter(
            help="IMAGE=FILE: packages that a TrainingImage has, one per line; its jobs can import no others. Repeatable. "
            "new-account and strict have the packages of AWS's image of PyTorch 2.12 for all other images."
        ),
    ] = None
    file_system: Annotated[
        list[str] | None,
        Parameter(
            env_var="SAGEMAKER_EMULATOR_FILE_SYSTEMS",
            help="ID=FOLDER: folder that stands for an EFS or FSx file system in input channels. Repeatable.",
        ),
    ] = None
    isolation: Annotated[
        Literal["auto", "namespaces", "folder"], Parameter(help="Way to give a job its own /opt/ml.")
    ] = "auto"
    access_key: Annotated[
        str, Parameter(env_var="SAGEMAKER_EMULATOR_ACCESS_KEY", help="The only accepted one; default random.")
    ] = ""
    secret_key: Annotated[
        str, Parameter(env_var="SAGEMAKER_EMULATOR_SECRET_KEY", help="Passed to jobs; default random.")
    ] = ""
    lease_dir: Annotated[
        Path | None, Parameter(help="Serve only as long as lease files in this folder need it.")
    ] = None
    lease_grace: Annotated[
        float, Parameter(help="Seconds to wait for a successor of a killed lease holder.")
    ] = 600.0
    state_file: Annotated[
        Path | None, Parameter(help="File for URL, pid and keys, written when ready (mode 0600).")
    ] = None


def serve_command(arguments: ServeArguments) -> None:
    """Serve until SIGINT or SIGTERM, or until no lease needs the emulator."""
    try:
        options = _options(arguments)
    except ValueError as error:
        _exit(error, code=2)
    try:
        serve(options)
    except (OSError, RuntimeError) as error:
        _exit(error, code=1)


def _exit(error: Exception, *, code: int) -> Never:
    sys.stderr.write(f"sagemaker-emulator: {error}\n")
    sys.exit(code)


def _options(arguments: ServeArguments) -> ServeOptions:
    return ServeOptions(
        settings=ServiceSettings(
            region=arguments.region,
            speed=arguments.speed,
            quotas=_table(arguments.quota, "--quota TYPE=N", int),
            warm_pool_quotas=_table(arguments.warm_pool_quota, "--warm_pool_quota TYPE=N", int),
            keep_alive_cap=arguments.keep_alive_cap,
            throttle=arguments.throttle,
            preset=arguments.preset,
            total_quota=arguments.total_quota,
            control_policies=_read_policies(arguments.control_policy),
        ),
        directory=arguments.directory.resolve(),
        port=arguments.port,
        access_key=arguments.access_key,
        secret_key=arguments.secret_key,
        interpreters=_table(arguments.image, "--image IMAGE=PYTHON", Path),
        packages=_read_lists(arguments.image_packages),
        file_systems=_table(arguments.file_system, "--file_system ID=FOLDER", Path),
        isolation=Isolation(arguments.isolation),
        faults=_read_faults(arguments.faults),
        lease_dir=arguments.lease_dir,
        lease_grace=arguments.lease_grace,
        state_file=arguments.state_file,
    )


def _table(entries: Sequence[str] | None, form: str, read: Callable[[str], _T]) -> dict[str, _T]:
    table: dict[str, _T] = {}
    for entry in entries or ():
        name, equals, value = entry.rpartition("=")
        if not (name and equals and value):
            raise ValueError(f"{form} expected, not {entry!r}")
        try:
            table[name] = read(value)
        except ValueError as error:
            raise ValueError(f"{form} expected, not {entry!r}") from error
    return table


def _read_policies(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        document: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"--control_policy {path}: {error}") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise ValueError(f"--control_policy {path}: a policy document with a Statement is expected")
    return [cast("dict[str, Any]", document)]


def _read_lists(entries: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    try:
        files = _table(entries, "--image_packages IMAGE=FILE", Path)
        return {image: read_packages(file) for image, file in files.items()}
    except OSError as error:
        raise ValueError(f"--image_packages: {error}") from error


def _read_faults(path: Path | None) -> list[Fault]:
    if path is None:
        return []
    try:
        return parse_faults(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ValueError(f"--faults {path}: {error}") from error
