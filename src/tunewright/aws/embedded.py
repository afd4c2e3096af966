"""The embedded endpoint: a SageMaker-compatible server process on this machine, shared by tuners.

There is one per hash of its settings, in ``$TUNEWRIGHT_HOME/endpoint/<hash>/``:

``endpoint.json``
    Written by the server, readable by its user only: url, pid, speed, access_key, secret_key, region.
``endpoint.lock``
    Held while a tuner searches or starts the server.
``endpoint.log``
    Output of the server.
``leases/``
    One locked file per tuner. The server ends after the last lease is returned and no job runs, or ten minutes after
    the death of the last holder, so that a resumed tuner finds its jobs still running.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import secrets
import sys
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

import psutil
from filelock import FileLock

from tunewright.aws.endpoint import Credentials, Endpoint
from tunewright.exceptions import BackendError, MissingExtraError
from tunewright.storage import home
from tunewright.threads import users_environment
from tunewright.types import package_version

PRESET_VARIABLE: Final = "SAGEMAKER_EMULATOR_PRESET"
"""Environment variable with the account of the server: ``default``, ``new-account`` or ``strict``."""
_POLICY_VARIABLE: Final = "SAGEMAKER_EMULATOR_CONTROL_POLICY"
"""Environment variable with the file of the account's service control policy."""
FILE_SYSTEMS_VARIABLE: Final = "SAGEMAKER_EMULATOR_FILE_SYSTEMS"
"""Environment variable with the folders that stand for file systems: ``ID=FOLDER`` with blanks between them."""
_OF_ENVIRONMENT: Final = {"preset": PRESET_VARIABLE, "file_systems": FILE_SYSTEMS_VARIABLE}
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_HEALTH_SECONDS: Final = 10.0
_LOG_LINES: Final = 15


@final
class Lease:
    """A locked file that keeps the server running; the kernel releases the lock of a killed tuner.

    Parameters
    ----------
    directory
        The server's folder of leases.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{os.getpid()}-{secrets.token_hex(4)}.lease"
        self._lock = FileLock(self._path, mode=0o600, thread_local=False)
        self._lock.acquire()

    def release(self) -> None:
        """Return the lease by removing its file. A second call has no effect."""
        if self._lock.is_locked:
            self._path.unlink(missing_ok=True)  # before the unlock: an unlocked file is an abandoned lease
            self._lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEndpoint:
    """A running server with a lease on it."""

    endpoint: Endpoint
    directory: Path
    pid: int
    lease: Lease


def settings_hash(endpoint: Endpoint) -> str:
    """Hash of version, region, speed, quotas, preset, control policy and file systems, as 12 hexadecimal digits."""
    settings = {
        "version": package_version(),
        "python": sys.executable,
        "region": endpoint.region,
        "speed": endpoint.speed,
        "quotas": dict(endpoint.quotas),
        "warm_pool_quotas": dict(endpoint.warm_pool_quotas),
        **({"control_policy": _control_policy()} if _POLICY_VARIABLE in os.environ else {}),
        **{key: os.environ[name] for key, name in _OF_ENVIRONMENT.items() if name in os.environ},
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _control_policy() -> str:
    """Content of the file; empty if it cannot be read, which the server reports."""
    try:
        return Path(os.environ[_POLICY_VARIABLE]).read_text(encoding="utf-8")
    except OSError:
        return ""


def start_or_join(endpoint: Endpoint, *, root: Path | None = None) -> EmbeddedEndpoint:
    """Find the server of these settings, or start it, and take a lease on it.

    Parameters
    ----------
    endpoint
        An endpoint of kind EMBEDDED.
    root
        Folder of all embedded endpoints; default ``$TUNEWRIGHT_HOME/endpoint``.

    Returns
    -------
    EmbeddedEndpoint
        With address and keys.

    Raises
    ------
    MissingExtraError
        The emulator's packages are not installed.
    BackendError
        The server did not start; the message has the last lines of its log.
    """
    if importlib.util.find_spec("moto") is None:
        raise MissingExtraError("emulator", "The embedded endpoint")
    directory = (root or home() / "endpoint") / settings_hash(endpoint)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BackendError(
            f"Cannot make {directory}: {error.strerror}. Set TUNEWRIGHT_HOME to a folder of yours"
        ) from error
    with _lock(directory):
        lease = Lease(directory / "leases")
        try:
            state = _running(directory) or _start(endpoint, directory)
        except BaseException:
            lease.release()
            raise
    return EmbeddedEndpoint(
        endpoint=replace(
            endpoint,
            url=str(state["url"]),
            credentials=Credentials(access_key=str(state["access_key"]), secret_key=str(state["secret_key"])),
        ),
        directory=directory,
        pid=int(state["pid"]),
        lease=lease,
    )


def restart_if_dead(embedded: EmbeddedEndpoint) -> None:
    """Restart a dead server with its old address and keys, so that clients stay valid.

    Raises
    ------
    BackendError
        The server did not start.
    """
    with _lock(embedded.directory):
        if _running(embedded.directory) is None:
            _start(embedded.endpoint, embedded.directory)


def announced_speed(url: str) -> float | None:
    """Service seconds per second of a ``sagemaker-emulator serve``; None for any other server."""
    try:
        return float(json.loads(_health(url))["speed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lock(directory: Path) -> FileLock:
    return FileLock(str(directory / "endpoint.lock"), timeout=2 * _START_SECONDS)


def _running(directory: Path) -> dict[str, str | int | float] | None:
    """State of a server that answers, or None."""
    try:
        state = json.loads((directory / "endpoint.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    deadline = time.monotonic() + _HEALTH_SECONDS
    while psutil.pid_exists(state["pid"]) and time.monotonic() < deadline:
        if _is_healthy(state["url"]):
            return state
        if not _is_our_server(state["pid"]):
            return None
        time.sleep(_POLL_SECONDS)
    return None


def _is_our_server(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "sagemaker_emulator" in process.cmdline()
    except psutil.Error:
        return False


def _is_healthy(url: str) -> bool:
    try:
        _health(url)
    except OSError:
        return False
    return True


def _health(url: str) -> bytes:
    """Response of ``/_health``, in JSON."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_health", timeout=2) as answer:
        return answer.read()


