"""Times that a user of Python functions waits for: the first result in a notebook, and the start of each trial.

Run it with: python perf/first_hour.py [--torch PYTHON]

PYTHON is the interpreter of an environment with PyTorch, such as .venv-torch/bin/python.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.trial import Ended, Reported, Run

CELL = """
import time
began = time.time()
import tunewright as tw

def train(x):
    tw.report(loss=x)

outcome = tw.tune(train, {"x": tw.Float(0, 1)}, metric="loss", n_trials=4, n_workers=2)
print("first result after", min(r.metrics["st_worker_timestamp"] for _, r in outcome.history.results_since(0)) - began)
"""
TRAINING = """
import torch
from tunewright import report

def train(x):
    report(loss=float(torch.tensor(x).sum()))
"""
N = 7


def first_result() -> float:
    """Seconds from the beginning of a cell to the first report of its experiment."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    text = "".join(output.get("text", "") for output in notebook["cells"][0]["outputs"])
    return float(text.rpartition("first result after")[2])


def starts(python: str, *, fork: bool) -> list[float]:
    """Seconds from the start of each trial, one after the other, to its report."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "training.py").write_text(TRAINING)
        backend = LocalBackend(
            f"{folder / 'training.py'}:train",
            folder=folder / "trials",
            python=python,
            config=LocalConfig(gpus=(), fork=fork),
        )
        backend.attach(())
        try:
            for trial_id in range(N):
                began = time.time()
                backend.start(Run(trial_id=trial_id, attempt=0), {"x": 1.0})
                has_ended = False
                while not has_ended:
                    for event in backend.wait(10.0):
                        if isinstance(event, Reported):
                            found.append(event.metrics["st_worker_timestamp"] - began)
                        has_ended = has_ended or isinstance(event, Ended)
        finally:
            backend.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="")
    given = parser.parse_args()
    times = [first_result() for _ in range(N)]
    sys.stdout.write(
        f"notebook, cell to first result: median {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})\n"
    )
    for fork in (True, False) if given.torch else ():
        first, *others = starts(given.torch, fork=fork)
        kind = "forks" if fork else "new interpreters"
        sys.stdout.write(
            f"PyTorch function, {kind}: first trial {first:.2f} s, later ones median {statistics.median(others):.3f} s "
            f"({min(others):.3f} to {max(others):.3f})\n"
        )


if __name__ == "__main__":
    main()
