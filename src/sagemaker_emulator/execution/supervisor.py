"""Supervisor of a job's processes without namespaces: stands for process 0 of a container.

Usage: ``python supervisor.py COMMAND...`` with a pipe as standard input. It starts the command in a session of its own and
exits with its exit code. At the end of the command, or when the pipe is closed (by the emulator, or because it was
killed), it kills all descendants, including those that left the session. A ``T`` on the pipe sends SIGTERM to the command
if it has a handler, as a process 1 without one ignores it. Standard library and Linux only.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_KILLED: Final = 128 + signal.SIGKILL


def main(command: list[str]) -> int:
    """Run the command until it ends or the pipe is closed, and return its exit code."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    child = _start(command, libc)
    _close_output()
    code = _watch(child, wake_read)
    _kill_descendants()
    return _KILLED if code is None else code


def _start(command: list[str], libc: ctypes.CDLL) -> int:
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], command)  # noqa: S606 - a list, never a shell
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _close_output() -> None:
    """Leave the output pipe to the job, so that its end is visible."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _watch(child: int, wake: int) -> int | None:
    """Exit code of the child, or None if the pipe was closed first."""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            code = _reap(child)
            if code is not None:
                return code
        if 0 in ready:
            orders = os.read(0, 4096)
            if not orders:
                return None
            if handles_sigterm(child):
                os.kill(child, signal.SIGTERM)


def _reap(child: int) -> int | None:
    """Reap ended processes; return the exit code of the child if it is among them."""
    code = None
    with suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                break
            if ended == child:
                result = os.waitstatus_to_exitcode(status)
                code = result if result >= 0 else 128 - result
    return code


def handles_sigterm(process: int) -> bool:
    """Whether a process has a handler for SIGTERM (bit of SigCgt in its status)."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def _kill_descendants() -> None:
    """Kill children until none is left; grandchildren become children of this subreaper."""
    with suppress(ChildProcessError):
        while True:
            for process in children_of(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            os.waitpid(-1, 0)


def children_of(parent: int) -> list[int]:
    """Process ids of the direct children of a process."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
