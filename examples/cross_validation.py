"""
Cross-validation: folds that race
=================================

A cross-validated model has five fits for each configuration. With ``replicates`` they race: a poor configuration is given up after two folds.
Run it with ``python examples/cross_validation.py [N_TRIALS]``, or from the command line with a file of the space:

.. code-block:: bash

   tunewright tune examples/cross_validation.py:train --space examples/cross_validation.toml \\
       --metric error --replicates 5 --resource fold --max_num_trials 20
"""

from __future__ import annotations

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

import tunewright
from tunewright import Float, Replicates

# %%
# The function reports each fold.


def train(C: float, gamma: float) -> None:  # noqa: N803 - as scikit-learn names it
    """One trial: fits a fold after the other, and reports the error of each."""
    images, digits = load_digits(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(images, digits)
    for fold, (rest, held_out) in enumerate(folds, start=1):
        model = SVC(C=C, gamma=gamma).fit(images[rest], digits[rest])
        tunewright.report(fold=fold, error=1.0 - model.score(images[held_out], digits[held_out]))


SPACE = {"C": Float(0.01, 1000.0, log=True), "gamma": Float(1e-7, 0.1, log=True)}

# %%
# The same configurations twice: with the race, and with all folds (``significance=0``). The winner is the same, and its error has a
# standard error over the folds.

n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
for text, significance in [("racing", 0.25), ("all folds", 0.0)]:
    outcome = tunewright.tune(
        train,
        SPACE,
        metric="error",
        replicates=Replicates(n=5, significance=significance),
        resource="fold",
        method="RandomSearch",  # or any other: these two runs draw the same configurations
        n_workers=2,
        max_num_trials=n_trials,
        tag=f"cross-validation-{significance}",
    )
    best = outcome.best
    print(
        f"{text}: trial {best.trial_id}, error {best.value:.4f} ± {best.standard_error:.4f}, "
        f"C={best.config['C']:.3g}, gamma={best.config['gamma']:.3g}; {outcome.history.n_results} fits"
    )
