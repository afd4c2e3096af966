"""Crew: the processes that run the cells of a plan."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, cast, final

from tunewright.experiments.cells import CellSummary
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.functions import function_path
from tunewright.methods import MethodSpec
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

PATIENCE: Final = 10.0
"""Seconds that processes have to save everything after Ctrl-C."""
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)
"""Sums in one order whatever the machine, and no more threads than processes."""


@final
class Crew:
    """Processes that take orders; a context manager that ends them.

    A process that dies takes its cell with it and is replaced.

    Parameters
    ----------
    size
        Cells that may run at the same time, >= 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Member] = []
        self._busy: list[_Member] = []

    def __enter__(self) -> Crew:
        """Processes begin when there is something for them to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes; after Ctrl-C those that run a cell save it first."""
        for member in self._busy:
            member.interrupt()
        deadline = time.monotonic() + PATIENCE
        for member in (*self._busy, *self._idle):
            member.dismiss(max(0.0, deadline - time.monotonic()) if member in self._busy else 0.0)
        self._selector.close()

    @property
    def n_busy(self) -> int:
        """Cells that run."""
        return len(self._busy)

    def give(
        self, index: int, experiment: Experiment, folder: ExperimentFolder | None, *, export: bool
    ) -> None:
        """Let an idle process run a cell, in a new folder where none is given.

        Raises
        ------
        SettingsError
            The cell's method is a function that processes cannot find by a name.
        """
        method = experiment.method
        order = {
            "experiment": experiment.to_json(),
            "function": None if isinstance(method, MethodSpec) else function_path(method),
            "folder": None if folder is None else str(folder.path),
            "export": export,
        }
        member = self._idle.pop() if self._idle else _Member()
        self._busy.append(member)
        self._selector.register(member.answers, selectors.EVENT_READ, member)
        member.begin(index, order)

    def wait(self, timeout: float) -> Iterator[tuple[int, CellSummary, float]]:
        """Cells that ended within ``timeout`` seconds: index, summary, seconds."""
        for key, _ in self._selector.select(timeout):
            member = cast("_Member", key.data)
            self._selector.unregister(member.answers)
            self._busy.remove(member)
            summary = member.answer()
            if summary is None:
                code = member.dismiss(PATIENCE)
                what = f"signal {-code}" if code < 0 else f"exit code {code}"
                error = f"The process that ran it ended with {what}: was it killed, or out of memory?"
                summary = CellSummary(status=ExperimentStatus.FAILED, error=error)
            else:
                self._idle.append(member)
            yield member.index, summary, time.monotonic() - member.since


@final
class _Member:
    """One process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tunewright.experiments.cell_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,  # Ctrl-C is passed on in order
        )
        self.index = -1
        self.since = 0.0
        self._send({"path": sys.path})

    @property
    def answers(self) -> Any:
        return self._process.stdout

    def begin(self, index: int, order: dict[str, Any]) -> None:
        self.index = index
        self.since = time.monotonic()
        self._send(order)

    def answer(self) -> CellSummary | None:
        """The summary of the cell; None where the process is gone."""
        line = self.answers.readline()
        return CellSummary.from_json(json.loads(line)) if line.endswith(b"\n") else None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def dismiss(self, patience: float) -> int:
        """End the process, by force where it takes longer than ``patience`` seconds; its exit code."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):
            cast("Any", self._process.stdin).close()
        return self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died: its end is seen where the answer is awaited
            cast("Any", self._process.stdin).write(json.dumps(message).encode() + b"\n")
            cast("Any", self._process.stdin).flush()
