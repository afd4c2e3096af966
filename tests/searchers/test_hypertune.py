"""Hyper-Tune: trust goes to the levels that rank the highest one right, and brackets follow it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.searchers.encoding import Observations, Rows, Snapshot
from tunewright.searchers.gp import GPSettings
from tunewright.searchers.gp_levels import JointModel, ResourceKernel
from tunewright.searchers.hypertune import (
    EnsembleLearner,
    IndependentRungs,
    JointRungs,
    JointView,
    LearnedBrackets,
    RungModelling,
    Trust,
)
from tunewright.testing.scheduler_simulator import ALL_FAULTS, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS

LOSS = Metric("loss")
SHARES = (0.6, 0.3, 0.1)
SETTINGS = GPSettings(max_observations=40)
MODELLINGS: dict[str, RungModelling] = {
    "independent": IndependentRungs(2, 3, SETTINGS),
    "joint": JointRungs(JointModel(2, (1, 3, 9), SETTINGS, ResourceKernel.PRODUCT), SETTINGS),
}


def snapshot(early, late, n_late: int = 12) -> Snapshot:
    """24 trials: ``early`` of their points at levels 0 and 1 (there in reverse), ``late`` of the first ones at level 2."""
    points = np.random.default_rng(0).random((24, 2))
    trials = np.concatenate([np.arange(24), np.arange(24), np.arange(n_late)])
    levels = np.repeat([0, 1, 2], [24, 24, n_late])
    losses = np.concatenate([early(points), -early(points), late(points[:n_late])])
    none = np.empty(0, dtype=np.intp)
    return Snapshot(points, Rows(trials, levels, losses), none, none, {})


def slope(points: np.ndarray) -> np.ndarray:
    return points[:, 0] + 0.3 * points[:, 1]


@pytest.mark.parametrize("modelling", MODELLINGS.values(), ids=MODELLINGS)
def test_a_level_that_ranks_the_wrong_way_is_not_trusted(modelling: RungModelling) -> None:
    weights = EnsembleLearner(modelling, 3).weights(snapshot(slope, slope), np.random.default_rng(0))
    assert sum(weights.values()) == pytest.approx(1)
    assert weights.get(1, 0) == 0
    assert weights.get(0, 0) + weights.get(2, 0) == pytest.approx(1)


def test_a_joint_process_is_seen_at_the_target_level() -> None:
    seen, at = snapshot(slope, slope), np.random.default_rng(1).random((5, 2))
    joint = JointModel(2, (1, 3, 9), SETTINGS, ResourceKernel.PRODUCT)
    learned = EnsembleLearner(JointRungs(joint, SETTINGS), 3, JointView.TARGET).learn(
        seen, np.random.default_rng(0)
    )
    assert learned is not None
    expected = joint.at_level(joint.learn(seen).posterior, 2).predict(at)
    for got, wanted in zip(learned.surrogate.predict(at), expected, strict=True):
        np.testing.assert_allclose(got, wanted)


def test_predictions_at_the_target_do_not_see_a_trials_own_lower_rungs() -> None:
    """Losses are noise that each trial keeps at both levels: nothing but its own lower rung predicts its loss at the target."""
    noise = np.random.default_rng(3).standard_normal(24)
    points = np.random.default_rng(0).random((24, 2))
    trials, levels = np.tile(np.arange(24), 2), np.repeat([0, 1], 24)
    none = np.empty(0, dtype=np.intp)
    seen = Snapshot(points, Rows(trials, levels, noise[trials]), none, none, {})
    settings = GPSettings(max_observations=48)
    joint = JointModel(2, (1, 3), settings, ResourceKernel.PRODUCT)
    for trust, sees in ((Trust.ROWS, True), (Trust.TRIALS, False)):
        models = JointRungs(joint, settings, trust).models(seen, [0, 1], np.random.default_rng(0))
        predicted = models.by_level[1].left_out[0]
        assert bool(np.corrcoef(predicted, noise)[0, 1] > 0.8) is sees
    weights = EnsembleLearner(JointRungs(joint, settings), 3).weights(seen, np.random.default_rng(0))
    assert weights.get(0, 0) > 0.9


@pytest.mark.parametrize("modelling", MODELLINGS.values(), ids=MODELLINGS)
def test_weights_are_computed_once_and_change_no_number(modelling: RungModelling) -> None:
    seen = snapshot(slope, slope)
    learner, rng, fresh = EnsembleLearner(modelling, 3), np.random.default_rng(0), np.random.default_rng(0)
    first = learner.weights(seen, np.random.default_rng(0))
    learned = learner.learn(seen, rng)
    again = EnsembleLearner(modelling, 3).learn(seen, fresh)
    assert learned is not None
    assert again is not None
    assert learner.weights(seen, np.random.default_rng(0)) is first
    assert rng.random() == fresh.random()
    at = np.random.default_rng(1).random((5, 2))
    np.testing.assert_array_equal(learned.surrogate.means(at), again.surrogate.means(at))


def test_below_enough_losses_nothing_is_known() -> None:
    learner = EnsembleLearner(IndependentRungs(2, 3, SETTINGS), 3)
    few = snapshot(slope, slope)
    few = Snapshot(few.points, few.rows.chosen(np.array([0, 24])), few.pending, few.pending_levels, {})
    assert learner.weights(few, np.random.default_rng(0)) == {}
    assert learner.learn(few, np.random.default_rng(0)) is None


def test_the_target_is_the_highest_level_with_enough() -> None:
    seen = snapshot(slope, slope, n_late=4)
    assert [seen.target_level(enough) for enough in (4, 5, 25)] == [2, 1, None]


def play(**settings) -> SchedulerSimulator:
    benchmark = RealBenchmarkDefinition(
        name="table", script="none", space=CONTINUOUS, metrics=(LOSS,), max_resource=27
    )
    scheduler = build_scheduler(method("HyperTune", **settings), benchmark, 0, {})
    simulator = SchedulerSimulator(
        scheduler, LOSS, max_resource=27, n_trials=24, faults=None if settings else ALL_FAULTS
    )
    simulator.play()
    return simulator


def brackets_of(simulator: SchedulerSimulator) -> Counter[int]:
    history = simulator.history
    return Counter(history.note(i, 0)["bracket"] for i in range(history.n_trials))


def test_brackets_are_drawn_by_trust_over_resource() -> None:
    history = play().history
    learner = EnsembleLearner(IndependentRungs(2, 4, GPSettings()), 3)
    observations = Observations(CONTINUOUS, LOSS, (1, 3, 9, 27))
    weights = LearnedBrackets(learner, observations, (1, 3, 9, 27), SHARES, mixed_in=0.0, seed=0)(history)
    again = LearnedBrackets(learner, observations, (1, 3, 9, 27), SHARES, mixed_in=0.0, seed=0)(history)
    assert weights is not None
    assert weights == again
    trust = [weight * level for weight, level in zip(weights, (1, 3, 9), strict=True)]
    assert sum(trust) == pytest.approx(1)
    mixed = LearnedBrackets(learner, observations, (1, 3, 9, 27), SHARES, mixed_in=0.5, seed=0)(history)
    assert mixed is not None
    expected = 0.5 * np.array(weights) / sum(weights) + 0.5 * np.array(SHARES)
    np.testing.assert_allclose(mixed, expected)


def test_there_are_no_more_brackets_than_rungs_and_one_means_one() -> None:
    assert set(brackets_of(play(brackets=50, model="joint"))) <= {0, 1, 2}
    assert set(brackets_of(play(brackets=1))) == {0}
