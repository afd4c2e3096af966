"""The command ``sagemaker-emulator``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import typer

try:
    from sagemaker_emulator.emulator import ServeOptions, serve
    from sagemaker_emulator.execution import Isolation
    from sagemaker_emulator.service.faults import Fault, parse_faults
    from sagemaker_emulator.service.settings import DEFAULT_QUOTA, ServiceSettings
except ModuleNotFoundError as error:
    if (error.name or "").startswith("sagemaker_emulator"):
        raise
    raise SystemExit(
        f"sagemaker-emulator needs the package {error.name}: pip install 'tunewright[emulator]'"
    ) from error

_T = TypeVar("_T")

app: Final = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A SageMaker-compatible endpoint on localhost that really runs training jobs.",
)


@app.callback()
def _group() -> None:
    """A SageMaker-compatible endpoint on localhost that really runs training jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArguments:
    """The options of ``serve``, as they are typed."""

    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of jobs and S3 objects; kept between runs.")
    ]
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0
    speed: Annotated[
        float, typer.Option(help="Service seconds per real second (training is not scaled).")
    ] = 60.0
    region: Annotated[str, typer.Option(help="Region of the ARNs.")] = "us-east-1"
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE=N", help=f"Instances of a type; {DEFAULT_QUOTA} of each other. Repeatable."
        ),
    ] = None
    warm_pool_quota: Annotated[
        list[str] | None,
        typer.Option(
            "--warm_pool_quota",
            metavar="TYPE=N",
            help=f"Instances of a type that may be kept warm; {DEFAULT_QUOTA} of each other. Repeatable.",
        ),
    ] = None
    keep_alive_cap: Annotated[
        int,
        typer.Option("--keep_alive_cap", min=0, help="Longest KeepAlivePeriodInSeconds that is accepted."),
    ] = 3600
    throttle: Annotated[
        Literal["published", "off"],
        typer.Option(help="Request rates of the service (per service second), or none."),
    ] = "published"
    faults: Annotated[Path | None, typer.Option(help="JSON file of faults; see docs/emulator.md.")] = None
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGE=PYTHON", help="Interpreter that stands for a TrainingImage. Repeatable."),
    ] = None
    isolation: Annotated[Isolation, typer.Option(help="How a job gets its own /opt/ml.")] = Isolation.AUTO
    access_key: Annotated[
        str,
        typer.Option(
            "--access_key", envvar="SAGEMAKER_EMULATOR_ACCESS_KEY", help="The only one; else random."
        ),
    ] = ""
    secret_key: Annotated[
        str,
        typer.Option(
            "--secret_key", envvar="SAGEMAKER_EMULATOR_SECRET_KEY", help="Jobs get it; else random."
        ),
    ] = ""
    lease_dir: Annotated[
        Path | None,
        typer.Option("--lease_dir", help="Serve only while lease files in this folder ask for it."),
    ] = None
    lease_grace: Annotated[
        float, typer.Option("--lease_grace", help="Seconds to wait when the holder of a lease died.")
    ] = 600.0
    state_file: Annotated[
        Path | None,
        typer.Option("--state_file", help="Where to write URL, pid and keys when ready (mode 0600)."),
    ] = None


def takes(arguments: Callable[..., _T]) -> Callable[[Callable[[_T], None]], Callable[..., None]]:
    """Turn a function of one dataclass into a command with an option for each of the fields."""

    def decorate(command: Callable[[_T], None]) -> Callable[..., None]:
        def run(**options: Any) -> None:
            command(arguments(**options))

        vars(run)["__signature__"] = inspect.signature(arguments, eval_str=True)
        return run

    return decorate


@app.command(name="serve", help="Serve on the loopback interface until SIGINT or SIGTERM.")
@takes(ServeArguments)
def serve_command(arguments: ServeArguments) -> None:
    """Serve until SIGINT or SIGTERM, or until no lease asks for it.

    Raises
    ------
    typer.BadParameter
        A value is not what its option takes.
    """
    try:
        options = _options(arguments)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        serve(options)
    except (OSError, RuntimeError) as error:
        typer.echo(f"sagemaker-emulator: {error}", err=True)
        raise typer.Exit(1) from error


def _options(arguments: ServeArguments) -> ServeOptions:
    return ServeOptions(
        settings=ServiceSettings(
            region=arguments.region,
            speed=arguments.speed,
            quotas=_table(arguments.quota, "--quota TYPE=N", int),
            warm_pool_quotas=_table(arguments.warm_pool_quota, "--warm_pool_quota TYPE=N", int),
            keep_alive_cap=arguments.keep_alive_cap,
            throttle=arguments.throttle,
        ),
        directory=arguments.directory.resolve(),
        port=arguments.port,
        access_key=arguments.access_key,
        secret_key=arguments.secret_key,
        interpreters=_table(arguments.image, "--image IMAGE=PYTHON", Path),
        isolation=arguments.isolation,
        faults=_read_faults(arguments.faults),
        lease_dir=arguments.lease_dir,
        lease_grace=arguments.lease_grace,
        state_file=arguments.state_file,
    )


def main() -> None:
    """Entry point; hyphens and underscores in the names of options are the same."""
    app(args=[_underscored(argument) for argument in sys.argv[1:]], prog_name="sagemaker-emulator")


def _underscored(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


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


def _read_faults(path: Path | None) -> list[Fault]:
    if path is None:
        return []
    try:
        return parse_faults(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ValueError(f"--faults {path}: {error}") from error
