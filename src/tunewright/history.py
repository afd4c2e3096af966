"""History: the read-only view of an experiment's events; its best result so far."""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import final

from tunewright.metric import Constraint, Metric
from tunewright.trial import KNOWN, Checkpoint, Decision, Result, Run, Trial, TrialStatus
from tunewright.types import Config, Note


class History(ABC):
    """The state of an experiment.

    Schedulers, searchers, criteria and callbacks read it; only :mod:`tunewright.state` changes it. An answer costs O(1),
    or time in proportion to its size, and copies nothing: sequences and collections are live views, not to be changed or
    kept across events.

    Examples
    --------
    A trial 0 started, reported epochs 1 and 3, was paused and resumed::

        history.n_trials == 1
        history.n_runs == 2
        history.status(0) is TrialStatus.RUNNING
        [r.resource for r in history.results(0)] == [1, 3]
    """

    @property
    @abstractmethod
    def n_trials(self) -> int:
        """Number of trials that have begun."""

    @property
    def n_suggested(self) -> int:
        """Number of trials that have begun without those whose configuration a user added."""
        return self.n_trials

    @property
    @abstractmethod
    def n_runs(self) -> int:
        """Number of runs that have begun: starts and resumptions."""

    @property
    @abstractmethod
    def n_results(self) -> int:
        """Number of accepted results."""

    @property
    @abstractmethod
    def runs(self) -> Sequence[Run]:
        """All runs in the order of their start."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """US dollars of all runs so far, resumed and repeated work included."""

    @abstractmethod
    def trial(self, trial_id: int) -> Trial:
        """The trial of this id (``0 <= trial_id < n_trials``)."""

    @abstractmethod
    def status(self, trial_id: int) -> TrialStatus:
        """The trial's status."""

    @abstractmethod
    def ids(self, status: TrialStatus) -> Collection[int]:
        """Trials of this status, in the order in which they entered it. A live view."""

    def is_withdrawn(self, trial_id: int) -> bool:
        """Whether a user has paused or stopped the trial, so that the scheduler does without it."""
        del trial_id
        return False

    @abstractmethod
    def run(self, trial_id: int) -> Run:
        """The trial's newest run."""

    @abstractmethod
    def until(self, trial_id: int) -> int | None:
        """Resource at which the trial's newest run ends by itself; None: at the script's end."""

    @abstractmethod
    def note(self, trial_id: int, attempt: int | None = None) -> Note:
        """The scheduler's note of a run, by default of the newest one."""

    @abstractmethod
    def results(self, trial_id: int) -> Sequence[Result]:
        """The trial's accepted results, resources strictly increasing."""

    @abstractmethod
    def late(self, trial_id: int) -> Sequence[Result]:
        """Results after a PAUSE or STOP, which the scheduler does not judge."""

    @abstractmethod
    def last(self, trial_id: int) -> Result | None:
        """The trial's newest accepted result; None before the first one."""

    @abstractmethod
    def decision(self, trial_id: int) -> Decision | None:
        """The verdict on the trial's newest accepted result; None before the first one."""

    @abstractmethod
    def checkpoint(self, trial_id: int) -> Checkpoint | None:
        """The newest whole checkpoint of the trial's ended runs; None if there is none."""

    @abstractmethod
    def error(self, trial_id: int) -> str:
        """The error of a failed trial; empty for other trials."""

    @abstractmethod
    def contains(self, config: Config) -> bool:
        """Whether a trial with this configuration has begun."""

    @abstractmethod
    def results_since(self, k: int) -> Sequence[tuple[int, Result]]:
        """``(trial_id, result)`` of all accepted results but the first ``k``, in journal order."""


@final
class Incumbent:
    """Follows the best result of a growing History; each result is looked at once.

    Parameters
    ----------
    metric
        What is compared. Non-finite values are never best; of equal ones the first is.
    constraints
        What must hold of the best result.
    """

    def __init__(self, metric: Metric, constraints: Sequence[Constraint] = ()) -> None:
        self.metric = metric
        self._constraints = tuple(constraints)
        self.trial_id: int | None = None
        """None until there is a finite value."""
        self.result: Result | None = None
        self._loss = math.inf
        self._n_seen = 0

    @property
    def value(self) -> float:
        """The best value; NaN until there is one."""
        return math.nan if self.result is None else self.result.metrics[self.metric.name]

    def update(self, history: History) -> bool:
        """Look at what is new; tell whether there is a new best one."""
        is_new = False
        for trial_id, result in history.results_since(self._n_seen):
            loss = self.metric.loss_of(result.metrics)
            if loss < self._loss and all(bound.is_met(result.metrics) for bound in self._constraints):
                self._loss, self.trial_id, self.result, is_new = loss, trial_id, result, True
        self._n_seen = history.n_results
        return is_new


def ranked_trials(
    history: History, metric: Metric, constraints: Sequence[Constraint] = ()
) -> list[tuple[int, Result]]:
    """List the trials with a finite result that meets the constraints, each with its best one.

    Returns
    -------
    list of pairs of trial id and result
        The best trial first; of equal ones the trial of the lower number.
    """
    best: dict[int, tuple[float, int, Result]] = {}
    for trial_id, result in history.results_since(0):
        loss = metric.loss_of(result.metrics)
        is_met = math.isfinite(loss) and all(bound.is_met(result.metrics) for bound in constraints)
        if is_met and (trial_id not in best or loss < best[trial_id][0]):
            best[trial_id] = (loss, trial_id, result)
    return [(trial_id, result) for _, trial_id, result in sorted(best.values(), key=lambda one: one[:2])]


def known_resource(history: History, trial_id: int) -> int:
    """Return the highest resource of the known results of a trial, which were not trained; 0 if it has none."""
    known = history.note(trial_id, 0).get(KNOWN)
    return known if isinstance(known, int) else 0


@final
class KnownResults:
    """Counts the trials that began with known results, and these results, which were not trained; each only once."""

    def __init__(self) -> None:
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = None if history is None else weakref.ref(history)
        self._read_trials = self._read_results = self._n_trials = self._n_results = 0

    def n_trials(self, history: History) -> int:
        """Number of trials."""
        self._follow(history)
        for trial_id in range(self._read_trials, history.n_trials):
            self._n_trials += known_resource(history, trial_id) > 0
        self._read_trials = history.n_trials
        return self._n_trials

    def n_results(self, history: History) -> int:
        """Number of results; 0, at no expense, if no trial begins with one."""
        if not self.n_trials(history):
            return 0
        for trial_id, result in history.results_since(self._read_results):
            self._n_results += result.resource <= known_resource(history, trial_id)
        self._read_results = history.n_results
        return self._n_results

    def _follow(self, history: History) -> None:
        if self._history is None or self._history() is not history:
            self._begin(history)
