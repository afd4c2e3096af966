"""Runs an emulator with real jobs until it is told to end."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, final

from sagemaker_emulator.contracts import Executor
from sagemaker_emulator.emulator import Emulator, Place
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.faults import Fault
from sagemaker_emulator.leases import LeaseFolder
from sagemaker_emulator.settings import ServiceSettings
from sagemaker_emulator.storage import AwsServices
from sagemaker_emulator.timings import LOG_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What ``sagemaker-emulator serve`` is given."""

    settings: ServiceSettings
    directory: Path
    port: int = 0
    access_key: str = ""
    """Empty: a random one, which is printed."""
    secret_key: str = ""
    interpreters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """TrainingImage -> Python interpreter."""
    isolation: Isolation = Isolation.AUTO
    faults: Sequence[Fault] = ()
    lease_dir: Path | None = None
    lease_grace: float = 600.0
    """Real seconds."""
    state_file: Path | None = None


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM, or until no lease asks for it; then end all jobs and return.

    Raises
    ------
    PortTakenError, DirectoryInUseError, RuntimeError
        The emulator cannot start; the text says why.
    """
    ended = Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    place = Place(
        directory=options.directory,
        port=options.port,
        access_key=options.access_key or f"EMULATOR{secrets.token_hex(6).upper()}",
        secret_key=options.secret_key or secrets.token_urlsafe(24),
    )

    def furnish(url: str) -> tuple[Executor, WSGIApplication]:
        delay = LOG_SECONDS / options.settings.speed
        aws = AwsServices(options.directory, region=options.settings.region, log_delay=delay)
        return ProcessExecutor(_execution(options, place, url), aws), aws.app

    emulator = Emulator(place, options.settings, furnish, options.faults)
    leases = options.lease_dir and LeaseFolder(options.lease_dir, options.lease_grace, time.monotonic())
    try:
        if options.state_file is not None:
            emulator.write_state(options.state_file)
        sys.stdout.write(_greeting(options, place, emulator.url))
        sys.stdout.flush()
        emulator.wait(ended, leases, options.state_file)
    finally:
        if options.state_file is not None:
            options.state_file.unlink(missing_ok=True)
        emulator.close()


def _execution(options: ServeOptions, place: Place, url: str) -> ExecutionSettings:
    return ExecutionSettings(
        endpoint_url=url,
        region=options.settings.region,
        access_key=place.access_key,
        secret_key=place.secret_key,
        speed=options.settings.speed,
        interpreters=options.interpreters,
        isolation=options.isolation,
    )


def _greeting(options: ServeOptions, place: Place, url: str) -> str:
    settings = options.settings
    lines = [f"sagemaker-emulator: {url} (speed {settings.speed:g}, state in {options.directory})"]
    if not options.access_key:
        lines.append(f"access key: {place.access_key}")
    lines += [
        f"export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={settings.region}",
        f"export AWS_ACCESS_KEY_ID={place.access_key} AWS_SECRET_ACCESS_KEY={place.secret_key}",
    ]
    return "\n".join(lines) + "\n"
