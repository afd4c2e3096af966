from __future__ import annotations

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from tunewright.models.trees import BoostedClassifier, BoostedQuantiles, ConformalQuantiles

LEVELS = (0.1, 0.5, 0.9)


def noisy(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, 2))
    return x, x[:, 0] + (0.2 + x[:, 1]) * rng.standard_normal(n)


def test_members_are_told_from_others() -> None:
    x = np.random.default_rng(0).random((80, 2))
    classifier = BoostedClassifier()
    classifier.fit(x, (x[:, 0] < 0.3).astype(float), np.random.default_rng(0))
    probability = classifier.probability(np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert probability.shape == (2,)
    assert probability[0] > 0.9
    assert probability[1] < 0.1


def test_a_dozen_observations_without_a_pattern_make_it_unsure() -> None:
    rng = np.random.default_rng(0)
    x, is_member = rng.random((12, 2)), rng.permutation(np.arange(12) % 4 == 0)
    classifier = BoostedClassifier()
    classifier.fit(x, is_member.astype(float), rng)
    assert classifier.probability(x)[is_member].mean() < 0.9


def test_probabilities_lose_no_more_than_those_of_scikit_learn() -> None:
    x, y = noisy(60)
    fresh, values = noisy(2000, seed=1)
    is_member, is_one = (y < 0.2).astype(float), values < 0.2
    ours = BoostedClassifier(20)
    ours.fit(x, is_member, np.random.default_rng(0))
    other = GradientBoostingClassifier(
        n_estimators=20, learning_rate=0.25, min_samples_leaf=4, random_state=0
    ).fit(x, is_member)
    losses = [
        -np.log(np.where(is_one, p, 1 - p)).mean()
        for p in (ours.probability(fresh), other.predict_proba(fresh)[:, 1])
    ]
    assert losses[0] < 1.05 * losses[1]


def test_a_tree_of_a_classifier_is_that_of_scikit_learn() -> None:
    """Where no two splits are equally good."""
    x = np.random.default_rng(0).random((25, 1))
    is_member = (np.abs(x[:, 0] - 0.5) < 0.2).astype(float)
    ours = BoostedClassifier(1)
    ours.fit(x, is_member, np.random.default_rng(0))
    other = GradientBoostingClassifier(n_estimators=1, learning_rate=0.25, min_samples_leaf=4).fit(
        x, is_member
    )
    fresh = np.linspace(0, 1, 50)[:, np.newaxis]
    np.testing.assert_allclose(ours.probability(fresh), other.predict_proba(fresh)[:, 1], atol=1e-12)


def pinball(level: float, y: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(np.maximum(level * (y - predicted), (level - 1) * (y - predicted))))


def test_quantiles_lose_no_more_than_those_of_scikit_learn() -> None:
    x, y = noisy(200)
    fresh, values = noisy(2000, seed=1)
    quantiles = BoostedQuantiles(LEVELS, n_trees=100)
    quantiles.fit(x, y, np.random.default_rng(0))
    for level, predicted in zip(LEVELS, quantiles.predict(fresh), strict=True):
        expected = (
            GradientBoostingRegressor(loss="quantile", alpha=level, random_state=0).fit(x, y).predict(fresh)
        )
        assert pinball(level, values, predicted) < 1.05 * pinball(level, values, expected)


def test_one_tree_moves_each_side_of_a_step_to_its_own_quantile() -> None:
    x = np.repeat([[0.0], [1.0]], 5, axis=0)
    y = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    quantiles = BoostedQuantiles([0.5], n_trees=1)
    quantiles.fit(x, y, np.random.default_rng(0))
    # the median of all is 5, those of the sides are 3 and 13; a single tree goes a fifth of the way
    np.testing.assert_allclose(
        quantiles.predict(np.array([[-3.0], [0.4], [0.6], [9.0]])), [[4.6, 4.6, 6.6, 6.6]]
    )


def test_equal_points_have_the_quantiles_of_their_values() -> None:
    quantiles = BoostedQuantiles([0.25, 0.5], n_trees=3)
    quantiles.fit(np.ones((8, 2)), np.arange(8.0), np.random.default_rng(0))
    np.testing.assert_allclose(quantiles.predict(np.ones((1, 2)))[:, 0], [1.0, 3.0])


def test_few_observations_give_the_plain_quantiles() -> None:
    x, y = noisy(32)
    quantiles, plain = ConformalQuantiles(LEVELS, n_trees=20), BoostedQuantiles(LEVELS, n_trees=20)
    quantiles.fit(x, y, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    order = rng.permutation(32)
    plain.fit(x[order], y[order], rng)
    np.testing.assert_allclose(quantiles.predict(x), np.sort(plain.predict(x), axis=0))


def test_columns_that_split_equally_well_are_all_used() -> None:
    x = np.repeat([[0.0] * 4, [1.0] * 4], 5, axis=0)
    quantiles = BoostedQuantiles([0.5], n_trees=20)
    quantiles.fit(x, np.append(np.arange(5.0), np.arange(10.0, 15.0)), np.random.default_rng(0))
    assert len(np.unique(quantiles.predict(np.eye(4)).round(12))) > 1


def test_corrected_intervals_hold_as_much_as_they_say() -> None:
    x, y = noisy(300)
    fresh, values = noisy(2000, seed=1)
    quantiles = ConformalQuantiles(LEVELS)
    quantiles.fit(x, y, np.random.default_rng(0))
    low, middle, high = quantiles.predict(fresh)
    assert (low <= middle).all()
    assert (middle <= high).all()
    corrected = np.mean((low <= values) & (values <= high))
    plain = [
        GradientBoostingRegressor(loss="quantile", alpha=level, random_state=0).fit(x, y).predict(fresh)
        for level in (0.1, 0.9)
    ]
    uncorrected = np.mean((plain[0] <= values) & (values <= plain[1]))
    assert abs(corrected - 0.8) < abs(uncorrected - 0.8)
    assert corrected > 0.7


def test_an_interval_is_widened_to_hold_its_part_of_one_more_than_was_held_back() -> None:
    n, n_held = 71, 8
    x, y = np.zeros((n, 1)), np.random.default_rng(1).standard_normal(n)
    quantiles = ConformalQuantiles([(i + 1) / 6 for i in range(5)])
    quantiles.fit(x, y, np.random.default_rng(0))
    low, *_, high = quantiles.predict(x[:1])[:, 0]
    held = y[np.random.default_rng(0).permutation(n)[:n_held]]
    n_inside = np.count_nonzero((held >= low - 1e-12) & (held <= high + 1e-12))
    assert n_inside == 6, "two thirds of nine"
