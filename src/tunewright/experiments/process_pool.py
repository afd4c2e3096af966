"""ProcessPool: processes that carry out orders, each of them one order at a time.

Orders and answers are JSON; ``docs/decisions/own-process-pool.md`` says why this is not a ``ProcessPoolExecutor``.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, cast, final

from tunewright.threads import THREAD_VARIABLES
from tunewright.types import Json

SAVE_SECONDS: Final = 10.0
"""Seconds for which an interrupted process may save its results."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """End of an order."""

    index: int
    """As :meth:`ProcessPool.submit` got it."""
    data: Mapping[str, Any] | None
    """JSON data from the process; None if the process ended instead."""
    exit_text: str = ""
    """How the process ended."""
    seconds: float
    """Wall-clock time since the order was submitted."""


@final
class ProcessPool:
    """Processes of one module; a context manager that shuts them down.

    A process that dies takes its order with it and is replaced.

    Parameters
    ----------
    module
        Run by ``python -m``: reads orders from stdin and writes an answer to stdout for each, as JSON lines. The first
        line on stdin is ``{"path": sys.path}``.
    size
        Number of orders that may be carried out at the same time, >= 1.
    """

    def __init__(self, module: str, size: int) -> None:
        self.size = size
        self._module = module
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Process] = []
        self._busy: list[_Process] = []

    def __enter__(self) -> ProcessPool:
        """Return the pool; a process is started when there is an order for it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down."""
        self.shutdown()

    def shutdown(self) -> None:
        """End all processes: idle ones at once, busy ones after an interrupt that lets them save their results."""
        for process in self._busy:
            process.interrupt()
        deadline = time.monotonic() + SAVE_SECONDS
        for process in self._busy:
            process.end(max(0.0, deadline - time.monotonic()))
        for process in self._idle:
            process.end(0.0)
        self._busy, self._idle = [], []
        self._selector.close()

    @property
    def n_busy(self) -> int:
        """Number of orders that are carried out."""
        return len(self._busy)

    def submit(self, index: int, order: Mapping[str, Json]) -> None:
        """Give an order to an idle process, or to a new one; not more than ``size`` at a time.

        Parameters
        ----------
        index
            Returned with the answer.
        order
            JSON data.
        """
        process = self._idle.pop() if self._idle else _Process(self._module)
        self._busy.append(process)
        self._selector.register(process.answers, selectors.EVENT_READ, process)
        process.begin(index, order)

    def wait(self, timeout: float) -> Iterator[Answer]:
        """Wait for at most ``timeout`` seconds until an order ends; yield all that have ended."""
        for key, _ in self._selector.select(timeout):
            process = cast("_Process", key.data)
            self._selector.unregister(process.answers)
            self._busy.remove(process)
            data, exit_text = process.answer(), ""
            if data is None:
                code = process.end(SAVE_SECONDS)
                exit_text = f"signal {-code}" if code < 0 else f"exit code {code}"
            else:
                self._idle.append(process)
            yield Answer(
                index=process.index,
                data=data,
                exit_text=exit_text,
                seconds=time.monotonic() - process.submitted_at,
            )


@final
class _Process:
    """One process of a pool."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},  # the same sums on every machine
            start_new_session=True,  # Ctrl-C reaches the pool only, which passes it on
        )
        self.index = -1
        self.submitted_at = 0.0
        self._send({"path": sys.path})

    @property
    def answers(self) -> Any:
        return self._process.stdout

    def begin(self, index: int, order: Mapping[str, Json]) -> None:
        self.index = index
        self.submitted_at = time.monotonic()
        self._send(order)

    def answer(self) -> Mapping[str, Any] | None:
        """Read the answer; None if the process has ended."""
        line = self.answers.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self, patience: float) -> int:
        """Wait for the end of the process, kill it after ``patience`` seconds, and return its exit code."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):
            cast("Any", self._process.stdin).close()
        return self._process.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died, which the next read shows
            cast("Any", self._process.stdin).write(json.dumps(message).encode() + b"\n")
            cast("Any", self._process.stdin).flush()
