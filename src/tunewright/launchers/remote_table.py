"""All slices of a launch as one table, once or live."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunewright.exceptions import BackendError
from tunewright.formatting import duration, number
from tunewright.launchers.console import say
from tunewright.remote.launch import ENDED, Fleet, SliceState
from tunewright.remote.mirror import SliceView, fetch_views

HEADINGS: Final = ("slice", "state", "tuning jobs", "trials", "results", "best", "cost")


def slice_rows(views: Sequence[SliceView]) -> list[Sequence[str]]:
    """One row per slice, in the order of :data:`HEADINGS`."""
    return [_row(view) for view in views]


def follow(fleet: Fleet, names: set[str], *, interval: float, max_parallel: int | None) -> int:
    """Show all slices until they end; those whose tuning job died are launched again.

    Parameters
    ----------
    fleet
        The launch.
    names
        Of the slices to follow.
    interval
        Real seconds between two looks.
    max_parallel
        Tuning jobs at the same time.

    Returns
    -------
    int
        0, or 1 where a slice failed.

    Raises
    ------
    BackendError, ServiceError
        The service cannot be used.
    """
    is_terminal = sys.stdout.isatty()
    told: dict[str, str] = {}
    with Live(console=Console(), auto_refresh=False, transient=not is_terminal) as live:
        while True:
            statuses = [status for status in fleet.look() if status.slice.name in names]
            views = fetch_views(fleet, statuses)
            if is_terminal:
                live.update(_table(views), refresh=True)
            else:
                _tell(views, told)
            if all(status.state in ENDED for status in statuses):
                break
            try:
                fleet.launch_waiting(statuses, max_parallel)
            except BackendError as error:
                say(f"Error: {error}")
                return 1
            time.sleep(interval)
    return int(any(status.state is SliceState.FAILED for status in statuses))


def _tell(views: Sequence[SliceView], told: dict[str, str]) -> None:
    """A line for each slice that stands elsewhere than before."""
    for view in views:
        name, state = view.status.slice.name, str(view.status.state)
        if told.get(name) != state:
            told[name] = state
            say(
                f"{name}: {', '.join(part for part in (state, view.status.why, _best(view)) if part != '-' and part)}"
            )


def _table(views: Sequence[SliceView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in slice_rows(views):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _row(view: SliceView) -> Sequence[str]:
    status = view.status
    n_trials = sum(outcome.history.n_trials for outcome in view.outcomes)
    n_results = sum(outcome.history.n_results for outcome in view.outcomes)
    state = f"{status.state} ({status.why})" if status.why else str(status.state)
    jobs = f"{len(status.jobs)}, {duration(status.seconds)}" if status.jobs else "-"
    return (status.slice.name, state, jobs, str(n_trials), str(n_results), _best(view), _cost(view))


def _best(view: SliceView) -> str:
    found = [(outcome, outcome.best) for outcome in view.outcomes]
    texts = [f"{outcome.metric.name} {number(best.value)}" for outcome, best in found if best is not None]
    return texts[0] if len(texts) == 1 else f"{len(texts)} experiments" if texts else "-"


def _cost(view: SliceView) -> str:
    """Dollars of the trials and of the tuning jobs together."""
    trials = sum(float(outcome.summary.get("cost", 0.0)) for outcome in view.outcomes)
    return f"${trials + (view.status.cost or 0.0):.2f}"
