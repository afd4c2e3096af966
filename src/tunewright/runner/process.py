"""The user's process: started in a session of its own, its output read by a thread, ended with all its children."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, cast, final

MARKER = re.compile(r"\[tune-metric\]:\s*(?=\{)")
"""Marker before the JSON object of a report, anywhere in a line."""
MAX_LINE = 1 << 18
"""Characters of an unfinished line that are kept; half of it is more than the largest report."""


@final
class ReportParser:
    """Turns chunks of output into reports.

    Half lines, lines without end, binary junk and several reports in a line are survived; a report that is cut off
    is skipped. Memory stays bounded by ``MAX_LINE`` and the chunk.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._json = json.JSONDecoder()
        self._rest = ""

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The reports that this chunk completes, in order."""
        lines, newline, rest = (self._rest + self._decoder.decode(chunk)).rpartition("\n")
        reports = self._scan(lines)[0] if newline else []
        if len(rest) > MAX_LINE:
            more, end = self._scan(rest)
            reports += more
            rest = rest[max(end, len(rest) - MAX_LINE // 2) :]
        self._rest = rest
        return reports

    def close(self) -> list[dict[str, Any]]:
        """The reports of a last line that has no end."""
        rest, self._rest = self._rest, ""
        return self._scan(rest)[0]

    def _scan(self, text: str) -> tuple[list[dict[str, Any]], int]:
        """All reports in the text, and the end of the last one."""
        reports: list[dict[str, Any]] = []
        end = 0
        while found := MARKER.search(text, end):
            try:
                report, end = self._json.raw_decode(text, found.end())
            except (ValueError, RecursionError):
                end = found.end()
                continue
            reports.append(report)
        return reports, end


CHUNK = 1 << 16
TAIL_BYTES = 1 << 14
TAIL_LINES = 20
TAIL_WIDTH = 500
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Ask Linux for something about this process; elsewhere nothing happens."""
    if sys.platform == "linux":
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None)


def adopt_orphans() -> None:
    """Become the parent of processes that the script leaves behind, so that they can be ended and reaped."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """End this process when the thread that began it does."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ScriptProcess(Protocol):
    """A process of a script, however it was started."""

    @property
    def pid(self) -> int | None:
        """Number of the process and of its group; None before it has begun."""
        ...

    @property
    def stdout(self) -> IO[bytes]:
        """The reading end of its standard output."""
        ...

    @property
    def stderr(self) -> IO[bytes]:
        """The reading end of its standard error."""
        ...

    def poll(self) -> int | None:
        """The exit code (-n for signal n); None while it runs."""
        ...

    def signal_group(self, number: int) -> None:
        """Send a signal to it and its children; nothing happens if they are gone."""
        ...


@final
class ChildProcess:
    """A script as a child of this process; it is killed when this process ends.

    Parameters
    ----------
    command, environment, cwd
        Of the script; ``OSError`` if it cannot be started.
    """

    def __init__(self, command: list[str], environment: dict[str, str], cwd: str) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=cwd or None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it makes one system call
        )
        self.pid = self._process.pid
        self.stdout = cast("IO[bytes]", self._process.stdout)
        self.stderr = cast("IO[bytes]", self._process.stderr)

    def poll(self) -> int | None:
        """The exit code (-n for signal n); None while it runs."""
        return self._process.poll()

    def signal_group(self, number: int) -> None:
        """Send a signal to it and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


@final
class Script:
    """The running script.

    Parameters
    ----------
    process
        Its process, which leads a group of its own, with pipes for its output.
    sinks
        Two binary files: copies of standard output and standard error.
    on_report
        Called with each report, in a thread of its own; the script is asked to end at once if it returns true.
    """

    def __init__(
        self,
        process: ScriptProcess,
        sinks: tuple[IO[bytes], IO[bytes]],
        on_report: Callable[[dict[str, Any]], bool],
    ) -> None:
        self._on_report = on_report
        self._tail = bytearray()
        self._process = process
        self._pipes = [(self._process.stdout, sinks[0]), (self._process.stderr, sinks[1])]
        self._pump = threading.Thread(target=self._read_output, daemon=True)
        self._pump.start()

    def poll(self) -> int | None:
        """The exit code (-n for signal n); None while the script runs."""
        return self._process.poll()

    def signal_group(self, number: int) -> None:
        """Send a signal to the script and its children."""
        self._process.signal_group(number)

    def reap_orphans(self) -> None:
        """Collect ended processes other than the script: ours if we are process 1 or adopt orphans."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in (0, self._process.pid):
                    return
                os.waitpid(ended.si_pid, os.WNOHANG)

    def end_group(self, *, reap_all: bool, patience: float = 5.0) -> None:
        """Kill the script's remaining processes and wait until they are gone and their output is read."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.signal_group(signal.SIGKILL)
            is_running = self.poll() is None
            left = kill_own_children() if reap_all else is_running
            if not left and not (self._process.pid and _group_exists(self._process.pid)):
                break
            time.sleep(0.01)
        self._pump.join(max(0.0, deadline - time.monotonic()))

    def last_lines(self) -> str:
        """The end of the script's output, both streams in the order of reading."""
        lines = self._tail.decode("utf-8", errors="replace").splitlines()
        return "\n".join(line[:TAIL_WIDTH] for line in lines[-TAIL_LINES:])

    def _read_output(self) -> None:
        parser = ReportParser()
        with selectors.DefaultSelector() as selector:
            for pipe, sink in self._pipes:
                selector.register(pipe, selectors.EVENT_READ, (pipe, sink))
            while selector.get_map():
                for key, _ in selector.select():
                    self._read_chunk(selector, key, parser)
        for report in parser.close():
            self._on_report(report)

    def _read_chunk(
        self, selector: selectors.BaseSelector, key: selectors.SelectorKey, parser: ReportParser
    ) -> None:
        pipe, sink = key.data
        chunk = os.read(key.fd, CHUNK)
        if not chunk:
            selector.unregister(pipe)
            pipe.close()
            return
        # a full disk must not end a training that could go on
        with contextlib.suppress(OSError):
            sink.write(chunk)
            sink.flush()
        self._tail += chunk
        del self._tail[:-TAIL_BYTES]
        if pipe is self._process.stdout:
            for report in parser.feed(chunk):
                if self._on_report(report):
                    self.signal_group(signal.SIGTERM)


def kill_own_children() -> bool:
    """Kill and reap all children of this process; whether any is left."""
    for child in own_children():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def own_children() -> list[int]:
    """Process ids of this process's children."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in children.read_text(encoding="ascii").split()] if children.is_file() else []


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
