"""The live progress of a plan: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import errno
import os
import pty
import sys

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli.output import labelled, plan_progress, progress_text
from tunewright.exceptions import CellError
from tunewright.experiments import CellResult, Experiment, Limits, PlanProgress, method
from tunewright.trial import ExperimentStatus


def plan(n_cells: int = 3) -> list[Experiment]:
    return [
        Experiment(
            tag="bar",
            benchmark=simulated_benchmark("digits"),
            method=method("RandomSearch"),
            label="RS",
            backend=SimulatedConfig(),
            seed=seed,
            limits=Limits(max_num_trials=1),
        )
        for seed in range(n_cells)
    ]


def run_two_of_three(progress: PlanProgress) -> None:
    """One cell finishes after 40 seconds, one fails after 20; one is left."""
    cells = plan()
    for cell in cells:
        progress.expect(cell)
    for cell, status, seconds in zip(
        cells, (ExperimentStatus.STOPPED, ExperimentStatus.FAILED), (40.0, 20.0), strict=False
    ):
        error = CellError("x") if status is ExperimentStatus.FAILED else None
        progress.add(CellResult(experiment=cell, status=status, error=error), seconds)


def read_to_the_end(terminal: int) -> str:
    """All that was written to the other side of a terminal, which is closed; it may come piece by piece."""
    parts: list[bytes] = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that nobody has the other side
            raise
    return b"".join(parts).decode()


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    progress = PlanProgress(n_cells=3, n_processes=1)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with plan_progress(3) as look:
            look(progress)
            run_two_of_three(progress)
            look(progress)
    shown = read_to_the_end(ours)
    os.close(ours)
    assert "0/3" in shown
    assert "2/3" in shown
    assert "about 30 s to go, 1 failed" in shown
    assert shown.rstrip("\n\r").endswith(("\x1b[2K", "\x1b[?25h"))  # the line is erased, the cursor is back


def test_elsewhere_there_are_lines_and_the_last_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlanProgress(n_cells=2, n_processes=2)
    with plan_progress(2) as look:
        look(progress)
        look(progress)  # within ten seconds nothing is said
        for cell in plan(2):
            progress.expect(cell)
            progress.add(CellResult(experiment=cell, status=ExperimentStatus.STOPPED), 1.0)
        look(progress)
        look(progress)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["0 of 2 cells", "2 of 2 cells"]
    assert "to go" not in progress_text(progress)


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_values_are_wrapped_at_blanks_on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    config = "n_units=43 batch_size=108 learning_rate=0.007543 weight_decay=0.0001689"
    assert labelled("best", config, width=12) == f"best        {config}"  # no terminal
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = labelled("best", config, width=12).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert [word for line in lines for word in line.split()] == ["best", *config.split()]
    assert all(line.startswith(" " * 12) for line in lines[1:])
    assert (len(lines) == 1) == (columns == 200)
    for whole in ("tunewright best NAME --retrain" * 3, "/a/folder" * 9, "a\nnote of two lines" * 3):
        assert labelled("use it", whole, width=12) == f"use it      {whole}"
