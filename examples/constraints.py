"""
Constraints on other values
===========================

The most accurate model that needs no more than 8 GB. Memory is reported like the metric. A trial that breaks the bound teaches the model,
and is never the best. Run it with ``python examples/constraints.py``.
"""

from __future__ import annotations

import tunewright
from tunewright import Float, Integer
from tunewright.experiments import method


def train(lr: float, width: int) -> None:
    """One trial: wide models are better, and need more memory."""
    tunewright.report(error=(lr - 0.1) ** 2 + 10 / width, memory=width / 16)


# %%
# ConstrainedBO multiplies the expected improvement by the probability that the bound is kept.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-3, 1.0, log=True), "width": Integer(8, 512, log=True)},
    metric="error",
    method=method("ConstrainedBO", constraint="memory<=8"),
    n_workers=2,
    max_num_trials=10,
    tag="constraints",
)
print(outcome.best)
