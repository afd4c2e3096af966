"""
Learning from earlier experiments
=================================

The second experiment begins where the first one did well. Run it with ``python examples/transfer.py [METHOD]``.
"""

from __future__ import annotations

import sys

import tunewright
from tunewright import Float

# %%
# Two functions
# -------------
# Both stand above the first call of ``tune``: trials load this file up to there.


def coarse(lr: float) -> None:
    """A cheap version of the problem."""
    tunewright.report(loss=abs(lr - 0.1))


def fine(lr: float, decay: float) -> None:
    """The real problem: the best learning rate is a little lower."""
    tunewright.report(loss=abs(lr - 0.08) + decay)


# %%
# The earlier experiment
# ----------------------

tunewright.tune(
    coarse,
    {"lr": Float(1e-4, 1.0, log=True)},
    metric="loss",
    n_workers=2,
    max_num_trials=8,
    tag="transfer-coarse",
)

# %%
# The new one
# -----------
# It has one hyperparameter more. ``warm_start`` names the earlier experiments by their tag; a file of evaluations works as well.

outcome = tunewright.tune(
    fine,
    {"lr": Float(1e-3, 1.0, log=True), "decay": Float(0.0, 0.1)},
    metric="loss",
    method=sys.argv[1] if len(sys.argv) > 1 else "TransferGP",
    n_workers=2,
    max_num_trials=5,
    tag="transfer-fine",
    warm_start="transfer-coarse",
)
print(outcome.best)
