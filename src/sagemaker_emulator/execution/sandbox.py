"""Commands with their own ``/opt/ml``, in namespaces or in a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Final, final

from typing_extensions import override

from sagemaker_emulator.execution.command import MARKER, Command, Isolation
from sagemaker_emulator.execution.folders import HostFolder
from sagemaker_emulator.execution.supervisor import children_of

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
_PROBE_SECONDS: Final = 10.0
_JOB_UMASK: Final = 0o022
"""Umask of a container; the job's folder itself is private."""
_ENTER: Final = """
set -eu
ml=$1 keep=$2 hosts=$3 name=$4 job_path=$PATH; shift 4
PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ ! -d /opt/ml ]; then
  mkdir -p "$keep"
  mount --rbind /opt "$keep"
  mount -t tmpfs -o size=1m,mode=755 tmpfs /opt
  for entry in "$keep"/*; do [ ! -e "$entry" ] || ln -s "$entry" /opt/; done
  mkdir /opt/ml
fi
mount --bind "$ml" /opt/ml
mount --bind "$hosts" /etc/hosts
hostname "$name" 2> /dev/null || :
cd /opt/ml/code
PATH=$job_path
exec "$@"
"""
"""Runs in new namespaces: mounts the job's folder on /opt/ml (other content of /opt stays), then executes the job."""
_LOOPBACK: Final = "PATH=$PATH:/usr/sbin:/sbin ip link set lo up 2> /dev/null || :"
"""Runs first in a network namespace, so that the processes of the job can connect to each other."""


class JobProcess(ABC):
    """The processes of one instance of a job, the first of which is its command."""

    output: IO[bytes]
    """Standard output and error of all of them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            raise ValueError("the process has no output; start it with a pipe")
        self.output = process.stdout
        self._process = process

    def poll(self) -> int | None:
        """Exit code as of a container runtime, or None while the first process runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    @abstractmethod
    def terminate(self) -> None:
        """Send SIGTERM to process 1, which ignores it unless it has a handler."""

    @abstractmethod
    def kill(self) -> None:
        """Kill all processes."""

    def wait(self) -> None:
        """Wait for the end of all processes; call :meth:`kill` first."""
        self._process.wait()


class Sandbox(ABC):
    """A way to give a command its own ``/opt/ml``. Its processes end with this process, also after kill -9."""

    def __init__(self) -> None:
        # PDEATHSIG is sent at the end of the *thread* that started the child, hence a permanent thread.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="job-spawner")

    def start(self, command: Command, folder: HostFolder) -> JobProcess:
        """Start the command in ``/opt/ml/code``.

        Raises
        ------
        OSError
            The machine is out of processes or memory.
        """
        return self._spawner.submit(self._start, command, folder).result()

    def close(self) -> None:
        """Release the thread; call this after the end of all processes."""
        self._spawner.shutdown()

    @abstractmethod
    def _start(self, command: Command, folder: HostFolder) -> JobProcess: ...


@final
class NamespaceSandbox(Sandbox):
    """Mount, PID and UTS namespaces by ``unshare``: real process 1, real ``/opt/ml``; a network namespace for isolated jobs."""

    def _start(self, command: Command, folder: HostFolder) -> JobProcess:
        return _NamespaceProcess(
            subprocess.Popen(
                [
                    *_unshare(is_isolated=command.is_isolated),
                    *("sh", "-c", (_LOOPBACK if command.is_isolated else "") + _ENTER, "sh"),
                    *_enter_arguments(folder),
                    *command.arguments,
                ],
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=_JOB_UMASK,
            )
        )


@final
class _NamespaceProcess(JobProcess):
    @override
    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    @override
    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process.poll() is None:
            self._process.kill()  # --kill-child ends a process 1 that has just started

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            for first in children_of(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(first, number)


@final
class FolderSandbox(Sandbox):
    """A folder instead of ``/opt/ml`` and a supervisor process instead of a PID namespace; no network isolation."""

    def _start(self, command: Command, folder: HostFolder) -> JobProcess:
        moved = command.moved_to(folder.ml)
        return _SupervisedProcess(
            subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR), *moved.arguments],
                env=dict(moved.environment),
                cwd=folder.ml / "code",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=_JOB_UMASK,
            )
        )


@final
class _SupervisedProcess(JobProcess):
    @override
    def terminate(self) -> None:
        with suppress(BrokenPipeError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.write(b"T")
                self._process.stdin.flush()

    @override
    def kill(self) -> None:
        with suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()


def choose_sandbox(isolation: Isolation) -> Sandbox:
    """Sandbox for a setting.

    Raises
    ------
    RuntimeError
        Namespaces were requested, but the machine does not allow them.
    """
    if isolation is Isolation.FOLDER:
        return FolderSandbox()
    if supports_namespaces():
        return NamespaceSandbox()
    if isolation is Isolation.NAMESPACES:
        raise RuntimeError(
            "This machine allows no mount and PID namespaces; use the isolation 'folder' or 'auto'"
        )
    return FolderSandbox()


@cache
def supports_namespaces() -> bool:
    """Whether this machine allows namespaces; tried once, with an empty job."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        folder = HostFolder(Path(scratch), "probe", "probe")
        (folder.ml / "code").mkdir(parents=True)
        folder.hosts_file.touch()
        try:
            attempt = subprocess.run(
                [*_unshare(), "sh", "-c", _ENTER, "sh", *_enter_arguments(folder), "true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return attempt.returncode == 0


def _unshare(*, is_isolated: bool = False) -> list[str]:
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts"]
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    network = ["--net"] if is_isolated else []
    return [*command, *network, *root, "--fork", "--kill-child", "--mount-proc"]


def _enter_arguments(folder: HostFolder) -> list[str]:
    return [str(folder.ml), str(folder.root / "opt"), str(folder.hosts_file), folder.host_name]


def kill_orphans(marker: str) -> list[int]:
    """Kill all processes with the marker of this emulator in their environment, and return their ids.

    Jobs end with their emulator, unless their supervisor is killed at the same time.
    """
    wanted = f"{MARKER}={marker}".encode()
    ended: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                ended.append(int(entry.name))
    return ended
