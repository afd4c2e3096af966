"""
A table of your own
===================

Experiments that have run become a table, on which methods are compared in seconds. Here random search records the table, and two methods are
then simulated on it. Run it with ``python examples/own_table.py``; on the command line it is ``tunewright tables record TAG --name mine``.
"""

from __future__ import annotations

import tunewright
from tunewright import Integer, Ordinal
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.recording import record_table
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.experiments import Experiment, ExperimentPlan, Limits, method, run_plan

# %%
# Record
# ------
# A finite space of which every configuration runs to its end gives an exact table.


def train(width: int, rate: float, epochs: int) -> None:
    """One trial."""
    for epoch in range(1, epochs + 1):
        tunewright.report(epoch=epoch, loss=(rate - 0.1) ** 2 + 3 / width + 1 / epoch)


outcome = tunewright.tune(
    train,
    {"width": Integer(2, 5), "rate": Ordinal([0.01, 0.03, 0.1, 0.3]), "epochs": 3},
    metric="loss",
    resource="epoch",
    max_resource=3,
    method="GridSearch",
    n_workers=2,
    n_trials=16,
    tag="own-table",
)
(recording,) = record_table(["own-table"], "mine")
print(
    f"{recording.benchmark.name}: {recording.n_configs} configurations, values {recording.description.values}"
)

# %%
# Compare on it
# -------------

mine = simulated_benchmark("mine-train")
methods = {"RS": method("RandomSearch"), "ASHA": method("ASHA")}
shared = Experiment(
    tag="on-mine",
    benchmark=mine,
    method=methods["RS"],
    label="RS",
    backend=SimulatedConfig(),
    limits=Limits(max_num_trials=12),
)
plan = ExperimentPlan.product(shared, methods=methods, benchmarks=[mine], seeds=range(3)).validated()
for result in run_plan(plan, resume=True):
    print(result.experiment.label, result.experiment.seed, result.n_results, "results")
