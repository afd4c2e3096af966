"""Replicates: the means in results, and the race that stops trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from tunewright.asktell import Asked, AskTell
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.metric import Constraint, Goal, Metric
from tunewright.models.ranks import signed_rank_p
from tunewright.replicates import Replicates
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.racing import Racing
from tunewright.schedulers.stopping_rules import RuleStopping
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, TrialStatus, Verdict

LOSS = Metric("loss")
FIVE = Replicates(n=5)


class TestContractAroundFIFO(SchedulerContract):
    replicates = Replicates(n=27)

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        fifo = FIFO(RandomSearcher(space, seed=seed))
        return RuleStopping(fifo, Racing(self.replicates, metric=metric))


class TestContractAroundASHA(SchedulerContract):
    replicates = Replicates(n=27, significance=0.1)

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        rungs = ASHASettings(max_resource=27, grace_period=3)
        within = ASHA(RandomSearcher(space, seed=seed), rungs, metric=metric, seed=seed)
        return RuleStopping(within, Racing(self.replicates, metric=metric))


class Race:
    """Trials that report given losses, fold after fold."""

    def __init__(
        self,
        replicates: Replicates = FIVE,
        metric: Metric = LOSS,
        constraints: Sequence[Constraint] = (),
        journal: MemoryJournal | None = None,
    ) -> None:
        fifo = FIFO(RandomSearcher(CONTINUOUS, seed=0))
        racing = RuleStopping(fifo, Racing(replicates, metric=metric, constraints=constraints))
        self.tuning = AskTell(racing, [metric], journal, constraints=constraints, replicates=replicates)
        self._metric = metric

    def begin(self) -> Asked:
        asked = self.tuning.ask()
        assert asked is not None
        return asked

    def tell(self, asked: Asked, loss: float, **others: float) -> Verdict:
        return self.tuning.tell(asked, {self._metric.name: loss, **others})

    def trial(self, *losses: float, folds: Sequence[int] = (1, 2, 3, 4, 5), **others: float) -> int:
        """Run a trial; return how many replicates it was given."""
        asked = self.begin()
        for fold, loss in zip(folds, losses, strict=False):
            if self.tell(asked, loss, replicate=fold, **others).decision is not Decision.CONTINUE:
                assert self.tuning.history.status(asked.trial_id) is TrialStatus.STOPPED
                break
        else:
            self.tuning.complete(asked)
        return len(self.tuning.history.results(asked.trial_id))


def test_two_bad_folds_stop_a_trial_and_the_best_is_a_mean_with_its_error() -> None:
    race = Race()
    assert race.trial(0.1, 0.2, 0.3, 0.4, 0.5) == 5
    assert race.trial(0.2, 0.3, 0.0, 0.0, 0.0) == 2
    best = race.tuning.best()
    assert best is not None
    assert (best.trial_id, best.resource) == (0, 5)
    assert best.value == pytest.approx(0.3)
    assert best.standard_error == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4, 0.5], ddof=1) / math.sqrt(5))


def test_the_reason_names_the_trial_and_the_p_value() -> None:
    race = Race()
    race.trial(0.1, 0.2, 0.3, 0.4, 0.5)
    asked = race.begin()
    race.tell(asked, 0.2)
    assert race.tell(asked, 0.3).reason == "worse than trial 0 in 2 replicates, p=0.25"


def test_a_partial_mean_is_never_the_best() -> None:
    race = Race()
    asked = race.begin()
    race.tell(asked, 0.0)
    assert race.tuning.best() is None
    race.trial(0.3, 0.3, 0.3, 0.3, 0.3)
    best = race.tuning.best()
    assert best is not None
    assert best.trial_id == 1


def test_a_better_mean_goes_on_and_replaces_the_best() -> None:
    race = Race()
    race.trial(0.5, 0.5, 0.5, 0.5, 0.5)
    assert race.trial(0.51, 0.51, 0.1, 0.51, 0.51, folds=(3, 2, 1, 4, 5)) == 2
    assert race.trial(0.1, 0.51, 0.51, 0.51, 0.51) == 5  # worse in four folds, better in the mean
    assert race.trial(0.2, 0.52, 0.2, 0.2, 0.2) == 2


def test_folds_are_paired_by_their_number() -> None:
    race = Race()
    race.trial(0.1, 0.9, 0.1, 0.1, 0.1)
    assert race.trial(0.85, 0.05, 0.05, 0.05, 0.05, folds=(2, 1, 3, 4, 5)) == 5
    assert race.trial(0.2, 0.2, 0.2, 0.2, 0.2, folds=(5, 4, 3, 2, 1)) == 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5), st.permutations(range(5)))
def test_the_order_of_folds_does_not_matter(losses: list[float], order: Sequence[int]) -> None:
    race = Race()
    race.trial(*losses)
    race.trial(*(losses[i] for i in order), folds=[i + 1 for i in order])
    first, second = (race.tuning.history.last(trial_id) for trial_id in (0, 1))
    assert first is not None
    assert second is not None
    for key in ("loss", "loss_se", "replicates"):
        assert first.metrics[key] == second.metrics[key]


def test_repeated_and_surplus_replicates_are_passed_over() -> None:
    race = Race(Replicates(n=2, significance=0.0))
    asked = race.begin()
    for fold, loss in [(1, 0.1), (1, 9.0), (2, 0.3), (3, 9.0)]:
        race.tell(asked, loss, replicate=fold)
    assert race.tuning.complete(asked) is TrialStatus.COMPLETED
    assert [result.metrics["loss"] for result in race.tuning.history.results(0)] == [0.1, 0.2]
    assert [result.metrics["loss_replicate"] for result in race.tuning.history.results(0)] == [0.1, 0.3]


def test_a_smaller_significance_needs_more_folds() -> None:
    for significance, n in [(0.25, 2), (0.1, 4), (0.05, 5), (0.0, 5)]:
        race = Race(Replicates(n=5, significance=significance))
        race.trial(0.1, 0.2, 0.3, 0.4, 0.5)
        assert race.trial(0.2, 0.3, 0.4, 0.5, 0.6) == n


def test_a_fold_that_is_not_finite_ends_the_trial() -> None:
    race = Race()
    assert race.trial(math.nan, 0.1, 0.1, 0.1, 0.1) == 1
    race = Race(Replicates(n=5, significance=0.0))
    assert race.trial(0.1, math.inf, 0.1, 0.1, 0.1) == 5
    assert race.tuning.best() is None


def test_maximised_metrics() -> None:
    race = Race(metric=Metric("accuracy", Goal.MAXIMIZE))
    race.trial(0.9, 0.9, 0.9, 0.9, 0.9)
    assert race.trial(0.8, 0.8) == 2
    assert race.trial(0.95, 0.95, 0.95, 0.95, 0.95) == 5
    best = race.tuning.best()
    assert best is not None
    assert best.value == pytest.approx(0.95)


def test_trials_race_against_the_best_that_keeps_the_constraints() -> None:
    race = Race(constraints=[Constraint("memory", 8.0)])
    race.trial(0.1, 0.1, 0.1, 0.1, 0.1, memory=9.0)
    assert race.trial(0.5, 0.5, 0.5, 0.5, 0.5, memory=7.0) == 5
    assert race.trial(0.6, 0.6, 0.6, 0.6, 0.6, memory=7.0) == 2
    best = race.tuning.best()
    assert best is not None
    assert best.trial_id == 1


def test_a_race_goes_on_after_a_restart() -> None:
    journal = MemoryJournal()
    race = Race(journal=journal)
    race.trial(0.1, 0.2, 0.3, 0.4, 0.5)
    asked = race.begin()
    race.tell(asked, 0.2, replicate=2)
    again = Race(journal=journal)
    assert again.tell(asked, 0.9, replicate=5).decision is Decision.CONTINUE
    assert again.tell(asked, 0.9, replicate=1).decision is Decision.STOP


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8).filter(any))
def test_the_test_counts_signs(differences: list[int]) -> None:
    some = np.array([d for d in differences if d])
    ranks = rankdata(np.abs(some))
    sums = [ranks[np.array(signs)].sum() for signs in product([True, False], repeat=len(some))]
    assert signed_rank_p(np.array(differences)) == np.mean(np.array(sums) >= ranks[some > 0].sum())


def test_without_equal_values_the_test_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 5, 12, 30):
        differences = rng.normal(0.3, 1.0, n)
        expected = wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("wrong", [{"n": 1}, {"n": 5, "significance": 1.0}, {"n": 5, "significance": -0.1}])
def test_settings_that_cannot_work(wrong: dict) -> None:
    with pytest.raises(SettingsError):
        Replicates(**wrong)
