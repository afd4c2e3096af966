"""
Trials of different cost
========================

CostAwareBO looks for improvement per dollar, and ASHA with ``cost`` promotes by cost. The cost is any reported value that says what the trial
has cost so far; without ``cost=`` CostAwareBO takes the seconds that the Reporter adds to every report of a script. Run it with
``python examples/cost_aware.py``.
"""

from __future__ import annotations

from tunewright import AskTell, Float, Integer, Metric, SearchSpace
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import MethodSpec, method
from tunewright.methods import build_scheduler
from tunewright.trial import Decision

BENCHMARK = RealBenchmarkDefinition(
    name="layers",
    script="none: trained by hand below",
    space=SearchSpace({"lr": Float(1e-3, 1.0, log=True), "layers": Integer(1, 48)}),
    metrics=(Metric("loss"),),
    max_resource=9,
)


# %%
# The loop trains until the money is spent. An epoch costs a cent per layer, and 6 layers are as good as 48.


def tune(chosen: MethodSpec, dollars: float) -> str:
    """Train until the money is spent."""
    tuning = AskTell(build_scheduler(chosen, BENCHMARK, 0, {}), BENCHMARK.metrics)
    spent = 0.0
    while spent < dollars and (asked := tuning.ask()) is not None:
        lr, layers = float(asked.config["lr"]), int(asked.config["layers"])
        for epoch in range(asked.resume_from + 1, 10):
            spent += 0.01 * layers
            loss = (lr - 0.1) ** 2 + max(6 - layers, 0) / 10 + 1 / epoch
            verdict = tuning.tell(asked, {"loss": loss, "dollars": 0.01 * layers * epoch}, epoch)
            if verdict.decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    best = tuning.best()
    return f"{chosen.name}: {tuning.history.n_trials} trials, loss {best.value if best else None:.4f}"


# %%
# For the same money the first method runs more trials.

if __name__ == "__main__":
    for chosen in (
        method("CostAwareBO", cost="dollars", cost_model="linear"),
        method("BayesianOptimization"),
        method("ASHA", cost="dollars"),
    ):
        print(tune(chosen, dollars=20.0))
