"""Acquisition functions of several objectives against simulation, differences and known cases."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.models.acquisition import LogExpectedImprovement, log_h
from tunewright.models.arrays import Array
from tunewright.models.objective_acquisition import (
    ExpectedHypervolumeImprovement,
    Scalarization,
    ScalarizedLowerBound,
    stacked_boxes,
)
from tunewright.models.pareto import dominated_volume, non_dominated_boxes
from tunewright.models.surrogate import Pullback, Surrogate


class Linear(Surrogate):
    """Means and logarithms of deviations are linear."""

    def __init__(self, rng: np.random.Generator, n_versions: int, width: float = 0.5) -> None:
        self.slopes = rng.normal(size=(2, n_versions))
        self.widths = (rng.normal(size=2) * 0.6 - 1.0) * width

    def means(self, a: Array) -> Array:
        return a @ self.slopes

    def predict(self, a: Array) -> tuple[Array, Array]:
        return a @ self.slopes, np.exp(a @ self.widths)

    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        means, deviations = self.predict(a)

        def back(by_means: Array, by_deviations: Array) -> Array:
            return by_means @ self.slopes.T + (by_deviations * deviations)[:, None] * self.widths

        return means, deviations, back

    def samples(self, a: Array, normal: Array) -> Array:
        raise NotImplementedError


def setting(
    k: int, n_versions: int = 3, width: float = 0.5
) -> tuple[list[Surrogate], list[Array], Array, Array]:
    rng = np.random.default_rng(k)
    surrogates: list[Surrogate] = [Linear(rng, n_versions, width) for _ in range(k)]
    fronts = [rng.normal(size=(5 + i, k)) * 0.6 for i in range(n_versions)]
    return surrogates, fronts, np.full(k, 1.2), rng.normal(size=(4, 2)) * 0.5


def gradient_by_differences(
    acquisition: ExpectedHypervolumeImprovement | ScalarizedLowerBound, a: Array
) -> Array:
    step = 1e-6
    return np.stack(
        [
            (acquisition.values(a + step * unit) - acquisition.values(a - step * unit)) / (2 * step)
            for unit in np.eye(2)
        ],
        axis=1,
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_expected_improvement_is_that_of_draws(k: int) -> None:
    surrogates, fronts, reference, a = setting(k, n_versions=2)
    boxes = stacked_boxes([non_dominated_boxes(front, reference) for front in fronts])
    values = ExpectedHypervolumeImprovement(surrogates, boxes).values(a[:1])
    rng = np.random.default_rng(7)
    gains: list[float] = []
    for version, front in enumerate(fronts):
        predictions = [surrogate.predict(a[:1]) for surrogate in surrogates]
        means = np.array([m[0, version] for m, _ in predictions])
        deviations = np.array([d[0] for _, d in predictions])
        known = dominated_volume(front, reference)
        for normal in rng.normal(size=(600 if k < 4 else 120, k)):
            drawn = np.vstack([front, means + deviations * normal])
            gains.append(dominated_volume(drawn, reference) - known)
    error = np.std(gains) / np.sqrt(len(gains))
    assert np.exp(values[0]) == pytest.approx(np.mean(gains), abs=4 * error)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_gradients_are_those_of_differences(k: int) -> None:
    surrogates, fronts, reference, a = setting(k)
    boxes = stacked_boxes([non_dominated_boxes(front, reference) for front in fronts])
    expected = ExpectedHypervolumeImprovement(surrogates, boxes)
    weights = np.arange(1.0, k + 1)
    bounds = [
        ScalarizedLowerBound(surrogates, weights, ideal=np.full(k, -0.3), kappa=1.5, how=how)
        for how in Scalarization
    ]
    for acquisition in (expected, *bounds):
        values, gradient = acquisition.values_and_gradient(a)
        np.testing.assert_allclose(values, acquisition.values(a))
        np.testing.assert_allclose(gradient, gradient_by_differences(acquisition, a), rtol=1e-4, atol=1e-6)


def test_one_objective_gives_the_expected_improvement() -> None:
    surrogates, fronts, reference, a = setting(1)
    boxes = stacked_boxes([non_dominated_boxes(front, reference) for front in fronts])
    best = np.array([min(float(front.min()), 1.2) for front in fronts])
    plain = LogExpectedImprovement(surrogates[0], best)
    ours = ExpectedHypervolumeImprovement(surrogates, boxes)
    np.testing.assert_allclose(ours.values(a), plain.values(a), rtol=1e-6)
    far = np.array([[30.0, 30.0]]) * np.sign(surrogates[0].means(np.ones((1, 2)))[0, 0])
    assert np.isfinite(ours.values_and_gradient(far)[1]).all()


def test_far_from_an_empty_front_it_is_the_product_of_improvements() -> None:
    """A single box without lower ends: the expected volume is the product of the sides' expected lengths."""
    surrogates, _, reference, _ = setting(2, width=0.001)
    boxes = stacked_boxes([non_dominated_boxes(np.empty((0, 2)), reference)] * 3)
    ours = ExpectedHypervolumeImprovement(surrogates, boxes)
    rng = np.random.default_rng(2)
    a = rng.normal(size=(60, 2)) * np.geomspace(1.0, 300.0, 60)[:, None]
    versions = []
    for version in range(3):
        total = np.zeros(60)
        for surrogate, bound in zip(surrogates, reference, strict=True):
            means, deviations = surrogate.predict(a)
            total += log_h((bound - means[:, version]) / deviations) + np.log(deviations)
        versions.append(total)
    expected = np.logaddexp.reduce(versions, axis=0) - np.log(3)
    assert expected.min() < -1e3
    np.testing.assert_allclose(ours.values(a), expected, rtol=1e-9, atol=1e-9)


def test_points_far_behind_the_front_do_not_tie() -> None:
    surrogates, fronts, reference, _ = setting(2, width=0.001)
    boxes = stacked_boxes([non_dominated_boxes(front, reference) for front in fronts])
    direction = np.linalg.lstsq(surrogates[0].means(np.eye(2)).T, np.ones(3), rcond=None)[0]
    a = direction * np.linspace(60.0, 200.0, 30)[:, None]
    expected = ExpectedHypervolumeImprovement(surrogates, boxes)
    values, gradient = expected.values_and_gradient(a)
    assert values.max() < np.log(1e-200)
    assert len(np.unique(values)) == 30
    np.testing.assert_allclose(values, expected.values(a))
    np.testing.assert_allclose(gradient, gradient_by_differences(expected, a), rtol=1e-4, atol=1e-6)
    floored = ExpectedHypervolumeImprovement(surrogates, boxes, floor=1e-100).values(a)
    assert len(np.unique(floored)) == 1


def test_boxes_fill_what_is_not_dominated_and_do_not_overlap() -> None:
    rng = np.random.default_rng(3)
    for k in (1, 2, 3, 4):
        front, reference = rng.random((6, k)), np.full(k, 0.9)
        lower, upper = non_dominated_boxes(front, reference)
        points = rng.random((500, k))
        within = ((points[:, None] >= lower) & (points[:, None] < upper)).all(axis=2).sum(axis=1)
        dominated = (front[None] <= points[:, None]).all(axis=2).any(axis=1)
        outside = (points >= reference).any(axis=1)
        np.testing.assert_array_equal(within, (~dominated & ~outside).astype(int))
    lower, upper = non_dominated_boxes(np.empty((0, 2)), np.ones(2))
    assert lower.tolist() == [[-np.inf, -np.inf]]
    assert upper.tolist() == [[1.0, 1.0]]
