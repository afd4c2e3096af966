"""An emulator: service, jobs and server put together, and ``serve``, which runs one until a signal or the last lease ends it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, Final, final

from sagemaker_emulator.api.application import Application, Parts
from sagemaker_emulator.api.operations import Operations
from sagemaker_emulator.api.server import PortTakenError, bind, serve_on, url_of
from sagemaker_emulator.api.service_quotas import ServiceQuotas
from sagemaker_emulator.api.throttle import RequestRates
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.leases import LeaseFolder
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.executor import Executor
from sagemaker_emulator.service.faults import Fault, FaultBook
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.service.timings import LOG_SECONDS
from sagemaker_emulator.storage import AwsServices

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CHECK_INTERVAL: Final = 0.5
"""Real seconds between two looks at the leases."""
LOCK_PATIENCE: Final = 10.0
"""Real seconds that a new emulator waits for one that is about to leave its folder."""


class DirectoryInUseError(OSError):
    """Another emulator keeps its state in the same folder."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is in use by another emulator: end that one, or choose another folder")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an emulator lives and who may use it."""

    directory: Path
    access_key: str
    secret_key: str
    port: int = 0


@final
class Emulator:
    """Answers requests from its construction until :meth:`close`.

    Parameters
    ----------
    place
        Folder, port and keys.
    settings
        Of the service.
    furnish
        Given the URL that jobs are to call, builds the executor, and the application that answers for S3, Logs, STS
        and IAM. Called when port and folder are taken.
    faults
        Faults to begin with.

    Raises
    ------
    PortTakenError
    DirectoryInUseError
    """

    def __init__(
        self,
        place: Place,
        settings: ServiceSettings,
        furnish: Callable[[str], tuple[Executor, WSGIApplication]],
        faults: Sequence[Fault] = (),
    ) -> None:
        self._place = place
        self._settings = settings
        self._started = time.time()
        self._lock = _lock(place.directory)
        try:
            listener = bind(place.port)
        except PortTakenError:
            os.close(self._lock)
            raise
        self.url = url_of(listener)
        book = FaultBook(faults)
        executor, aws = furnish(self.url)
        self._engine = Engine(settings, place.directory, executor, book)
        parts = Parts(
            engine=self._engine,
            operations=Operations(self._engine, book),
            quotas=ServiceQuotas(settings),
            aws=aws,
            faults=book,
            rates=RequestRates(settings.speed) if settings.throttle == "published" else None,
            access_key=place.access_key,
            speed=settings.speed,
        )
        self._server = serve_on(listener, Application(parts))
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="server", daemon=True)
        self._thread.start()

    def write_state(self, path: Path) -> None:
        """Write how to reach this emulator, atomically and for the owner's eyes only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        state = {
            "url": self.url,
            "pid": os.getpid(),
            "speed": self._settings.speed,
            "access_key": self._place.access_key,
            "secret_key": self._place.secret_key,
            "region": self._settings.region,
            "started": self._started,
        }
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state, file)
        draft.replace(path)

    def wait(self, ended: Event, leases: LeaseFolder | None, state_file: Path | None) -> None:
        """Return when ``ended`` is set, or when no lease asks for this emulator any more.

        Until then the state file is kept in place. It is taken away before a last look at the leases: whoever takes a
        lease first and reads the file then, finds an emulator that stays.
        """
        while not ended.wait(CHECK_INTERVAL):
            if state_file is not None and not state_file.exists():
                self.write_state(state_file)
            if leases is None or self._is_needed(leases):
                continue
            if state_file is not None:
                state_file.unlink(missing_ok=True)
            if not self._is_needed(leases):
                return

    def _is_needed(self, leases: LeaseFolder) -> bool:
        has_jobs = self._engine.call(lambda: self._engine.n_running > 0)
        return leases.is_needed(time.monotonic(), has_jobs=has_jobs)

    def close(self) -> None:
        """End all jobs, then stop answering."""
        self._engine.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        os.close(self._lock)


def _lock(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while not _has_locked(handle):
        if time.monotonic() > deadline:
            os.close(handle)
            raise DirectoryInUseError(directory)
        time.sleep(0.05)
    return handle


def _has_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
