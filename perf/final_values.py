"""Methods over recorded final values: whole trainings of NAS-Bench-201 or FCNet, one metric or two.

    python perf/final_values.py fcnet fcnet_protein_structure.npz 1 RandomSearch REA REA:population_size=100
    python perf/final_values.py nasbench201 nb201_two_fidelity.parquet 2 RandomSearch NSGA2 MOREA EHVI

The files hold all configurations of a table: ``key`` (value indices), ``val_loss``, ``train_time`` and ``model_size``; or ``op0`` to ``op5``,
``cifar10_val_e200`` and ``cifar10_time_e200``. Four workers train for the recorded seconds. With one metric: the mean distance of
the logarithm of the error from the best one after a quarter, a half and all of 240 trials. With two (error, and model size or
seconds, in logarithms): the dominated hypervolume, in percent of that of the whole table's front. Then the number of seeds
that are better than the first method at the end, and the mean difference from it with its 95 % bootstrap interval.
"""

# pyright: basic
from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyarrow import parquet

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.models.pareto import dominated_volume, pareto_mask
from tunewright.space import Categorical, Ordinal, SearchSpace

N_SEEDS, N_TRIALS, N_WORKERS = 20, 240, 4
PARTS = (60, 120, 240)
FCNET_CATEGORIES = frozenset({0, 1, 6})  # two activation functions and the schedule of the learning rate


@dataclass(frozen=True)
class Table:
    """All rows of a table."""

    space: SearchSpace
    row: Callable[[Mapping], int]
    losses: np.ndarray
    """(rows, 2): logarithms of the error, and of the model's size or seconds."""
    seconds: np.ndarray


def fcnet(path: Path) -> Table:
    """Read a data set of FCNet; losses and seconds are means over its seeds."""
    data = np.load(path)
    keys = data["key"].tolist()
    sizes = [len({key[place] for key in keys}) for place in range(len(keys[0]))]
    names = [f"h{place}" for place in range(len(sizes))]
    domains = [
        Categorical([str(i) for i in range(size)])
        if place in FCNET_CATEGORIES
        else Ordinal(list(range(size)))
        for place, size in enumerate(sizes)
    ]
    rows = {key: row for row, key in enumerate(keys)}
    losses = np.log(np.stack([data["val_loss"].mean(axis=1), data["model_size"]], axis=1)).astype(float)
    return Table(
        SearchSpace(dict(zip(names, domains, strict=True))),
        lambda config: rows["".join(str(config[name]) for name in names)],
        losses,
        data["train_time"].mean(axis=1),
    )


def nasbench201(path: Path) -> Table:
    """Read NAS-Bench-201 on CIFAR-10."""
    columns = parquet.read_table(path).to_pydict()
    names = [f"op{place}" for place in range(6)]
    rows = {row: number for number, row in enumerate(zip(*(columns[name] for name in names), strict=True))}
    seconds = np.array(columns["cifar10_time_e200"])
    losses = np.log(np.stack([100.0 - np.array(columns["cifar10_val_e200"]), seconds], axis=1))
    space = SearchSpace({name: Categorical(sorted(set(columns[name]))) for name in names})
    return Table(space, lambda config: rows[tuple(config[name] for name in names)], losses, seconds)


def run(table: Table, text: str, seed: int, n_metrics: int) -> np.ndarray:
    """Losses (trials, 2) in the order in which trials end."""
    name, _, settings = text.partition(":")
    metrics = (Metric("error"), Metric("cost"))[:n_metrics]
    benchmark = RealBenchmarkDefinition(name="table", script="none", space=table.space, metrics=metrics)
    chosen = method(name, **dict(pair.split("=") for pair in settings.split(",") if pair))
    tuning = AskTell(build_scheduler(chosen, benchmark, seed, {}), metrics)
    running: list = []
    found: list[np.ndarray] = []
    now, n_begun = 0.0, 0
    while len(found) < N_TRIALS:
        while len(running) < N_WORKERS and n_begun < N_TRIALS and (asked := tuning.ask()) is not None:
            row = table.row(asked.config)
            heapq.heappush(running, (now + float(table.seconds[row]), n_begun, asked, row))
            n_begun += 1
        now, _, asked, row = heapq.heappop(running)
        tuning.tell(asked, {"error": float(table.losses[row, 0]), "cost": float(table.losses[row, 1])})
        tuning.complete(asked)
        found.append(table.losses[row])
    return np.array(found)


def main(kind: str, path: str, n_metrics: str, *names: str) -> None:
    """Print a table, a line per method."""
    table = {"fcnet": fcnet, "nasbench201": nasbench201}[kind](Path(path))
    front = table.losses[pareto_mask(table.losses)]
    low, high = front.min(axis=0), np.quantile(table.losses, 0.9, axis=0)
    most = dominated_volume((front - low) / (high - low), np.ones(2))

    def score(losses: np.ndarray) -> float:
        if n_metrics == "1":
            return float(losses[:, 0].min() - table.losses[:, 0].min())
        return 100.0 * dominated_volume((losses - low) / (high - low), np.ones(2)) / most

    sign = 1.0 if n_metrics == "1" else -1.0
    first: np.ndarray | None = None
    for name in names:
        losses = [run(table, name, seed, int(n_metrics)) for seed in range(N_SEEDS)]
        scores = np.array([[score(of_seed[:part]) for part in PARTS] for of_seed in losses])
        first = scores if first is None else first
        gains = (scores - first)[:, -1]
        drawn = gains[np.random.default_rng(0).integers(N_SEEDS, size=(4000, N_SEEDS))].mean(axis=1)
        ends = np.quantile(drawn, [0.025, 0.975])
        means = " / ".join(f"{mean:.3f}" for mean in scores.mean(axis=0))
        sys.stdout.write(
            f"| {name} | {means} | {int((sign * gains < 0).sum())} of {N_SEEDS} | "
            f"{gains.mean():+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f}) |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
