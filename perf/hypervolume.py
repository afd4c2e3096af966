"""What methods for several metrics dominate, beside random search: a line per method, from stored experiments.

    python benchmarking/nursery/benchmark_multiobjective/hpo_main.py --experiment_tag mo --num_seeds 8
    python perf/hypervolume.py mo digits 0.8 1.0

The arguments are a tag, a benchmark, and the values of its metrics that bound the hypervolume. Figures are in percent of
the largest hypervolume that any run reached: the mean over seeds after a quarter, a half and all of the time; how many
seeds are better than random search at the end, and the mean difference from it.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np

from tunewright.analysis import load
from tunewright.analysis.objectives import hypervolume_curve

PARTS = (0.25, 0.5, 1.0)


def main(tag: str, benchmark: str, *reference: str) -> None:
    """Print the table."""
    results = load(tag, where={"benchmark": benchmark})
    end = max(float(columns.time.max()) for columns in results.columns)
    found: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for info, columns in zip(results.infos, results.columns, strict=True):
        bounds = [m.loss(float(value)) for m, value in zip(info.metrics, reference, strict=True)]
        times = end * np.array(PARTS)
        found[info.method][info.seed] = hypervolume_curve(columns, info.metrics, bounds, times)
    most = max(values[-1] for seeds in found.values() for values in seeds.values())
    sys.stdout.write(
        "| method | seeds | 25 % | 50 % | 100 % | better than RS | difference |\n|---|---|---|---|---|---|---|\n"
    )
    for name, seeds in sorted(found.items(), key=lambda item: -np.mean([v[-1] for v in item[1].values()])):
        means = " | ".join(f"{100 * value / most:.2f}" for value in np.mean(list(seeds.values()), axis=0))
        gains = [100 * (v[-1] - found["RS"][s][-1]) / most for s, v in seeds.items() if s in found["RS"]]
        text = (
            "- | -"
            if name == "RS"
            else f"{sum(g > 0 for g in gains)} of {len(gains)} | {np.mean(gains):+.2f}"
        )
        sys.stdout.write(f"| {name} | {len(seeds)} | {means} | {text} |\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
