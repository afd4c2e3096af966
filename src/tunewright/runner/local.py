"""The runner of a run on this machine: ``runner.pyz local FOLDER ABANDON_AFTER``."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .local_channel import END, ORDER, LocalChannel
from .order import RunOrder
from .supervisor import supervise


def attempt_lock(run: Path) -> Path:
    """The lock that all retries of an attempt share; it holds the folder's name and the pid of the one that runs."""
    return run.parent / f"{run.name.split('-')[0]}.lock"


def main(arguments: list[str]) -> int:
    """Run the order in a folder unless another runner works on the same attempt, or the run has ended.

    Parameters
    ----------
    arguments
        The run's folder, then the seconds without a tuner after which the script is ended.
    """
    run, abandon_after = Path(arguments[0]), float(arguments[1])
    with attempt_lock(run).open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if (run / END).exists():
            return 0
        lock.truncate(0)
        lock.write(f"{run.name} {os.getpid()}".encode())
        lock.flush()
        order = RunOrder.from_json((run / ORDER).read_text(encoding="utf-8"))
        with (run / "stdout").open("ab") as out, (run / "stderr").open("ab") as err:
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            supervise(order, LocalChannel(run, order, abandon_after), (out, err))
    return 0
