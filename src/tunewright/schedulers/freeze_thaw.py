"""Freeze-thaw Bayesian optimisation: resume the most promising paused trial, or start a new one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.brackets import verdict_at
from tunewright.schedulers.rungs import with_searchers_part
from tunewright.searchers.candidate_selection import CandidateSelector, Chosen
from tunewright.seeding import Stream, generator
from tunewright.trial import Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config, Note


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Levels at which trials pause; checked when built.

    Raises
    ------
    SettingsError
        The levels are not strictly increasing, or none lies below ``max_resource``.
    """

    max_resource: int
    """The resource of a full run."""
    levels: tuple[int, ...]
    """Resources at which a trial pauses, >= 1 and below ``max_resource``."""

    def __post_init__(self) -> None:
        is_increasing = all(low < high for low, high in pairwise((0, *self.levels, self.max_resource)))
        if not self.levels or not is_increasing:
            raise SettingsError(
                f"levels={self.levels} must be strictly increasing, >= 1 and below max_resource={self.max_resource}"
            )

    def next_level(self, resource: int) -> int:
        """The number of the first level above a resource; that of ``max_resource`` comes after the last one."""
        return bisect_right(self.levels, resource)

    def until(self, level: int) -> int | None:
        """Resource at which a run to a level ends by itself; None: at the end of the training."""
        return self.levels[level] if level < len(self.levels) else None


def check_probability(name: str, value: float) -> None:
    """Check a probability with which no new trial is begun.

    Raises
    ------
    SettingsError
        It is not in [0, 1).
    """
    if not 0.0 <= value < 1.0:
        raise SettingsError(f"{name}={value} must be >= 0 and below 1")


def action_of(chosen: Chosen, pauses: Pauses, level: int, note: Note) -> Start | Resume | None:
    """Return the action of a choice: a resumption up to a level, or a start up to the first one."""
    whole = with_searchers_part(note, chosen.note)
    if chosen.trial_id is not None:
        return Resume(trial_id=chosen.trial_id, until=pauses.until(level), note=whole)
    if chosen.suggestion is None:
        return None
    return Start(config=chosen.suggestion.config, until=pauses.until(0), note=whole)


@final
class FreezeThaw(Scheduler):
    """Freeze-thaw Bayesian optimisation ([Swersky2014]_) with a joint model of all learning curves ([Lin2024]_).

    Every trial pauses at the next level. A free worker then gets the run with the largest expected improvement at
    ``max_resource`` over the best that is predicted there for any trial: one of the paused trials, or a new
    configuration that maximises it. What running trials will give at their next level is fantasised.

    In the paper each curve is a decaying exponential that is independent of the others given its limit, and the
    information about the optimum decides; here all curves are one process, and expected improvement decides. That alone
    hardly ever sees a trial through, since a new configuration is the best of very many and seldom keeps its promise. So
    with ``probability_thaw`` only the paused trials are weighed.

    A trial whose last loss is not finite is never thawed. Once the space is exhausted, the paused trials go on.

    Parameters
    ----------
    selector
        Compares trials by their forecasts at ``max_resource``.
    pauses
        Levels at which trials pause.
    metric
        What is tuned.
    seed
        Draws when only paused trials are weighed.
    probability_thaw
        How often that is, >= 0 and below 1.

    Raises
    ------
    SettingsError
        The probability is out of its range.

    References
    ----------
    .. [Swersky2014] Swersky, Snoek, Adams: Freeze-Thaw Bayesian Optimization. arXiv 1406.3896, Algorithm 1.
    .. [Lin2024] Lin, Ament, Balandat, Bakshy: Scaling Gaussian Processes for Learning Curve Prediction via Latent
       Kronecker Structure. arXiv 2410.09239.
    """

    def __init__(
        self,
        selector: CandidateSelector,
        pauses: Pauses,
        *,
        metric: Metric,
        seed: int,
        probability_thaw: float = 0.75,
    ) -> None:
        check_probability("probability_thaw", probability_thaw)
        self._seed = seed
        self._probability = probability_thaw
        self._selector = selector
        self._pauses = pauses
        self._metric = metric
        self._waiting: dict[int, int] = {}

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The most promising of all paused trials and a new one; None when neither is left."""
        place = generator(self._seed, Stream.BRACKET, history.n_runs).random()
        is_thaw = place < self._probability
        chosen = self._selector.chosen(history, self._waiting, paused_first=is_thaw)
        if chosen is None:
            return None
        level = 0 if chosen.trial_id is None else self._waiting[chosen.trial_id]
        return action_of(chosen, self._pauses, level, {})

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """A thawed trial waits no longer."""
        self._waiting.pop(run.trial_id, None)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pause at the level that the run was to reach; end what goes beyond ``max_resource``."""
        return verdict_at(result.resource, history.until(trial_id), self._pauses.max_resource)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """A paused trial waits, if its loss is finite."""
        last = history.last(trial_id)
        if status is TrialStatus.PAUSED and last and math.isfinite(self._metric.loss_of(last.metrics)):
            self._waiting[trial_id] = self._pauses.next_level(last.resource)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """All that wait: any of them may be thawed."""
        return self._waiting.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        return Start(config=config, until=self._pauses.until(0))

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume:
        """On to the level to which it was running."""
        return Resume(trial_id=trial_id, until=history.until(trial_id))
