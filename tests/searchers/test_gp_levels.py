"""Joint models of losses at levels: the common learning curve is their mean."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.gp import GPSettings
from tunewright.searchers.gp_curves import CurveLearner
from tunewright.searchers.gp_levels import JointModel, LevelMean, ResourceKernel

LEVELS = (1, 3, 9)
FALL = np.array([5.0, 1.0, 0.0])
"""By which all losses at each level are above those at the last one."""


def limit(points: np.ndarray) -> np.ndarray:
    return (points[:, 0] - 0.4) ** 2 + 0.5 * points[:, 1]


def halving(fall: np.ndarray = FALL, failed: tuple[int, ...] = ()) -> Snapshot:
    """27 trials at the first level, of which the best nine were seen at the second, and three at the last."""
    points = np.random.default_rng(0).random((27, 2))
    order = np.argsort(limit(points))
    trials = np.concatenate([order, order[:9], order[:3]])
    levels = np.repeat([0, 1, 2], [27, 9, 3])
    losses = limit(points)[trials] + fall[levels]
    losses[np.isin(trials, failed)] = 99.0
    none = np.empty(0, dtype=np.intp)
    return Snapshot(
        points, Rows(trials, levels, losses), none, none, {}, failed=np.array(failed, dtype=np.intp)
    )


def test_the_curve_is_that_of_trials_seen_at_neighbouring_levels() -> None:
    np.testing.assert_allclose(LevelMean.CURVE.of(halving(), 3), FALL)
    assert not LevelMean.CONSTANT.of(halving(), 3).any()
    best = int(halving().rows.trials[0])
    np.testing.assert_allclose(LevelMean.CURVE.of(halving(failed=(best,)), 3), FALL)


def test_a_level_that_no_trial_shares_with_the_next_has_its_mean() -> None:
    seen = halving()
    kept = np.flatnonzero(seen.rows.levels != 1)
    without = Snapshot(seen.points, seen.rows.chosen(kept), seen.pending, seen.pending_levels, {})
    np.testing.assert_allclose(LevelMean.CURVE.of(without, 3), 0.0)


@pytest.mark.parametrize("steep", [1.0, 20.0])
def test_a_common_fall_changes_no_prediction(steep: float) -> None:
    at = np.random.default_rng(1).random((30, 2))
    joint = JointModel(2, LEVELS, GPSettings(), ResourceKernel.PRODUCT)
    flat = joint.at_level(joint.learn(halving(0 * FALL)).posterior, 2).means(at)
    fallen = joint.at_level(joint.learn(halving(steep * FALL)).posterior, 2).means(at)
    np.testing.assert_allclose(fallen, flat, atol=1e-6)


def test_the_end_is_forecast_better_than_with_a_constant_mean() -> None:
    at = np.random.default_rng(1).random((100, 2))
    for learner in (joint_end, curve_end):
        agreement = [
            np.corrcoef(learner(mean, at), limit(at))[0, 1] for mean in (LevelMean.CURVE, LevelMean.CONSTANT)
        ]
        assert agreement[0] > 0.95
        assert agreement[0] > agreement[1]


def joint_end(mean: LevelMean, at: np.ndarray) -> np.ndarray:
    joint = JointModel(2, LEVELS, GPSettings(), ResourceKernel.PRODUCT, mean)
    return joint.at_level(joint.learn(halving(20 * FALL)).posterior, 2).means(at)[:, 0]


def curve_end(mean: LevelMean, at: np.ndarray) -> np.ndarray:
    learner = CurveLearner(2, LEVELS, GPSettings(), mean)
    forecast = learner.forecast(halving(20 * FALL), np.random.default_rng(0))
    assert forecast is not None
    return forecast.at(2)[0].means(at)[:, 0]
