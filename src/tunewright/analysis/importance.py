"""Which hyperparameters matter: permutation importance under a random forest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from tunewright.analysis.columns import Floats
from tunewright.analysis.extras import need
from tunewright.analysis.one_run import OneRun
from tunewright.exceptions import SettingsError
from tunewright.space import Domain

MIN_TRIALS: Final = 10
MOST_TRIALS: Final = 2000
"""Trials that are looked at: an even sample of more."""
_REPEATS: Final = 20
_N_TREES: Final = 100
WEAK: Final = 0.3
"""Below this share of explained variance the importances mean little."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much worse a model predicts when a hyperparameter's values are shuffled."""

    mean: Mapping[str, float]
    """By hyperparameter, the most important first: the fall of the explained variance (R2)."""
    spread: Mapping[str, float]
    """Standard deviation over shuffles."""
    explained: float
    """Variance that the model explains on trials that it has not seen (out-of-bag R2)."""
    n_trials: int
    """Trials that were looked at."""

    @property
    def is_weak(self) -> bool:
        """Whether the model explains so little that the importances mean little."""
        return self.explained < WEAK


def importance(run: OneRun, *, seed: int = 0) -> Importance:
    """Permutation importance (Breiman, 2001) of the hyperparameters for the rank of a trial's best loss.

    The resource that a trial reached is given to the model as well, so that it is not taken for an effect of the
    configuration that bad trials are stopped early. Of more than 2,000 trials an even sample is looked at.

    Raises
    ------
    SettingsError
        There are too few trials, or no search space is known.
    MissingExtraError
        scikit-learn is not installed.
    """
    losses = run.losses()
    finite = np.flatnonzero(np.isfinite(losses))
    if len(finite) < MIN_TRIALS:
        raise SettingsError(f"Importance needs at least {MIN_TRIALS} trials with results, not {len(finite)}")
    finite = finite[:: -(-len(finite) // MOST_TRIALS)]
    names, points = positions(run)
    ensemble: Any = need("sklearn.ensemble", "Importance of hyperparameters")
    kept: list[int] = finite.tolist()
    resources = np.array([max(run.trials[i].resources, default=0) for i in kept], dtype=float)
    inputs = np.column_stack([points[finite], resources])
    ranks = np.argsort(np.argsort(losses[finite], kind="stable"), kind="stable") / len(finite)
    forest = ensemble.RandomForestRegressor(
        n_estimators=_N_TREES, oob_score=True, random_state=seed, min_samples_leaf=2
    )
    forest.fit(inputs, ranks)
    falls = _falls(forest.predict, inputs, ranks, len(names), np.random.default_rng(seed))
    mean, spread = falls.mean(axis=1), falls.std(axis=1)
    order = np.argsort(-mean, kind="stable").tolist()
    return Importance(
        mean={names[i]: float(mean[i]) for i in order},
        spread={names[i]: float(spread[i]) for i in order},
        explained=float(forest.oob_score_),
        n_trials=len(finite),
    )


def _falls(
    predict: Callable[[Floats], Floats], inputs: Floats, ranks: Floats, n_names: int, rng: np.random.Generator
) -> Floats:
    """Fall of R2 by each shuffle of each of the first columns: shape (names, shuffles). All are predicted at once, which saves calls."""
    shuffled = np.tile(inputs, (n_names, _REPEATS, 1, 1))
    for name in range(n_names):
        for repeat in range(_REPEATS):
            shuffled[name, repeat, :, name] = rng.permutation(inputs[:, name])
    predicted = predict(shuffled.reshape(-1, inputs.shape[1])).reshape(n_names, _REPEATS, len(inputs))
    total = np.square(ranks - ranks.mean()).sum()
    before = np.square(ranks - predict(inputs)).sum()
    return (np.square(ranks - predicted).sum(axis=2) - before) / total


def positions(run: OneRun) -> tuple[list[str], Floats]:
    """Names of the hyperparameters, and positions of each trial's values in their ranges: shape (trials, names), 0 to 1.

    Hyperparameters that are inactive in a trial are at their defaults.

    Raises
    ------
    SettingsError
        No search space is known.
    """
    if run.space is None:
        raise SettingsError(f"The metadata of {run.info.name} do not hold its search space")
    names = list(run.space.names)
    columns = [
        [position(domain, trial.config.get(name, domain.default)) for trial in run.trials]
        for name, domain in run.space.domains.items()
    ]
    return names, np.array(columns).T.reshape(len(run.trials), len(names))


def position(domain: Domain, value: Any) -> float:
    """Position of a value in its domain, from 0 to 1; categories in their order."""
    if domain.width == 1:
        return float(domain.encode(value)[0])
    values = [domain.at(i) for i in range(domain.size or 0)]
    return values.index(value) / max(1, len(values) - 1)
