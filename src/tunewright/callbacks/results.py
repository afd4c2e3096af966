"""ResultsTable: all results as ``results.csv.zip``, in the columns that the field knows."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, final

from typing_extensions import override

from tunewright.events import EndEvent, Event, ResultEvent, StartEvent
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.journal import read_events
from tunewright.storage import replacing
from tunewright.trial import BackendSummary, ExperimentStatus, TrialStatus
from tunewright.types import Config

INTERVAL: Final = 10.0
"""Seconds between two writes, at least."""
_SHARE: Final = 20.0  # a write that took s seconds is followed by a pause of this many s


@final
class ResultsTable(Callback):
    """Writes the table every ten seconds while results come, and at the end.

    Parameters
    ----------
    journal
        The experiment's journal, from which the table is made.
    path
        The file; it is replaced, so that a reader always finds a whole one.
    """

    def __init__(self, journal: Path, path: Path) -> None:
        self._journal = journal
        self._path = path
        self._n_written = 0
        self._next = 0.0

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Write when it is time to."""
        if monotonic() >= self._next and history.n_results != self._n_written:
            self._write(history)

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Write the last state."""
        self._write(history)

    def _write(self, history: History) -> None:
        begin = monotonic()
        write_results(self._path, read_events(self._journal))
        self._n_written = history.n_results
        self._next = monotonic() + max(INTERVAL, _SHARE * (monotonic() - begin))


def write_results(path: Path, events: Iterable[Event]) -> None:
    """Write the table of a journal's events to a zipped CSV file, whole or not at all."""
    with (
        replacing(path) as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.writestr(path.name.removesuffix(".zip"), results_csv(events))


def results_csv(events: Iterable[Event]) -> str:
    """The table of a journal's events as text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(result_rows(events))
    return text.getvalue()


def result_rows(events: Iterable[Event]) -> Iterator[Sequence[Any]]:
    """The header, then a row per accepted result in the order in which they came.

    Columns: ``trial_id``, ``resource``, every metric, ``config_*``, ``st_decision`` (``continue``, ``pause``, ``stop``),
    ``st_status`` (where the trial stands now), ``st_tuner_time`` (seconds on the experiment's clock).
    """
    results: list[ResultEvent] = []
    configs: dict[int, Config] = {}
    status: dict[int, TrialStatus] = {}
    for event in events:
        if isinstance(event, ResultEvent) and event.is_accepted:
            results.append(event)
        elif isinstance(event, StartEvent):
            configs[event.trial_id] = event.config
            status[event.trial_id] = TrialStatus.RUNNING
        elif isinstance(event, EndEvent):
            status[event.trial_id] = event.status
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    names = list(dict.fromkeys(name for config in configs.values() for name in config))
    own = ("st_decision", "st_status", "st_tuner_time")
    yield ("trial_id", "resource", *metrics, *(f"config_{name}" for name in names), *own)
    for result in results:
        trial_id = result.trial_id
        yield (
            trial_id,
            result.resource,
            *(result.metrics.get(name, "") for name in metrics),
            *(configs[trial_id].get(name, "") for name in names),
            str(result.decision),
            str(status[trial_id]),
            result.t,
        )
