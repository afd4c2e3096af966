"""The emulator: service, executor and server in one object, and ``serve``, which runs it until a signal or its last lease ends it."""

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

from filelock import FileLock, Timeout

from sagemaker_emulator.api.application import Application, Components
from sagemaker_emulator.api.operations import Operations
from sagemaker_emulator.api.quotas import RequestRates, ServiceQuotas
from sagemaker_emulator.api.server import PortTakenError, bind, serve_on, url_of
from sagemaker_emulator.execution import (
    IMAGE_PACKAGES,
    ExecutionSettings,
    Isolation,
    ProcessExecutor,
    image_python,
    read_packages,
)
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.executor import Executor
from sagemaker_emulator.service.faults import Fault, FaultInjector
from sagemaker_emulator.service.settings import LOG_SECONDS, ServiceSettings
from sagemaker_emulator.storage import AwsServices, Permissions, write_atomically

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


_LEASES: Final = "*.lease"


@final
class LeaseFolder:
    """Decides whether an embedded endpoint is still needed: it runs as long as one of its clients needs it.

    Each client holds an exclusive ``flock`` on a file ``<anything>.lease`` in a common folder (with retries, since the
    emulator probes the lock from time to time). A client that ends removes its file: the lease is *returned*. A killed client
    loses the lock only: the lease is *abandoned*, and the emulator waits a grace time for a successor. An abandoned lease is
    deleted after its grace time; a successor may delete it earlier.

    The probe takes a shared lock on an existing file. ``filelock`` has no such probe: it would create the file of a lease
    that is returned in the same moment, which would then count as abandoned.

    Parameters
    ----------
    directory
        Folder of the lease files; created if missing.
    grace
        Real seconds to wait for the successor of an abandoned lease, and for the first lease of a new endpoint.
    now
        Monotonic seconds at the start.
    """

    def __init__(self, directory: Path, grace: float, now: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._grace = grace
        self._started = now
        self._has_seen_one = any(directory.glob(_LEASES))  # it may be returned before the first check
        self._has_expired = False
        self._abandoned: dict[Path, float] = {}

    def is_needed(self, now: float, *, has_jobs: bool) -> bool:
        """Return whether a lease is held or within its grace time, or jobs of a returned lease still run."""
        leases = set(self._directory.glob(_LEASES))
        held = {lease for lease in leases if _is_locked(lease)}
        self._has_seen_one = self._has_seen_one or bool(leases)
        if not self._has_seen_one:
            return now - self._started < self._grace
        known = self._abandoned
        self._abandoned = {lease: known.get(lease, now) for lease in leases - held}
        expired = [lease for lease, since in self._abandoned.items() if now - since >= self._grace]
        for lease in expired:
            del self._abandoned[lease]
            lease.unlink(missing_ok=True)
        if held or self._abandoned:
            self._has_expired = False
            return True
        self._has_expired = self._has_expired or bool(expired)
        return has_jobs and not self._has_expired


def _is_locked(lease: Path) -> bool:
    try:
        with lease.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


CHECK_INTERVAL: Final = 0.5
"""Real seconds between two checks of the leases."""
LOCK_TIMEOUT: Final = 10.0
"""Real seconds that a new emulator waits for the end of another one in its folder."""


PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600
_UMASK: Final = 0o077


class DirectoryInUseError(OSError):
    """The folder is in use by another emulator."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is in use by another emulator: end that one, or choose another folder")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """Folder, port and keys of an emulator. Everything in the folder is readable by its user only."""

    directory: Path
    access_key: str
    secret_key: str
    port: int = 0


def permissions_of(settings: ServiceSettings, access_key: str) -> Permissions | None:
    """Permissions of the account; None if they are not checked."""
    if not settings.account.is_strict:
        return None
    return Permissions(access_key, settings.region, settings.control_policies)


@final
class Emulator:
    """Answers requests from its construction until :meth:`close`.

    Parameters
    ----------
    config
        Folder, port and keys.
    settings
        Settings of the service.
    make_services
        Function of the emulator's URL, which jobs call. It returns the executor and the application for S3, Logs, STS
        and IAM. Called after port and folder are taken.
    faults
        Initial faults.

    Raises
    ------
    PortTakenError
        The port is in use.
    DirectoryInUseError
        The folder is in use by another emulator.
    """

    def __init__(
        self,
        config: EmulatorConfig,
        settings: ServiceSettings,
        make_services: Callable[[str], tuple[Executor, WSGIApplication]],
        faults: Sequence[Fault] = (),
    ) -> None:
        self._config = config
        self._settings = settings
        self._started = time.time()
        self._lock = _lock(config.directory)
        try:
            listener = bind(config.port)
        except PortTakenError:
            self._lock.release()
            raise
        self.url = url_of(listener)
        injector = FaultInjector(faults)
        executor, aws = make_services(self.url)
        self._engine = Engine(settings, config.directory, executor, injector)
        permissions = permissions_of(settings, config.access_key)
        components = Components(
            engine=self._engine,
            operations=Operations(self._engine, injector, permissions),
            quotas=ServiceQuotas(settings),
            aws=aws,
            faults=injector,
            rates=RequestRates(settings.speed) if settings.throttle == "published" else None,
            access_key=config.access_key,
            secret_key=config.secret_key,
            speed=settings.speed,
            permissions=permissions,
        )
        self._server = serve_on(listener, Application(components))
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="server", daemon=True)
        self._thread.start()

    def write_state(self, path: Path) -> None:
        """Write URL, pid and keys, atomically and readable by the owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "url": self.url,
            "pid": os.getpid(),
            "speed": self._settings.speed,
            "access_key": self._config.access_key,
            "secret_key": self._config.secret_key,
            "region": self._settings.region,
            "started": self._started,
        }
        write_atomically(path, json.dumps(state).encode())

    def wait(self, ended: Event, leases: LeaseFolder | None, state_file: Path | None) -> None:
        """Return when ``ended`` is set, or when no lease needs this emulator any more.

        The state file is removed before the last check of the leases: a client that takes a lease first and reads the
        file afterwards finds an emulator that stays.
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
        """End all jobs, then stop the server."""
        self._engine.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._lock.release()


def _make_private(directory: Path) -> None:
    """Create the emulator's folder; close what an earlier version left open to other users of the machine."""
    directory.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    for name in ("logs", "s3"):
        folder = directory / name
        folder.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        folder.chmod(PRIVATE_FOLDER)
    (directory / "jobs.sqlite").touch(mode=PRIVATE_FILE)
    for file in directory.glob("jobs.sqlite*"):
        file.chmod(PRIVATE_FILE)


