"""
Several objectives
==================

A small error and a short training at once. There is no best trial, but a set of good compromises: the Pareto front. Run it with
``python examples/several_objectives.py``.
"""

from __future__ import annotations

import tunewright
from tunewright import Float, Integer
from tunewright.experiments import method

# %%
# The function reports both metrics.


def train(lr: float, width: int, epochs: int) -> None:
    """One trial: wider networks are better and cost more; the learning rate matters for the error alone."""
    for epoch in range(1, epochs + 1):
        error = abs(lr - 0.1) + 2 / width + 0.2 / epoch
        tunewright.report(epoch=epoch, error=error, seconds=0.01 * width)


# %%
# ``metric`` is a list. MOASHA promotes the trials that few others dominate; EHVI and NSGA2 run all trials to their end.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-4, 1.0, log=True), "width": Integer(4, 256, log=True), "epochs": 9},
    metric=["error", "seconds"],
    method=method("MOASHA", eta=3),
    resource="epoch",
    max_resource=9,
    n_workers=2,
    max_num_trials=12,
    tag="several-objectives",
)
for point in outcome.pareto:
    print(f"error {point.values['error']:.3f}, seconds {point.values['seconds']:.2f}: {point.config}")

# %%
# The front
# ---------

outcome.plot_pareto()
