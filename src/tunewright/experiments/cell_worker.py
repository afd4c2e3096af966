"""The process that runs cells, one after the other: imports are paid once.

Orders come as JSON lines on stdin, answers go as JSON lines to stdout; whatever a cell prints goes to stderr. When stdin
ends, the process ends at once: whoever gave the orders is gone, and the journals are whole at every instant.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from tunewright.callbacks import ResultsTable
from tunewright.experiments.cells import run_cell
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.watch import Watch, unwatched
from tunewright.interfaces import Callback
from tunewright.runner.call_function import load_function
from tunewright.storage import ExperimentFolder

_ALLOCATIONS: Final = 20_000  # objects between two looks for garbage
_GONE: Final = 3  # exit code where the other end is gone


def main() -> int:
    """Carry out orders until there are no more; the first one sets the process up."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    orders: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    _set_up(orders.get())
    gc.collect()
    gc.freeze()  # what was imported lives as long as the process: no need to look at it again and again
    gc.set_threshold(
        _ALLOCATIONS
    )  # History grows and is never garbage: to look at it often takes a tenth of the time
    while True:
        try:
            _carry_out(orders.get(), answers)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT


def _listen(stdin: BinaryIO, orders: SimpleQueue[Mapping[str, Any]]) -> None:
    for line in stdin:
        orders.put(json.loads(line))
    os._exit(_GONE)


def _set_up(order: Mapping[str, Any]) -> None:
    sys.path[:] = order["path"]


def _carry_out(order: Mapping[str, Any], answers: BinaryIO) -> None:
    experiment = read_experiment(order["experiment"], order["function"])
    folder = None if order["folder"] is None else ExperimentFolder(Path(order["folder"]))
    watch: Watch = _export if order["export"] else unwatched
    summary = run_cell(experiment, folder, watch)
    answers.write(json.dumps(summary.to_json()).encode() + b"\n")


def _export(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    del experiment
    return [ResultsTable(folder.journal_path, folder.results_path)]


def read_experiment(data: Mapping[str, Any], function: str | None) -> Experiment:
    """The experiment of an order; ``function`` is where the user's own method is found."""
    if function is None:
        return Experiment.from_json(data)
    stand_in = {**data, "method": {"name": "", "settings": {}}}
    return Experiment.from_json(stand_in).with_method(load_function(function))


if __name__ == "__main__":
    sys.exit(main())