def _lock(directory: Path) -> FileLock:
    _make_private(directory)
    lock = FileLock(directory / "lock", timeout=LOCK_TIMEOUT, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise DirectoryInUseError(directory) from error
    return lock


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Options of ``sagemaker-emulator serve``."""

    settings: ServiceSettings
    directory: Path
    port: int = 0
    access_key: str = ""
    """Empty: random and printed."""
    secret_key: str = ""
    interpreters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """TrainingImage -> Python interpreter."""
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """TrainingImage -> names of the packages that the image has."""
    file_systems: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Id of a file system -> folder that stands for it."""
    isolation: Isolation = Isolation.AUTO
    faults: Sequence[Fault] = ()
    lease_dir: Path | None = None
    lease_grace: float = 600.0
    """Real seconds."""
    state_file: Path | None = None


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM, or until no lease needs it; then end all jobs and return.

    Raises
    ------
    PortTakenError, DirectoryInUseError, RuntimeError
        The emulator cannot start; the message has the cause.
    """
    former_umask = os.umask(_UMASK)
    try:
        _serve(options)
    finally:
        os.umask(former_umask)


def _serve(options: ServeOptions) -> None:
    ended = Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    config = EmulatorConfig(
        directory=options.directory,
        port=options.port,
        access_key=options.access_key or f"EMULATOR{secrets.token_hex(6).upper()}",
        secret_key=options.secret_key or secrets.token_urlsafe(24),
    )

    def make_services(url: str) -> tuple[Executor, WSGIApplication]:
        delay = LOG_SECONDS / options.settings.speed
        aws = AwsServices(
            options.directory,
            region=options.settings.region,
            log_delay=delay,
            permissions=permissions_of(options.settings, config.access_key),
            has_role=options.settings.account.has_role,
        )
        return ProcessExecutor(_execution_settings(options, config, url), aws), aws.app

    emulator = Emulator(config, options.settings, make_services, options.faults)
    leases = options.lease_dir and LeaseFolder(options.lease_dir, options.lease_grace, time.monotonic())
    try:
        if options.state_file is not None:
            emulator.write_state(options.state_file)
        sys.stdout.write(_greeting(options, config, emulator.url))
        sys.stdout.flush()
        emulator.wait(ended, leases, options.state_file)
    finally:
        if options.state_file is not None:
            options.state_file.unlink(missing_ok=True)
        emulator.close()


def _execution_settings(options: ServeOptions, config: EmulatorConfig, url: str) -> ExecutionSettings:
    images = options.directory / ".images"
    built = {image: image_python(names, images) for image, names in options.packages.items()}
    is_strict = options.settings.account.is_strict
    return ExecutionSettings(
        endpoint_url=url,
        region=options.settings.region,
        access_key=config.access_key,
        secret_key=config.secret_key,
        speed=options.settings.speed,
        interpreters={**built, **options.interpreters},
        default_interpreter=image_python(read_packages(IMAGE_PACKAGES), images)
        if is_strict
        else Path(sys.executable),
        file_systems=options.file_systems,
        isolation=options.isolation,
    )


_WARNING: Final = "not a security boundary: run only code you trust; jobs are processes of this user"
_ROOT_WARNING: Final = ", root, and may read and write everything on this machine"


def _greeting(options: ServeOptions, config: EmulatorConfig, url: str) -> str:
    settings = options.settings
    lines = [
        f"sagemaker-emulator: {url} (speed {settings.speed:g}, state in {options.directory})"
        + (f", account: {settings.preset}" if settings.preset != "default" else ""),
        _WARNING + (_ROOT_WARNING if os.geteuid() == 0 else ""),
    ]
    if not options.access_key:
        lines.append(f"access key: {config.access_key}")
    lines += [
        f"export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={settings.region}",
        f"export AWS_ACCESS_KEY_ID={config.access_key} AWS_SECRET_ACCESS_KEY={config.secret_key}",
    ]
    return "\n".join(lines) + "\n"
