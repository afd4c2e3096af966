"""Random search against itself on six tasks of LCBench: how often tests and intervals find a difference that is not there.

    tunewright tables add lcbench --from ../shared/data/lcbench_surrogate.npz
    python perf/quality/false_positives.py

Each run draws 20 configurations of the table and has the regret of the best at the last level. Each of 1,000 comparisons has two methods,
six tasks and ten seeds. With shared draws one seed draws the same configurations on all tasks, as in plans of version 0.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.aggregate import bootstrap, crossed_mean
from tunewright.analysis.significance import wilcoxon
from tunewright.blackbox import TabularBlackbox, get_blackbox
from tunewright.blackbox.repository import table_info

N_TASKS, N_SEEDS, N_CONFIGS, N_COMPARISONS = 6, 10, 20, 1000

Array = NDArray[np.float64]


def regrets(dataset: str) -> Array:
    """Normalised regret of each configuration at the last level, by accuracy."""
    table = get_blackbox("lcbench", dataset)
    if not isinstance(table, TabularBlackbox):
        raise SystemExit("Remove the surrogate of lcbench")
    accuracy = np.asarray(table.values[:, 0, -1, table.metric_index("val_accuracy")], dtype=np.float64)
    best, untrained = accuracy.max(), table.description.untrained["val_accuracy"]
    return np.minimum((best - accuracy) / (best - untrained), 1.0)


def runs(tasks: list[Array], rng: np.random.Generator, *, shared: bool) -> Array:
    """Best regrets of one method, shape (tasks, seeds)."""
    size = (1 if shared else len(tasks), N_SEEDS, N_CONFIGS)
    draws = np.broadcast_to(rng.integers(0, len(tasks[0]), size), (len(tasks), *size[1:]))
    return np.array([task[drawn].min(axis=1) for task, drawn in zip(tasks, draws, strict=True)])


def main() -> None:
    """Print the shares."""
    tasks = [regrets(dataset) for dataset in list(table_info("lcbench").datasets)[:N_TASKS]]
    rng = np.random.default_rng(0)
    for shared in (True, False):
        found: dict[str, list[bool]] = {}
        for _ in range(N_COMPARISONS):
            difference = runs(tasks, rng, shared=shared) - runs(tasks, rng, shared=shared)
            for name, values in (
                ("test over runs", difference.ravel()),
                ("test over seeds", difference.mean(axis=0)),
                ("test over benchmarks", difference.mean(axis=1)),
            ):
                found.setdefault(name, []).append(wilcoxon(values) < 0.05)
            low, high = bootstrap(difference.reshape(1, -1), lambda sample: sample.mean(axis=-1))
            found.setdefault("interval of independent runs", []).append(bool(low[0] > 0 or high[0] < 0))
            band = crossed_mean([row[:, np.newaxis] for row in difference])
            found.setdefault("interval of crossed factors", []).append(
                bool(band.low[0] > 0 or band.high[0] < 0)
            )
        print("shared draws" if shared else "draws of each task's own")
        for name, is_found in found.items():
            print(f"  {name:30} {100 * np.mean(is_found):5.1f} %")


if __name__ == "__main__":
    main()
