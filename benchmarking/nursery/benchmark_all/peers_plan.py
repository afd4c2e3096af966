"""Print a ground's judging tasks as a plan for the peers' runs, of the form of ``plan_network.json`` in the peers' folder.

    python benchmarking/nursery/benchmark_all/peers_plan.py network > network.json
    python perf/quality/peer_libraries.py --method "Optuna TPE-Hyperband" --peers ../shared/peers --plan $PWD/network.json --seeds 0 10 --out optuna.jsonl
    python benchmarking/nursery/benchmark_all/summarise.py --peers optuna.jsonl

``run_plan.py`` of the peers' folder takes it as well, for Syne Tune's methods.

The peers' folder draws ``weight_decay`` of LCBench from a logarithmic scale; our benchmarks `network` and `rows` have the space of
YAHPO Gym, where it is linear. Runs of peers on these grounds count only if their space is changed to ours (``"log": false`` in a copy
of ``spaces.json``): random search of both libraries must then agree. TaskSet's spaces are the same.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from plan import PLAN, Ground

CHEAP = ["RandomSearch", "ASHA-stopping", "ASHA-promotion", "SyncHyperband", "DEHB", "MedianStopping"]
MIDDLE = ["BOHB", "BayesianOptimization", "PASHA", "SyncBOHB", "BORE"]
COSTLY = ["HyperTune", "SyncMOBSTER", "MOBSTER"]


def peers_plan(ground: Ground) -> dict[str, Any]:
    """Tasks, budgets and order of the runs."""
    order = {
        "cheap": [{"methods": CHEAP, "seeds": list(range(10))}],
        "middle": [{"methods": MIDDLE, "seeds": list(range(10))}],
        "costly": [{"methods": COSTLY, "seeds": list(range(5))}],
    }
    return {
        "_about": f"Judging tasks of {ground.name}: {ground.title}",
        "n_workers": PLAN.n_workers,
        "data": f"../data/{ground.peers_data}",
        "tasks": [
            {"table": ground.peers_table, "task": ground.peers_name(task), "budget": seconds}
            for task, seconds in ground.judging.items()
        ],
        "order": order,
    }


if __name__ == "__main__":
    print(json.dumps(peers_plan(PLAN.grounds[sys.argv[1]]), indent=1))
