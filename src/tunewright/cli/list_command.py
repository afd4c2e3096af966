"""``tunewright list``: the stored experiments."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tunewright.exceptions import TunewrightError
from tunewright.experiments import Outcome, load_outcome
from tunewright.formatting import duration, number
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser
from tunewright.storage import experiments


def run(arguments: Sequence[str]) -> int:
    """List the experiments, oldest first."""
    parser = Parser("tunewright list", "List the stored experiments, oldest first.")
    parser.flag("experiment_tag", "only those of this tag")
    parser.flag("format", "how", choices=("table", "json"), default="table")
    given = parser.read(arguments)
    outcomes = list(_outcomes(given.experiment_tag))
    if given.format == "json":
        say(json.dumps([outcome.to_json() for outcome in outcomes], indent=2))
    elif outcomes:
        print_table(("experiment", "status", "trials", "results", "time", "best"), map(_row, outcomes))
    elif given.experiment_tag is not None:
        say(f"No experiments under the tag {given.experiment_tag!r}: tunewright list shows all")
    else:
        say("No experiments yet: tunewright tune --help, or benchmarking/nursery/launch_local/hpo_main.py")
    return 0


def _outcomes(tag: str | None) -> Iterator[Outcome]:
    for folder in experiments(tag):
        try:
            yield load_outcome(folder)
        except TunewrightError as error:
            sys.stderr.write(f"Left out {folder.name}: {error}\n")


def _row(outcome: Outcome) -> Sequence[Any]:
    best = outcome.best
    return (
        outcome.folder.name,
        outcome.status,
        outcome.history.n_trials,
        outcome.history.n_results,
        duration(outcome.wallclock_time),
        "-" if best is None else f"{outcome.metric.name} {number(best.value)}",
    )
