"""
Early stopping with checkpoints
===============================

ASHA trains many configurations for a few epochs and the best of them for more. A paused trial that is promoted goes on from its
checkpoint, so that no epoch is trained twice. Run it with ``python examples/early_stopping.py``.
"""

from __future__ import annotations

import tunewright
from tunewright import Float
from tunewright.experiments import method
from tunewright.report import load_newest, save_checkpoint

# %%
# A function that continues
# -------------------------
# ``load_newest`` returns the newest checkpoint of this trial, or None. ``save_checkpoint`` stores a state that JSON can hold; ``save_arrays``
# and ``save_torch`` store NumPy arrays and PyTorch tensors. Save before you report: a trial may be paused at its report.


def train(lr: float, momentum: float, epochs: int) -> None:
    """One trial: gradient descent with momentum on a narrow valley, from the newest checkpoint on."""
    saved = load_newest()
    first, state = (saved.step + 1, saved.state) if saved else (1, {"x": 3.0, "y": 2.0, "u": 0.0, "v": 0.0})
    for epoch in range(first, epochs + 1):
        state["u"] = momentum * state["u"] - lr * 2 * state["x"]
        state["v"] = momentum * state["v"] - lr * 40 * state["y"]
        state["x"] += state["u"]
        state["y"] += state["v"]
        save_checkpoint(epoch, state)
        tunewright.report(epoch=epoch, loss=min(state["x"] ** 2 + 20 * state["y"] ** 2, 1e6))


# %%
# Rungs
# -----
# With ``max_resource=27``, ``grace_period=1`` and ``eta=3`` the rungs are at 1, 3 and 9 epochs. A third of the trials of each rung goes on.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-4, 0.1, log=True), "momentum": Float(0.0, 0.95), "epochs": 27},
    metric="loss",
    method=method("ASHA", grace_period=1, eta=3),
    resource="epoch",
    max_resource=27,
    n_workers=2,
    n_trials=27,
    seed=3,
    tag="early-stopping",
)
print(outcome.best)

# %%
# How much was saved
# ------------------
# Twenty-seven full runs have 729 epochs.

results = outcome.results_dataframe()
print(f"{len(results)} epochs were trained; {results.duplicated(['trial_id', 'epoch']).sum()} of them twice")
print(results.groupby("trial_id")["epoch"].max().value_counts().sort_index().rename("trials"))

# %%
# Workers train all the time: a trial that pauses makes room for the next one at once.

outcome.plot_workers()
