"""History: the read-only view of everything that has happened in an experiment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from tunewright.trial import Checkpoint, Decision, Result, Run, Trial, TrialStatus
from tunewright.types import Config, Note


class History(ABC):
    """Everything observed so far.

    Schedulers, searchers, criteria and callbacks read it; only the ledger writes it. Each answer costs O(1) or in
    proportion to its size, and copies nothing: sequences and collections are live views that must not be kept
    across events or changed.

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
        """Trials begun."""

    @property
    @abstractmethod
    def n_runs(self) -> int:
        """Runs begun: starts and resumptions."""

    @property
    @abstractmethod
    def n_results(self) -> int:
        """Results accepted."""

    @property
    @abstractmethod
    def runs(self) -> Sequence[Run]:
        """All runs in the order of their start."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Dollars of all runs so far, resumed and repeated work included."""

    @abstractmethod
    def trial(self, trial_id: int) -> Trial:
        """The trial of this id (``0 <= trial_id < n_trials``)."""

    @abstractmethod
    def status(self, trial_id: int) -> TrialStatus:
        """Where the trial stands."""

    @abstractmethod
    def ids(self, status: TrialStatus) -> Collection[int]:
        """Trials of this status, in the order in which they came to it. A live view."""

    @abstractmethod
    def run(self, trial_id: int) -> Run:
        """The trial's newest run."""

    @abstractmethod
    def until(self, trial_id: int) -> int | None:
        """Where the trial's newest run ends by itself."""

    @abstractmethod
    def note(self, trial_id: int, attempt: int | None = None) -> Note:
        """The scheduler's note of a run; of the newest one where no attempt is given."""

    @abstractmethod
    def results(self, trial_id: int) -> Sequence[Result]:
        """The trial's accepted results, resources strictly increasing."""

    @abstractmethod
    def late(self, trial_id: int) -> Sequence[Result]:
        """Results that came after a PAUSE or STOP, of which the scheduler was not asked."""

    @abstractmethod
    def last(self, trial_id: int) -> Result | None:
        """The trial's newest accepted result."""

    @abstractmethod
    def decision(self, trial_id: int) -> Decision | None:
        """The verdict on the trial's newest accepted result; None where there is none yet."""

    @abstractmethod
    def checkpoint(self, trial_id: int) -> Checkpoint | None:
        """The newest whole checkpoint that the trial's ended runs left; None where there is none."""

    @abstractmethod
    def error(self, trial_id: int) -> str:
        """Why the trial failed; empty where it did not."""

    @abstractmethod
    def contains(self, config: Config) -> bool:
        """Whether a trial of this configuration was begun."""

    @abstractmethod
    def results_since(self, k: int) -> Sequence[tuple[int, Result]]:
        """``(trial_id, result)`` of all accepted results but the first ``k``, in journal order."""
