"""
Comparing methods
=================

A plan is methods times benchmarks times seeds. On a recorded table its experiments run in simulated time: hours of training take seconds. This
page compares three methods on the table ``digits``, which is part of the package. Run it with ``python examples/compare_methods.py``.
"""

from __future__ import annotations

from tunewright.analysis import aggregate, all_curves, curves, load, paired_tests
from tunewright.analysis.figures import plot_curves
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.experiments import Experiment, ExperimentPlan, Limits, method, run_plan

# %%
# The plan
# --------
# ``shared`` is the experiment that all cells have in common. ``resume=True`` skips cells that are finished: start the file again after an
# interruption, or with more seeds.

methods = {"RS": method("RandomSearch"), "ASHA": method("ASHA", eta=3), "BO": method("BayesianOptimization")}
digits = simulated_benchmark("digits")
shared = Experiment(
    tag="compare-methods",
    benchmark=digits,
    method=methods["RS"],
    label="RS",
    backend=SimulatedConfig(),
    limits=Limits(max_wallclock_time=60),
)
plan = ExperimentPlan.product(shared, methods=methods, benchmarks=[digits], seeds=range(6)).validated()
results = run_plan(plan, n_processes=None, resume=True)  # None: in this process; 0: one process per CPU
print(f"{len(results)} experiments, {sum(result.n_results for result in results):,} results")

# %%
# Curves and tests
# ----------------
# Losses are those of the best configuration so far, at common times. Tests pair the methods seed by seed and correct for their number.

runs = load("compare-methods")
on_digits = curves(runs, "digits")
for name in methods:
    band = aggregate(on_digits.setups[name].losses)
    print(f"{name:5} accuracy {on_digits.display(band.centre)[-1]:.4f}")
for test in paired_tests(on_digits, reference="RS"):
    print(
        f"{test.second} against {test.first}: better is {test.better or 'undecided'}, p = {test.p_holm:.2f}"
    )

# %%
# ``tunewright report compare-methods`` writes the same as a page, with ranks, the statistics and every experiment.

plot_curves(all_curves(runs))
