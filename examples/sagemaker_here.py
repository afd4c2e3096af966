"""
SageMaker without an account
============================

``endpoint="embedded"`` is a server on this machine that speaks SageMaker's protocol and runs the jobs as processes. The same code runs on AWS
without that argument. Run it with ``python examples/sagemaker_here.py``; it needs the extra ``emulator``.
"""

from __future__ import annotations

import tunewright
from tunewright import Float
from tunewright.backends.sagemaker import SageMakerConfig


def train(lr: float, epochs: int) -> None:
    """One trial, in a training job."""
    for epoch in range(1, epochs + 1):
        tunewright.report(epoch=epoch, loss=(lr - 0.1) ** 2 + 1 / epoch)


# %%
# Warm pools
# ----------
# ``warm_pool`` keeps the instance of a finished job for the next trial, which then starts in seconds instead of minutes. An instance that
# waits is billed as well: the summary has both. The embedded endpoint runs 60 service seconds in one second.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-4, 1.0, log=True), "epochs": 3},
    metric="loss",
    resource="epoch",
    max_resource=3,
    backend=SageMakerConfig(endpoint="embedded", warm_pool=True),
    n_workers=2,
    n_trials=6,
    tag="sagemaker-here",
)
print(outcome.best)

# %%
# What it would have cost
# -----------------------

summary = outcome.summary
print(f"{summary['jobs']} jobs, {summary['warm_starts']} of them warm: ${summary['cost']:.3f}")
for phase, dollars in summary["cost_phases"].items():
    print(f"{phase:10} ${dollars:.4f}")
