"""The random forest: it learns numbers and categories, and knows where it knows nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.models.forest import RandomForest

COUNTS = np.array([0, 8, 0])
"""A number, a category of eight, and a number without effect."""


def points(n: int, rng: np.random.Generator, n_seen: int = 8) -> np.ndarray:
    return np.column_stack([rng.random(n), rng.integers(n_seen, size=n), rng.random(n)]).astype(float)


def values(x: np.ndarray) -> np.ndarray:
    return np.sin(6 * x[:, 0]) + 2.0 * np.isin(x[:, 1], [1, 4, 6])


def fitted(x: np.ndarray, y: np.ndarray, n_trees: int = 30, seed: int = 0) -> RandomForest:
    forest = RandomForest(COUNTS, n_trees)
    forest.fit(x, y, np.random.default_rng(seed))
    return forest


def test_it_predicts_unseen_points_of_numbers_and_categories() -> None:
    rng = np.random.default_rng(1)
    x, new = points(200, rng), points(300, rng)
    means, _ = fitted(x, values(x)).predict(new)
    assert np.corrcoef(means, values(new))[0, 1] > 0.95


def test_each_tree_passes_through_the_points_that_it_was_grown_on() -> None:
    x = points(50, np.random.default_rng(2))
    forest = fitted(x, values(x), n_trees=200)
    means, variances = forest.predict(x)
    assert np.abs(means - values(x)).mean() < 0.25
    inside = (means >= values(x).min() - 1e-9) & (means <= values(x).max() + 1e-9)
    assert inside.all()
    assert (variances >= 0).all()


def test_an_unseen_category_is_uncertain() -> None:
    """Trees send it to either side, so that they disagree."""
    rng = np.random.default_rng(3)
    x = points(200, rng, n_seen=7)
    forest = fitted(x, values(x), n_trees=100)
    seen, unseen = points(200, rng, n_seen=7), points(200, rng)
    unseen[:, 1] = 7
    assert forest.predict(unseen)[1].mean() > 2 * forest.predict(seen)[1].mean()


def test_the_variance_is_that_of_means_plus_the_mean_of_variances() -> None:
    """Two values at one point cannot be split: each tree's leaf has the mean and variance of its sample."""
    x, y = np.zeros((2, 3)), np.array([0.0, 1.0])
    mean, variance = fitted(x, y, n_trees=4000).predict(np.zeros((1, 3)))
    # samples of two: both (mean 1/2, variance 1/4) with probability 1/2, else one value twice
    assert mean[0] == pytest.approx(0.5, abs=0.02)
    assert variance[0] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("y", [[3.0], [3.0, 3.0, 3.0]])
def test_equal_values_need_no_split(y: list[float]) -> None:
    x = points(len(y), np.random.default_rng(4))
    means, variances = fitted(x, np.array(y)).predict(points(5, np.random.default_rng(5)))
    np.testing.assert_allclose(means, 3.0)
    np.testing.assert_allclose(variances, 0.0, atol=1e-12)


def test_a_space_of_numbers_alone_and_of_categories_alone() -> None:
    rng = np.random.default_rng(6)
    for counts in (np.array([0, 0]), np.array([5, 2])):
        x = np.column_stack([rng.integers(5, size=40), rng.integers(2, size=40)]).astype(float)
        y = x[:, 0] * (1 + x[:, 1])
        forest = RandomForest(counts, 20)
        forest.fit(x, y, rng)
        assert np.corrcoef(forest.predict(x)[0], y)[0, 1] > 0.95


def test_the_generator_decides_everything() -> None:
    x = points(30, np.random.default_rng(7))
    one, same, other = (fitted(x, values(x), seed=seed).predict(x)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
