"""What the user sees while a plan runs over processes, and what is said at its end."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Final, final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tunewright.experiments import Cell, PlanProgress
from tunewright.experiments.harness import Look
from tunewright.formatting import duration, plural
from tunewright.launchers.console import say
from tunewright.launchers.exits import FAILED
from tunewright.storage import safe_name

INTERVAL: Final = 10.0
"""Seconds between two lines where stdout is no terminal."""


@contextmanager
def watching(n_cells: int) -> Generator[Look]:
    """Show progress: a bar on a terminal, a line every ten seconds elsewhere."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=n_cells)
        yield lambda progress: bar.update(
            task, completed=len(progress.cells), description=progress_text(progress)
        )


def progress_text(progress: PlanProgress) -> str:
    """Processes, time, time that remains, failures."""
    remaining = progress.remaining
    parts = [plural(progress.n_jobs, "process", "processes"), duration(progress.elapsed)]
    if remaining is not None and len(progress.cells) < progress.n_cells:
        parts.append(f"about {duration(remaining)} to go")
    if progress.n_failed:
        parts.append(f"{progress.n_failed} failed")
    return ", ".join(parts)


def report_cells(cells: Sequence[Cell], *, tag: str) -> int:
    """Say how a plan went, failures with their causes; the exit code."""
    failed = [cell for cell in cells if cell.summary.status == "failed"]
    skipped = [cell for cell in cells if cell.summary.status == "skipped"]
    for cell in failed:
        experiment = cell.experiment
        where = f" ({cell.summary.folder})" if cell.summary.folder else ""
        sys.stderr.write(
            f"Failed: {experiment.label} on {experiment.benchmark.name}, seed {experiment.seed}{where}\n"
            f"{textwrap.indent(cell.summary.traceback or cell.summary.error, '    ').rstrip()}\n"
        )
    n_results = sum(cell.summary.n_results for cell in cells)
    say(
        f"{len(cells) - len(failed) - len(skipped)} of {plural(len(cells), 'cell')} run, {n_results:,} results"
        + (f"; {len(skipped)} were finished before" if skipped else "")
        + (f"; {len(failed)} failed: --resume continues them" if failed else "")
    )
    say(f"Compare: tunewright report {safe_name(tag, 'experiment tag')}")
    return FAILED if failed else 0


@final
class _Lines:
    def __init__(self) -> None:
        self._next = 0.0
        self._was_over = False

    def __call__(self, progress: PlanProgress) -> None:
        is_over = len(progress.cells) == progress.n_cells
        if not self._was_over and (is_over or monotonic() >= self._next):
            self._was_over = is_over
            self._next = monotonic() + INTERVAL
            say(f"{len(progress.cells)} of {plural(progress.n_cells, 'cell')}: {progress_text(progress)}")
