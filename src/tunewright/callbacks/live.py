"""LiveProgress: an experiment's progress as a table that is redrawn, for terminals; and FittedTable, its kind of table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from tunewright.events import RequestEvent
from tunewright.formatting import (
    ProgressFacts,
    best_text,
    changed_facts,
    closing_text,
    config_text,
    constraint_text,
    failure_text,
    interrupt_text,
    messages,
    remaining_text,
    request_text,
    share_done,
    status_text,
    value_text,
    wrapped,
)
from tunewright.history import History, Incumbent
from tunewright.interfaces import Callback
from tunewright.schedulers.objectives import pareto_results
from tunewright.trial import BackendSummary, ExperimentStatus, Run, TrialStatus

_BAR: Final = 30
"""Columns of the bar of what is done."""
_INDENT: Final = 6
"""Columns before the best configuration."""
_CLOSING_INDENT: Final = 9
"""Columns of the labels at the end of an experiment."""
_GAP: Final = 2
"""Columns of the terminal between two cells."""
_LEAST_LAST: Final = 16
"""Columns of the terminal for the last cell; with less room, rows are shown as lines."""
MAX_ROWS: Final = 14
"""Maximum number of trials in the table: running ones, then the latest others."""
_COLOURS: Final = {
    TrialStatus.RUNNING: "cyan",
    TrialStatus.PAUSED: "yellow",
    TrialStatus.COMPLETED: "green",
    TrialStatus.STOPPED: "dim",
    TrialStatus.FAILED: "bold red",
}


@final
class ProgressView:
    """What is shown of a running experiment: its trials, counts, what is left, and the best configuration.

    Parameters
    ----------
    facts
        Facts of the experiment.
    """

    def __init__(self, facts: ProgressFacts) -> None:
        self.facts = facts
        """May be replaced while the experiment runs."""
        self._incumbent = Incumbent(facts.metric, facts.constraints)

    def of(self, history: History, now: float, summary: BackendSummary) -> Group:
        """The state at a time."""
        facts = self.facts
        table = self.trials(history)
        status = status_text(facts, history, now, summary.cost, summary.prices)
        parts: list[RenderableType] = [table, Text(status)]
        share = share_done(facts, history, now, summary.cost)
        if share is not None:
            bar = Table.grid(padding=(0, _GAP, 0, 0))
            bar.add_row(
                ProgressBar(total=1.0, completed=share, width=_BAR),
                remaining_text(facts, history, now, summary.cost),
            )
            parts.append(bar)
        parts.append(Text.assemble(("best: ", "bold"), best_text(facts, self._incumbent, history)))
        if self._incumbent.trial_id is not None and not facts.others:
            config = config_text(history.trial(self._incumbent.trial_id).config, facts.space)
            parts.append(Padding(Text(config), (0, 0, 0, _INDENT)))
        return Group(*parts)

    def trials(self, history: History) -> FittedTable:
        """The running trials and the latest others."""
        self._incumbent.update(history)
        return trials_table(self.facts, history, self._best(history))

    def _best(self, history: History) -> Collection[int | None]:
        if self.facts.others:
            return {
                trial_id
                for trial_id, _ in pareto_results(history, self.facts.metrics, self.facts.constraints)
            }
        return {self._incumbent.trial_id}


@final
class LiveProgress(Callback):
    """Keeps a table of the trials on the screen, below failures and notices.

    Parameters
    ----------
    facts
        Facts of the experiment.
    console
        Console of a terminal.
    """

    def __init__(self, facts: ProgressFacts, console: Console) -> None:
        self._console = console
        self._view = ProgressView(facts)
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=True)
        self._said: set[str] = set()

    @override
    def on_experiment_start(self, history: History) -> None:
        """Start the table."""
        self._console.print(Text(self._view.facts.title, style="bold"))
        self._console.print(Text(f"Results: {self._view.facts.path}"), soft_wrap=True)
        self._live.start()
        self._draw(history, 0.0, BackendSummary())

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Print the messages of the method."""
        for message in messages(history.note(run.trial_id)):
            self._live.console.print(Text(message, style="dim"))

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Print a failure immediately."""
        if status is TrialStatus.FAILED:
            self._live.console.print(Text(failure_text(history, trial_id), style="red"))

    @override
    def on_request(self, history: History, request: RequestEvent) -> None:
        self._view.facts = changed_facts(self._view.facts, request)
        self._live.console.print(Text(f"Request: {request_text(request)}", style="bold"))

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Redraw the table."""
        for notice in summary.notices:
            if notice not in self._said:
                self._said.add(notice)
                self._live.console.print(Text(notice, style="dim"))
        self._draw(history, now, summary)

    @override
    def on_interrupt(self, history: History) -> None:
        self._live.console.print(Text(interrupt_text(history), style="bold"))

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Leave the last table, and print the result and the last notices, for example about a job that still runs."""
        self._live.update(self._view.trials(history), refresh=True)
        self._live.stop()
        for notice in dict.fromkeys(summary.notices):
            if notice not in self._said:
                self._console.print(Text(notice), soft_wrap=True)
        for line in closing_text(self._view.facts, history, outcome, summary).splitlines():
            text = wrapped(line, self._console.width, indent=_CLOSING_INDENT)
            self._console.print(Text(text), soft_wrap=True, highlight=False)

    def _draw(self, history: History, now: float, summary: BackendSummary) -> None:
        self._live.update(self._view.of(history, now, summary), refresh=True)


def trials_table(facts: ProgressFacts, history: History, best: Collection[int | None]) -> FittedTable:
    """Table of the running trials and the latest others, one row each."""
    rows: list[Sequence[Text | str]] = []
    for trial_id in _chosen(history):
        status, last = history.status(trial_id), history.last(trial_id)
        rows.append(
            (
                f"{'* ' if trial_id in best else ''}{trial_id}",
                Text(str(status), style=_COLOURS[status]),
                "" if last is None else str(last.resource),
                *("" if last is None else value_text(metric, last) for metric in facts.metrics),
                *("" if last is None else constraint_text(bound, last) for bound in facts.constraints),
                config_text(history.trial(trial_id).config, facts.space),
            )
        )
    values = (*(metric.name for metric in facts.metrics), *map(str, facts.constraints))
    headings = ("trial", "status", facts.resource, *values, "configuration")
    return FittedTable(headings, rows, right={0, *range(2, len(headings) - 1)})


@final
class FittedTable:
    """A table without borders in which only the last column is cut: it takes the room that the others leave.

    If they leave too little, the last cell of each row is below the others; and if these do not fit either, all cells are below the
    first one, each with its heading.

    Parameters
    ----------
    headings
        One for each column.
    rows
        Cells, as many as headings.
    wraps_last
        Whether the cells of the last column are wrapped instead of cut.
    right
        Columns that are aligned to the right.
    """

    def __init__(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[Text | str]],
        *,
        wraps_last: bool = False,
        right: Collection[int] = (),
    ) -> None:
        self._headings = headings
        self._rows = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
        self._wraps_last = wraps_last
        self._right = right

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for a width."""
        widths = [cell_len(heading) for heading in self._headings]
        for row in self._rows:
            widths = [max(width, cell.cell_len) for width, cell in zip(widths, row, strict=True)]
        *fixed, last = widths
        room = options.max_width - sum(fixed) - _GAP * len(fixed)
        if room >= min(last, _LEAST_LAST):
            yield from self._table(console, fixed, room)
        elif room >= -_GAP:
            yield from self._table(console, fixed, options.max_width - _GAP, below=True)
        else:
            yield from self._paragraphs()

    def _table(
        self, console: Console, fixed: Sequence[int], room: int, *, below: bool = False
    ) -> Iterable[Text]:
        """Lines with cells side by side; the last one may be below the others."""
        for row in ([Text(heading, style="bold") for heading in self._headings], *self._rows):
            front = Text(no_wrap=True)
            for number, (cell, width) in enumerate(zip(row, fixed, strict=False)):
                space = " " * (width - cell.cell_len)
                front += Text.assemble(space, cell) if number in self._right else Text.assemble(cell, space)
                front += Text(" " * _GAP)
            ends = row[-1].wrap(console, room) if self._wraps_last else [_cut(row[-1], room)]
            if below:
                front.rstrip()
                yield front
            for number, end in enumerate(ends):
                indent = " " * (_GAP if below else front.cell_len)
                yield Text.assemble(front if number == 0 and not below else indent, end)

    def _paragraphs(self) -> Iterable[RenderableType]:
        for first, *others in self._rows:
            yield Text.assemble((f"{self._headings[0]} ", "dim"), first)
            shown = zip(self._headings[1:], others, strict=True)
            parts = [Text.assemble((f"{heading} ", "dim"), cell) for heading, cell in shown if cell.plain]
            yield Padding(Text(", ").join(parts), (0, 0, 0, _GAP))


def _cut(text: Text, width: int) -> Text:
    shorter = text.copy()
    shorter.truncate(width, overflow="ellipsis")
    return shorter


def _chosen(history: History) -> list[int]:
    running = list(history.ids(TrialStatus.RUNNING))[:MAX_ROWS]
    others: dict[int, None] = {}
    for run in reversed(history.runs):
        if len(running) + len(others) >= MAX_ROWS:
            break
        if history.status(run.trial_id) is not TrialStatus.RUNNING:
            others[run.trial_id] = None
    return [*running, *others]
