"""Output of commands: tables, the progress of experiments and plans, logging; and files and names that flags give."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Final, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tunewright.callbacks import PlainProgress
from tunewright.callbacks.live import FittedTable, LiveProgress
from tunewright.cli.exits import FAILED, say, say_while_read
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments import CellResult, Experiment, PlanProgress, progress_facts
from tunewright.experiments.plan import Look
from tunewright.formatting import duration, plural, wrapped
from tunewright.interfaces import Callback
from tunewright.storage import ExperimentFolder, safe_name

INTERVAL: Final = 10.0
"""Seconds between two lines of a plan's progress if stdout is no terminal."""

_WIDE: Final = 100_000  # columns of a table that is not printed on a terminal
_WILD: Final = frozenset("*?[")
_SHOWN: Final = 8  # names in a message


def set_up_logging(*, is_verbose: bool) -> None:
    """Print warnings of Tunewright to stderr, with ``--verbose`` informational messages as well."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    if is_verbose:
        logging.getLogger("tunewright").setLevel(logging.INFO)


def table_of(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, wraps_last: bool = False
) -> FittedTable:
    """Make a table that fits any terminal; only cells of the last column are cut, or wrapped if ``wraps_last``."""
    return FittedTable(headings, ([str(cell) for cell in row] for row in rows), wraps_last=wraps_last)


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, wraps_last: bool = False
) -> None:
    """Print a table as :func:`table_of`; its lines are neither cut nor wrapped if stdout is no terminal."""
    table = table_of(headings, rows, wraps_last=wraps_last)
    if sys.stdout.isatty():
        Console().print(table, highlight=False)
    else:
        Console(width=_WIDE).print(table, highlight=False, soft_wrap=True)


def labelled(label: str, value: object, *, width: int) -> str:
    """Put a value behind a label of ``width`` columns.

    On a terminal the value is wrapped and indented as in `wrapped`.
    """
    line = f"{label:<{width}}{value}"
    return wrapped(line, shutil.get_terminal_size().columns, indent=width) if sys.stdout.isatty() else line


def ask_user(text: str) -> str:
    """Ask on the terminal; at the end of the input (Ctrl-D) the answer is empty."""
    try:
        return input(text)
    except EOFError:
        say("")
        return ""


def is_confirmed(question: str, *, unattended: str) -> bool:
    """Ask a question whose answer is no by default.

    Parameters
    ----------
    question
        Ends without the choice, which is added.
    unattended
        The error if there is no terminal.

    Raises
    ------
    SettingsError
        There is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise SettingsError(unattended)
    return ask_user(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


@contextmanager
def writing(path: Path, place: str = "file") -> Generator[None]:
    """Write to the path of ``--out``.

    Parameters
    ----------
    path
        The file.
    place
        What ``--out`` takes: a file, or its folder.

    Raises
    ------
    SettingsError
        The file system refuses.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"Cannot write {path}: {error.strerror}. Choose another {place} with --out"
        ) from None


def select(kind: str, text: str, known: Sequence[str]) -> list[str]:
    """Select known names, in the order of the selection and without repetition.

    Parameters
    ----------
    kind
        Kind of the names, for errors.
    text
        Names and globs such as ``lcbench-*``, separated by commas; quotes around them are removed.
    known
        All names.

    Raises
    ------
    SettingsError
        Nothing is selected, a name is unknown (the nearest is named), or a glob matches none.
    """
    parts = [part.strip().strip("'\"") for part in text.strip().strip("'\"").split(",")]
    chosen: dict[str, None] = {}
    for part in filter(None, parts):
        if part in known:
            chosen[part] = None
        elif _WILD & set(part):
            matching = [name for name in known if fnmatchcase(name, part)]
            if not matching:
                some = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
                raise SettingsError(f"No {kind} matches {part!r}. There are {some}")
            chosen.update(dict.fromkeys(matching))
        else:
            raise UnknownNameError(kind, part, known)
    if not chosen:
        raise SettingsError(f"Choose a {kind}: {text!r} names none")
    return list(chosen)


def watch_progress(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Callbacks that show an experiment: a live table on a terminal, lines elsewhere."""
    facts = progress_facts(experiment, folder)
    if sys.stdout.isatty():
        return [LiveProgress(facts, Console())]
    return [PlainProgress(facts, say_while_read)]


@contextmanager
def plan_progress(n_cells: int) -> Generator[Look]:
    """Show the progress of a plan: a bar on a terminal, a line every ten seconds elsewhere."""
    if not sys.stdout.isatty():
        yield _PlanLines()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=n_cells)
        yield lambda progress: bar.update(
            task, completed=len(progress.results), description=progress_text(progress)
        )


def progress_text(progress: PlanProgress) -> str:
    """Format processes, elapsed time, remaining time and failures of a plan."""
    remaining = progress.remaining
    parts = [plural(progress.n_processes, "process", "processes"), duration(progress.elapsed)]
    if remaining is not None and len(progress.results) < progress.n_cells:
        parts.append(f"about {duration(remaining)} to go")
    if progress.n_failed:
        parts.append(f"{progress.n_failed} failed")
    return ", ".join(parts)


def report_plan(results: Sequence[CellResult], *, tag: str) -> int:
    """Print how a plan ended, with the causes of failures; return the exit code."""
    failed = [result for result in results if result.error is not None]
    skipped = [result for result in results if result.is_skipped]
    for result in failed:
        experiment = result.experiment
        folder = f" ({result.folder.path})" if result.folder else ""
        error = result.traceback or str(result.error) or type(result.error).__name__
        sys.stderr.write(
            f"Failed: {experiment.label} on {experiment.benchmark.name}, seed {experiment.seed}{folder}\n"
            f"{textwrap.indent(error, '    ').rstrip()}\n"
        )
    n_results = sum(result.n_results for result in results)
    say(
        f"{len(results) - len(failed) - len(skipped)} of {plural(len(results), 'cell')} run, {n_results:,} {'result' if n_results == 1 else 'results'}"
        + (f"; {len(skipped)} were finished before" if skipped else "")
        + (f"; {len(failed)} failed: --resume continues them" if failed else "")
    )
    say(f"Compare: tunewright report {safe_name(tag, 'experiment tag')}")
    return FAILED if failed else 0


@final
class _PlanLines:
    def __init__(self) -> None:
        self._next = 0.0
        self._was_over = False

    def __call__(self, progress: PlanProgress) -> None:
        is_over = len(progress.results) == progress.n_cells
        if not self._was_over and (is_over or monotonic() >= self._next):
            self._was_over = is_over
            self._next = monotonic() + INTERVAL
            say(f"{len(progress.results)} of {plural(progress.n_cells, 'cell')}: {progress_text(progress)}")
