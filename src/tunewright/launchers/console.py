"""What the user sees while experiments run: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright.callbacks import PlainProgress
from tunewright.callbacks.live import LiveProgress
from tunewright.experiments import Experiment, progress_facts
from tunewright.interfaces import Callback
from tunewright.launchers.exits import forsake_stdout
from tunewright.storage import ExperimentFolder

_WIDE: Final = 400  # columns where nobody's window has to hold them


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; lines are as long as they need to be where stdout is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    console.print(table, highlight=False)


def watch_progress(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """The callback that shows an experiment: a table where stdout is a terminal, lines elsewhere."""
    facts = progress_facts(experiment, folder)
    if sys.stdout.isatty():
        return [LiveProgress(facts, Console())]
    return [PlainProgress(facts, say_while_read)]


def say_while_read(line: str) -> None:
    """Print a line; an experiment goes on in silence where the reader of our output went away, such as head."""
    try:
        say(line)
    except BrokenPipeError:
        forsake_stdout()


def set_up_logging(*, is_verbose: bool) -> None:
    """Show warnings of Tunewright as lines on stderr; where asked for, what happens inside as well."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    if is_verbose:
        logging.getLogger("tunewright").setLevel(logging.INFO)
