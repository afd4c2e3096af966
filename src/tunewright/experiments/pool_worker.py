"""Main program of the processes of a plan: run cell after cell, so that imports are paid once.

Orders come as JSON lines on stdin, answers go as JSON lines to stdout; everything that a cell prints goes to stderr. The
process ends when stdin does: the plan's process has ended, and the journals are whole at every instant.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from tunewright.codec import from_json, to_json
from tunewright.experiments.plan import CellAnswer, CellOrder, error_line, run_cell, with_export
from tunewright.experiments.run import unwatched
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

_ALLOCATIONS: Final = 20_000  # objects between two garbage collections
_ORPHANED: Final = 3  # exit code if the plan's process has ended


def main() -> int:
    """Carry out orders until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    orders: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    sys.path[:] = orders.get()["path"]
    gc.collect()
    gc.freeze()  # imported modules live as long as the process
    gc.set_threshold(
        _ALLOCATIONS
    )  # History grows and is never garbage: frequent collections cost a tenth of the time
    while True:
        try:
            answer = _run(from_json(CellOrder, orders.get(), "order"))
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        answers.write(json.dumps(to_json(answer)).encode() + b"\n")


def _listen(stdin: BinaryIO, orders: SimpleQueue[Mapping[str, Any]]) -> None:
    for line in stdin:
        orders.put(json.loads(line))
    os._exit(_ORPHANED)


def _run(order: CellOrder) -> CellAnswer:
    """Run a cell; an error of the user's own code is part of the answer, with its traceback."""
    folder = None if order.folder is None else ExperimentFolder(Path(order.folder))
    try:
        result = run_cell(order.cell(), folder, with_export(unwatched) if order.export else unwatched)
    except Exception as error:
        return CellAnswer(
            status=ExperimentStatus.FAILED,
            folder=order.folder,
            error=error_line(error),
            traceback=traceback.format_exc(),
        )
    return CellAnswer.of(result)


if __name__ == "__main__":
    sys.exit(main())
