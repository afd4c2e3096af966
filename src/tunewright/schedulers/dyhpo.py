"""DyHPO: the next run has the largest expected improvement at its own next level."""

from __future__ import annotations

from collections.abc import Collection
from typing import final

from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.brackets import verdict_at
from tunewright.schedulers.freeze_thaw import Pauses, action_of, check_probability
from tunewright.schedulers.rungs import Rung
from tunewright.searchers.candidate_selection import CandidateSelector
from tunewright.seeding import Stream, generator
from tunewright.trial import Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config


@final
class DyHPO(Scheduler):
    """Dynamic multi-fidelity optimisation ([Wistuba2022]_, Algorithm 1), mixed with successive halving.

    Every trial pauses at the next level. A free worker gets the run with the largest expected improvement at the level
    to which it would run next (equation 5): one of the paused trials, or a new configuration at the first level. The best
    value to be improved on is that of the same level (equation 6).

    With ``probability_sh``, the best paused trial that is among the top of its rung goes on instead, looking from the
    highest rung down; a rung lets through the part that the ratio of its level to the next one is, so that each costs as
    much as any other. This mixture, and a Gaussian process without the paper's deep kernel, are those of Syne Tune.

    A trial whose loss is not finite never goes on. Once the space is exhausted, the paused trials go on.

    Parameters
    ----------
    selector
        Compares trials by their forecasts at the next level.
    pauses
        Levels at which trials pause.
    metric
        What is tuned.
    seed
        Draws when to look at the rungs first.
    probability_sh
        How often that is, >= 0 and below 1.

    Raises
    ------
    SettingsError
        The probability is out of its range.

    References
    ----------
    .. [Wistuba2022] Wistuba, Kadra, Grabocka: Supervising the Multi-Fidelity Race of Hyperparameter Configurations.
       NeurIPS 2022.
    """

    def __init__(
        self,
        selector: CandidateSelector,
        pauses: Pauses,
        *,
        metric: Metric,
        seed: int,
        probability_sh: float = 0.25,
    ) -> None:
        check_probability("probability_sh", probability_sh)
        self._selector = selector
        self._pauses = pauses
        self._metric = metric
        self._seed = seed
        self._probability = probability_sh
        levels = (*pauses.levels, pauses.max_resource)
        self._rungs = [Rung(low, high / low) for low, high in zip(pauses.levels, levels[1:], strict=True)]
        self._counted: dict[int, int] = {}
        self._waiting: dict[int, int] = {}

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """A promotion (at times), else the most promising of all paused trials and a new one; None when nothing is left."""
        if generator(self._seed, Stream.BRACKET, history.n_runs).random() < self._probability:
            for rung in reversed(self._rungs):
                trial_id = rung.promotable()
                if trial_id is not None:
                    until = self._pauses.until(self._waiting[trial_id])
                    return Resume(trial_id=trial_id, until=until, note={"by": "rung"})
        chosen = self._selector.chosen(history, self._waiting)
        if chosen is None:
            return None
        level = 0 if chosen.trial_id is None else self._waiting[chosen.trial_id]
        return action_of(chosen, self._pauses, level, {"by": "model"})

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """A trial that goes on waits no longer."""
        level = self._waiting.pop(run.trial_id, None)
        if level is not None:
            self._rungs[level - 1].release(run.trial_id)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Count the result for the rungs that it reached; pause at the level that the run was to reach."""
        self._count(trial_id, result)
        return verdict_at(result.resource, history.until(trial_id), self._pauses.max_resource)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """A paused trial waits in the highest rung that it reached, if its loss there is finite."""
        reached = self._counted.get(trial_id, 0)
        if status is TrialStatus.PAUSED and reached and self._rungs[reached - 1].admit(trial_id):
            self._waiting[trial_id] = reached

    @override
    def resumable(self, history: History) -> Collection[int]:
        """All that wait: any of them may go on."""
        return self._waiting.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        return Start(config=config, until=self._pauses.until(0))

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume:
        """On to the level to which it was running."""
        return Resume(trial_id=trial_id, until=history.until(trial_id))

    def _count(self, trial_id: int, result: Result) -> None:
        """Record a result in all rungs up to its resource that lack the trial."""
        begin, end = self._counted.get(trial_id, 0), self._pauses.next_level(result.resource)
        loss = self._metric.loss_of(result.metrics)
        for rung in self._rungs[begin:end]:
            rung.record(trial_id, loss)
        self._counted[trial_id] = max(begin, end)
