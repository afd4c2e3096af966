"""Fits that a race over cross-validation folds saves, and whether it finds the same winner as all folds.

The errors of 80 configurations of a kernel ridge classifier on 5 folds of 900 digits are computed once. Then 40 of them, drawn anew
for each of 20 seeds, race in random order.

Run it with: python perf/quality/race.py
"""

# pyright: basic
from __future__ import annotations

from typing import Final

import numpy as np
from sklearn.datasets import load_digits

from tunewright.asktell import AskTell
from tunewright.metric import Metric
from tunewright.replicates import Replicates
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.racing import Racing
from tunewright.schedulers.stopping_rules import RuleStopping
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Integer, SearchSpace
from tunewright.trial import Decision

METRIC: Final = Metric("error")
N_FOLDS, N_SEEDS, N_CONFIGS, N_TRIALS = 5, 20, 80, 40


def errors() -> np.ndarray:
    """Errors (configurations, folds)."""
    images, digits = (part[:900] for part in load_digits(return_X_y=True))
    squares = (images**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * images @ images.T
    fold_of = np.random.default_rng(0).permutation(len(images)) % N_FOLDS
    rng, rows = np.random.default_rng(1), []
    for _ in range(N_CONFIGS):
        gamma, ridge = 10 ** rng.uniform(-5, -1.5), 10 ** rng.uniform(-6, 2)
        kernel, row = np.exp(-gamma * distances), []
        for fold in range(N_FOLDS):
            rest, held_out = fold_of != fold, fold_of == fold
            inner = kernel[np.ix_(rest, rest)] + ridge * np.eye(rest.sum())
            weights = np.linalg.solve(inner, np.eye(10)[digits[rest]])
            guess = (kernel[np.ix_(held_out, rest)] @ weights).argmax(axis=1)
            row.append((guess != digits[held_out]).mean())
        rows.append(row)
    return np.array(rows)


def race(losses: np.ndarray, significance: float, seed: int) -> tuple[int, float]:
    """Return the number of fits, and the error of the winner."""
    replicates = Replicates(n=N_FOLDS, significance=significance)
    space = SearchSpace({"row": Integer(0, len(losses) - 1)})
    fifo = FIFO(RandomSearcher(space, seed=seed, points_to_evaluate=[]))
    tuning = AskTell(RuleStopping(fifo, Racing(replicates, metric=METRIC)), [METRIC], replicates=replicates)
    for _ in range(len(losses)):
        asked = tuning.ask()
        for loss in losses[asked.config["row"]]:
            if tuning.tell(asked, {"error": loss}).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    return tuning.history.n_results, tuning.best().value


if __name__ == "__main__":
    every = errors()
    drawn = [every[np.random.default_rng(seed).permutation(N_CONFIGS)[:N_TRIALS]] for seed in range(N_SEEDS)]
    for significance in (0.5, 0.25, 0.1, 0.0):
        runs = [race(losses, significance, seed) for seed, losses in enumerate(drawn)]
        n_fits = np.mean([fits for fits, _ in runs])
        same = sum(
            bool(np.isclose(best, losses.mean(axis=1).min()))
            for losses, (_, best) in zip(drawn, runs, strict=True)
        )
        print(
            f"significance {significance}: {n_fits:.0f} of {N_TRIALS * N_FOLDS} fits, same error of the winner in {same} of {N_SEEDS}"
        )
