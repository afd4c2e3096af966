"""The judging benchmarks of all grounds whose tables are here, from ``plan.toml``."""

from plan import PLAN

GROUNDS = {
    name: PLAN.benchmarks(PLAN.grounds[name], PLAN.profiles["ideal"])
    for name in PLAN.profiles["ideal"].grounds
    if not PLAN.grounds[name].several and not PLAN.grounds[name].n_trials
}
"""Ground -> its benchmarks."""

benchmark_definitions = {one.name: one for benchmarks in GROUNDS.values() for one in benchmarks}
