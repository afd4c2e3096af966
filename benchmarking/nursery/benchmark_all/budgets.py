"""Print the budget of each task: seconds in which random search finishes 42 full trials (200 of trials that report once).

python benchmarking/nursery/benchmark_all/budgets.py network rows
"""

from __future__ import annotations

import sys

import numpy as np
from plan import PLAN

N_DRAWS = 400
N_TRIALS = {False: 42, True: 200}


def main() -> None:
    """Print a line per task of the grounds that are named."""
    for ground in (PLAN.grounds[name] for name in sys.argv[1:]):
        for kind in ("checked", "judging"):
            for benchmark in PLAN.benchmarks(ground, PLAN.profiles["ideal"], kind):
                box, rng = benchmark.blackbox(), np.random.default_rng(0)
                rows = benchmark.candidates()
                draws = [
                    rows[rng.integers(len(rows))] if rows else box.space.sample(rng) for _ in range(N_DRAWS)
                ]
                seconds = np.mean([np.nanmax(box.curve(config)[:, box.elapsed_index]) for config in draws])
                n_trials = N_TRIALS[len(box.levels) == 1]
                print(f"{ground.name} {kind} {benchmark.name} {seconds * n_trials / PLAN.n_workers:.4g}")


if __name__ == "__main__":
    main()
