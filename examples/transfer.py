"""Learn from an earlier experiment: the second one begins where the first did well.

Run it with: python examples/transfer.py
"""

from __future__ import annotations

import sys

import tunewright
from tunewright import Float


def coarse(lr: float) -> None:
    """A cheap version of the problem."""
    tunewright.report(loss=abs(lr - 0.1))


def fine(lr: float, decay: float) -> None:
    """The real one: another hyperparameter more, and the best learning rate is a little lower."""
    tunewright.report(loss=abs(lr - 0.08) + decay)


if __name__ == "__main__":
    tunewright.tune(
        coarse,
        {"lr": Float(1e-4, 1.0, log=True)},
        metric="loss",
        n_workers=2,
        max_num_trials=8,
        tag="transfer-coarse",
    )
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
