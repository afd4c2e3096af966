"""NotebookProgress: an experiment's progress as a table in the cell of a notebook."""

from __future__ import annotations

import importlib
import io
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, final

from rich.console import Console, RenderableType
from rich.text import Text
from typing_extensions import override

from tunewright.callbacks.live import ProgressView
from tunewright.events import RequestEvent
from tunewright.formatting import (
    ProgressFacts,
    changed_facts,
    closing_text,
    failure_text,
    interrupt_text,
    messages,
    request_text,
)
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.trial import BackendSummary, ExperimentStatus, Run, TrialStatus

_WIDTH: Final = 110
"""Columns of the table."""
_SECONDS: Final = 0.5
"""Shortest time between two drawings."""
_MAX_LINES: Final = 20
"""Messages that are kept above the table."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


@final
class NotebookProgress(Callback):
    """Keeps a table of the trials in the output of the cell, below failures and notices.

    Parameters
    ----------
    facts
        Facts of the experiment.
    """

    def __init__(self, facts: ProgressFacts) -> None:
        self._view = ProgressView(facts)
        self._handle: Any = None
        self._lines: list[Text] = []
        self._said: set[str] = set()
        self._drawn = 0.0

    @override
    def on_experiment_start(self, history: History) -> None:
        """Begin the output."""
        self._lines = [Text(self._view.facts.title, style="bold"), Text(f"Results: {self._view.facts.path}")]
        self._handle = importlib.import_module("IPython.display").display(_html(self._lines), display_id=True)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Keep the messages of the method."""
        self._say(*(Text(message, style="dim") for message in messages(history.note(run.trial_id))))

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Keep a failure."""
        if status is TrialStatus.FAILED:
            self._say(Text(failure_text(history, trial_id), style="red"))

    @override
    def on_request(self, history: History, request: RequestEvent) -> None:
        self._view.facts = changed_facts(self._view.facts, request)
        self._say(Text(f"Request: {request_text(request)}", style="bold"))

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Draw the table, unless it was drawn a moment ago."""
        self._notice(summary)
        if time.monotonic() - self._drawn >= _SECONDS:
            self._drawn = time.monotonic()
            self._draw(self._view.of(history, now, summary))

    @override
    def on_interrupt(self, history: History) -> None:
        self._say(Text(interrupt_text(history), style="bold"))
        self._draw(self._view.trials(history))

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Draw the last table, and the result below it."""
        self._notice(summary)
        table = self._view.trials(history)
        self._draw(table, Text(""), Text(closing_text(self._view.facts, history, outcome, summary)))

    def _notice(self, summary: BackendSummary) -> None:
        for notice in summary.notices:
            if notice not in self._said:
                self._said.add(notice)
                self._say(Text(notice, style="dim"))

    def _say(self, *lines: Text) -> None:
        head, others = self._lines[:2], [*self._lines[2:], *lines]
        self._lines = [*head, *others[-_MAX_LINES:]]

    def _draw(self, *parts: RenderableType) -> None:
        self._handle.update(_html([*self._lines, *parts]))


def _html(parts: Sequence[RenderableType]) -> Any:
    """Rendered lines as a display object; as plain text where HTML is not shown."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, force_jupyter=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text), highlight=False)
    style = "font-family:monospace;line-height:1.3;white-space:pre-wrap"
    html = console.export_html(inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>')
    return importlib.import_module("IPython.display").HTML(html)
