"""The memory behind History: one record per trial, and the orders that others read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import final

from tunewright.exceptions import IllegalTransitionError
from tunewright.history import History
from tunewright.trial import (
    LEGAL_TRANSITIONS,
    Checkpoint,
    Decision,
    Result,
    Run,
    Trial,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config, Note


@dataclass(slots=True)
class TrialRecord:
    """Everything about one trial. Written by :class:`Book` and the ledger alone."""

    trial: Trial
    status: TrialStatus
    runs: list[Run] = field(default_factory=list[Run])
    notes: list[Note] = field(default_factory=list[Note])
    started_at: float = 0.0
    """Experiment time of the newest run's start."""
    results: list[Result] = field(default_factory=list[Result])
    late: list[Result] = field(default_factory=list[Result])
    decision: Decision | None = None
    highest: int = 0
    """Highest accepted resource."""
    seen: dict[int, int] = field(default_factory=dict[int, int])
    """Of the newest run: retry -> highest seq."""
    pending: Verdict | None = None
    """PAUSE or STOP that the newest run has not ended with yet."""
    pending_at: float | None = None
    invalid: str = ""
    """Why the newest run is being ended as failed."""
    cost_of_run: float = 0.0
    checkpoint: Checkpoint | None = None
    error: str = ""


def config_key(config: Config) -> frozenset[tuple[str, object]]:
    """What makes two configurations the same one."""
    return frozenset(config.items())


@final
class Book(History):
    """History with its writing methods, which are the ledger's alone."""

    def __init__(self) -> None:
        self._records: list[TrialRecord] = []
        self._runs: list[Run] = []
        self._ids: dict[TrialStatus, dict[int, None]] = {status: {} for status in TrialStatus}
        self._configs: set[frozenset[tuple[str, object]]] = set()
        self._results: list[tuple[int, Result]] = []
        self._cost = 0.0

    # --- reading: History

    @property
    def n_trials(self) -> int:
        """Trials begun."""
        return len(self._records)

    @property
    def n_runs(self) -> int:
        """Runs begun."""
        return len(self._runs)

    @property
    def n_results(self) -> int:
        """Results accepted."""
        return len(self._results)

    @property
    def runs(self) -> Sequence[Run]:
        """All runs in the order of their start."""
        return self._runs

    @property
    def cost(self) -> float:
        """Dollars of all runs."""
        return self._cost

    def trial(self, trial_id: int) -> Trial:
        """The trial of this id."""
        return self._records[trial_id].trial

    def status(self, trial_id: int) -> TrialStatus:
        """Where the trial stands."""
        return self._records[trial_id].status

    def ids(self, status: TrialStatus) -> Collection[int]:
        """Trials of this status, in the order in which they came to it."""
        return self._ids[status].keys()

    def run(self, trial_id: int) -> Run:
        """The trial's newest run."""
        return self._records[trial_id].runs[-1]

    def until(self, trial_id: int) -> int | None:
        """Where the trial's newest run ends by itself."""
        return self._records[trial_id].runs[-1].until

    def note(self, trial_id: int, attempt: int | None = None) -> Note:
        """The scheduler's note of a run."""
        return self._records[trial_id].notes[-1 if attempt is None else attempt]

    def results(self, trial_id: int) -> Sequence[Result]:
        """The trial's accepted results."""
        return self._records[trial_id].results

    def late(self, trial_id: int) -> Sequence[Result]:
        """Results after a PAUSE or STOP."""
        return self._records[trial_id].late

    def last(self, trial_id: int) -> Result | None:
        """The trial's newest accepted result."""
        results = self._records[trial_id].results
        return results[-1] if results else None

    def decision(self, trial_id: int) -> Decision | None:
        """The verdict on the newest accepted result."""
        return self._records[trial_id].decision

    def checkpoint(self, trial_id: int) -> Checkpoint | None:
        """The newest whole checkpoint."""
        return self._records[trial_id].checkpoint

    def error(self, trial_id: int) -> str:
        """Why the trial failed."""
        return self._records[trial_id].error

    def contains(self, config: Config) -> bool:
        """Whether a trial of this configuration was begun."""
        return config_key(config) in self._configs

    def results_since(self, k: int) -> Sequence[tuple[int, Result]]:
        """All accepted results but the first ``k``."""
        return self._results[k:]

    # --- writing: the ledger's alone

    @property
    def records(self) -> Sequence[TrialRecord]:
        """The records of all trials by id; a live view."""
        return self._records

    def record(self, trial_id: int) -> TrialRecord:
        """The record of a trial."""
        return self._records[trial_id]

    def begin_trial(self, config: Config) -> TrialRecord:
        """Add a trial with the next id, RUNNING."""
        trial = Trial(id=len(self._records), config=config)
        record = TrialRecord(trial=trial, status=TrialStatus.RUNNING)
        self._records.append(record)
        self._configs.add(config_key(config))
        self._ids[TrialStatus.RUNNING][trial.id] = None
        return record

    def begin_run(self, run: Run, note: Note, started_at: float) -> None:
        """Add the next run of a RUNNING trial."""
        record = self._records[run.trial_id]
        record.runs.append(run)
        record.notes.append(note)
        record.started_at = started_at
        record.seen = {}
        record.pending = record.pending_at = None
        record.invalid = ""
        record.cost_of_run = 0.0
        self._runs.append(run)

    def add_result(self, trial_id: int, result: Result) -> None:
        """Add an accepted result."""
        record = self._records[trial_id]
        record.results.append(result)
        record.highest = result.resource
        self._results.append((trial_id, result))

    def add_cost(self, trial_id: int, cost_of_run: float) -> None:
        """Take note of what the newest run has cost so far; a lower figure than before changes nothing."""
        record = self._records[trial_id]
        if cost_of_run > record.cost_of_run:
            self._cost += cost_of_run - record.cost_of_run
            record.cost_of_run = cost_of_run

    def move(self, trial_id: int, status: TrialStatus) -> None:
        """Change a trial's status.

        Raises
        ------
        IllegalTransitionError
            The present status does not lead there.
        """
        record = self._records[trial_id]
        if status not in LEGAL_TRANSITIONS[record.status]:
            raise IllegalTransitionError(trial_id, record.status, status)
        del self._ids[record.status][trial_id]
        self._ids[status][trial_id] = None
        record.status = status
