"""The grounds of the comparison of all methods, and their benchmarks.

No setting or default of a method was chosen on these benchmarks (`perf/quality/plan_choosing*.json` has the others). A time limit lets
random search with four workers finish about 42 full trials; benchmarks without learning curves have 200 of them.
"""

from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark

NETWORK = {
    "34539": 1360,
    "167149": 840,
    "167152": 1560,
    "167161": 950,
    "167168": 1080,
    "167185": 5300,
    "167190": 1110,
    "167201": 2650,
    "168330": 2920,
    "168331": 2740,
    "189862": 1200,
    "189908": 9060,
}
"""LCBench, answered by YAHPO Gym's network (surrogate values): OpenML task -> seconds."""
ROWS = {
    "nomao": 1650,
    "kc1": 990,
    "cnae-9": 5610,
    "phoneme": 1170,
    "jannis": 2880,
    "KDDCup09_appetency": 2450,
}
"""LCBench, answered by the nearest of 2,000 rows (surrogate values): data set -> seconds."""
TASKSET = {
    f"FixedTextRNNClassification_imdb_patch32_{network}_bs128": 520
    for network in ("GRU64_avg", "LSTM128_E128", "IRNN64_relu_avg")
}
"""TaskSet, answered by the nearest of 1,000 recorded rows: task -> steps. The three other tasks are for choices."""
LEMUR = {"cifar10": 37_860, "mnist": 41_220, "coco": 268_140}
"""LEMUR, recorded runs only: data set -> seconds."""
TWO_LEVELS = {"cifar10-two-fidelities": 19_190}
"""NAS-Bench-201 with epochs 12 and 200: data set -> seconds."""
ONE_LEVEL = ("fcnet-protein", "fcnet-naval", "fcnet-parkinsons", "fcnet-slice")
"""FCNet, the last epoch only."""
TREES = ("iaml_glmnet-40981", "iaml_glmnet-41146", "iaml_glmnet-1489", "iaml_glmnet-1067")
"""YAHPO Gym's interpretable AutoML, shares of the data as the resource."""
_TREE_TRIALS = 42


def _timed(name: str, seconds: float) -> SurrogateBenchmarkDefinition:
    return simulated_benchmark(name, n_workers=4, max_wallclock_time=float(seconds), max_num_evaluations=None)


GROUNDS = {
    "network": [_timed(f"yahpo-lcbench-{task}", seconds) for task, seconds in NETWORK.items()],
    "rows": [_timed(f"lcbench-{name}", seconds) for name, seconds in ROWS.items()],
    "taskset": [_timed(f"taskset-{task}", seconds) for task, seconds in TASKSET.items()],
    "lemur": [_timed(f"lemur-{name}", seconds) for name, seconds in LEMUR.items()],
    "nas201": [_timed(f"nas201-{name}", seconds) for name, seconds in TWO_LEVELS.items()],
    "fcnet": [simulated_benchmark(name, n_workers=4, max_num_evaluations=200) for name in ONE_LEVEL],
    "iaml": [
        simulated_benchmark(f"yahpo-{name}", n_workers=4, max_num_evaluations=20 * _TREE_TRIALS)
        for name in TREES
    ],
}
"""Ground -> its benchmarks. Not here: PD1 and rbv2 (their data must be downloaded by hand, see docs/tables.md)."""

benchmark_definitions = {one.name: one for benchmarks in GROUNDS.values() for one in benchmarks}