def _start(endpoint: Endpoint, directory: Path) -> dict[str, str | int | float]:
    (directory / "endpoint.json").unlink(missing_ok=True)
    log = directory / "endpoint.log"
    pid = _spawn(_command(endpoint, directory), _environment(endpoint), log)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        state = _running(directory)
        if state is not None:
            return state
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            break
        time.sleep(_POLL_SECONDS)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    raise BackendError(
        f"The embedded endpoint did not start; its log is {log}, the last lines are:\n" + "\n".join(lines)
    )


def _command(endpoint: Endpoint, directory: Path) -> list[str]:
    port = urlsplit(endpoint.url).port if endpoint.url else 0
    command = [
        sys.executable,
        "-m",
        "sagemaker_emulator",
        "serve",
        "--port",
        str(port),
        "--dir",
        str(directory),
    ]
    command += ["--speed", str(endpoint.speed), "--region", endpoint.region]
    command += ["--lease_dir", str(directory / "leases"), "--state_file", str(directory / "endpoint.json")]
    for flag, quotas in (("--quota", endpoint.quotas), ("--warm_pool_quota", endpoint.warm_pool_quotas)):
        for instance_type, count in sorted(quotas.items()):
            command += [flag, f"{instance_type}={count}"]
    return command


def _environment(endpoint: Endpoint) -> dict[str, str]:
    """The user's environment without AWS settings; with the keys of a restarted server, which no command line shows."""
    environment = {n: value for n, value in users_environment().items() if not n.startswith("AWS_")}
    if endpoint.credentials is not None:
        environment["SAGEMAKER_EMULATOR_ACCESS_KEY"] = endpoint.credentials.access_key
        environment["SAGEMAKER_EMULATOR_SECRET_KEY"] = endpoint.credentials.secret_key
    return environment


def _spawn(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Start a process in a session of its own, which outlives this one, and return its pid."""
    writable = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), writable, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
