from __future__ import annotations

import importlib

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from tunewright.exceptions import MissingExtraError
from tunewright.models.boosting import BoostedClassifier, ConformalQuantiles

LEVELS = (0.1, 0.5, 0.9)


def noisy(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, 2))
    return x, x[:, 0] + (0.2 + x[:, 1]) * rng.standard_normal(n)


def test_members_are_told_from_others() -> None:
    x = np.random.default_rng(0).random((80, 2))
    classifier = BoostedClassifier()
    classifier.fit(x, (x[:, 0] < 0.3).astype(float), seed=0)
    probability = classifier.probability(np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert probability.shape == (2,)
    assert probability[0] > 0.9
    assert probability[1] < 0.1


def test_a_dozen_observations_without_a_pattern_make_it_unsure() -> None:
    rng = np.random.default_rng(0)
    x, is_member = rng.random((12, 2)), rng.permutation(np.arange(12) % 4 == 0)
    classifier = BoostedClassifier()
    classifier.fit(x, is_member.astype(float), seed=0)
    assert classifier.probability(x)[is_member].mean() < 0.9


def test_few_observations_give_the_plain_quantiles() -> None:
    x, y = noisy(32)
    quantiles = ConformalQuantiles(LEVELS, n_trees=20)
    quantiles.fit(x, y, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    order = rng.permutation(32)
    seed = int(rng.integers(2**31))
    expected = [
        GradientBoostingRegressor(loss="quantile", alpha=level, n_estimators=20, random_state=seed)
        .fit(x[order], y[order])
        .predict(x)
        for level in LEVELS
    ]
    np.testing.assert_allclose(quantiles.predict(x), np.sort(expected, axis=0))


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


def test_without_scikit_learn_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"BORE needs .* 'tunewright\[conformal\]'"):
        BoostedClassifier().fit(np.zeros((2, 1)), np.array([0.0, 1.0]), seed=0)
