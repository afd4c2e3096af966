"""What the user sees while experiments run: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from rich.console import Console

from tunewright.callbacks import PlainProgress
from tunewright.callbacks.live import LiveProgress
from tunewright.experiments import Experiment, progress_facts
from tunewright.interfaces import Callback
from tunewright.storage import ExperimentFolder


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def watch_progress(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """The callback that shows an experiment: a table where stdout is a terminal, lines elsewhere."""
    facts = progress_facts(experiment, folder)
    if sys.stdout.isatty():
        return [LiveProgress(facts, Console())]
    return [PlainProgress(facts, say)]


def set_up_logging(*, is_verbose: bool) -> None:
    """Show warnings of Tunewright as lines on stderr; where asked for, what happens inside as well."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    if is_verbose:
        logging.getLogger("tunewright").setLevel(logging.INFO)
