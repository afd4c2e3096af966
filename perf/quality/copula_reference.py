"""CGP and QuantileTransfer beside the recorded runs of their authors' implementation, on the authors' tables.

    python perf/quality/copula_reference.py FOLDER DeepAR --seeds 5

FOLDER is a checkout of geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning (MIT-0), which holds tables of final values and the runs
of its reimplementation: 30 seeds, 100 trials one after the other, each table without the target being the earlier experiments. The same
here: every listed configuration may be tried (here once at most). Printed is the distance of the best value from the table's best after 10, 25,
50 and 100 trials, in percent of the distance of the table's median: means over tasks, of means over seeds; then differences with 95 %
intervals over tasks and seeds. Recorded runs with a value that the table does not hold (a failed seed) are left out.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import io
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewright.analysis.aggregate import crossed_mean
from tunewright.asktell import AskTell
from tunewright.methods import build_scheduler, find_method, method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.transfer.evaluations import Task, TransferEvaluations

ERROR = {"DeepAR": "metric_CRPS", "XGBoost": "metric_error"}
UNUSED = {"wiki-rolling", "skin_nonskin"}
"""Targets without recorded runs; they are earlier experiments of the others."""
OURS = {
    "RandomSearch": method("RandomSearch"),
    "BayesianOptimization, log_ei": method("BayesianOptimization", acquisition="log_ei"),
    "QuantileTransfer": method("QuantileTransfer"),
    "CGP": method("CGP"),
}
LOSS = Metric("loss")
AT = (10, 25, 50, 100)


@dataclass(frozen=True)
class Table:
    """Final values of one task."""

    configs: list[dict[str, float]]
    """In the unit cube of all tasks."""
    losses: np.ndarray

    def regret(self, found: list[float]) -> np.ndarray:
        """Of the best of the first ``AT`` values, in percent of the median's distance from the best."""
        best, middle = self.losses.min(), np.median(self.losses)
        return np.array([100.0 * (min(found[:n]) - best) / (middle - best) for n in AT])


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A benchmark all of whose configurations are listed."""

    name: str
    space: SearchSpace
    listed: list[dict[str, float]]
    metrics: tuple[Metric, ...] = (LOSS,)
    max_resource: int | None = 1
    n_workers: int = 1
    points_to_evaluate: None = None
    time_attr: str = "time"

    def candidates(self) -> list[dict[str, float]]:
        """All of them."""
        return self.listed


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a zipped CSV file."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.DictReader(io.StringIO(text)))


def tables_of(rows: list[dict[str, str]], error: str) -> dict[str, Table]:
    """Tables by task."""
    names = sorted(name for name in rows[0] if name.startswith("hp_"))
    points = np.array([[float(row[name]) for name in names] for row in rows])
    points = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    losses, tasks = np.array([float(row[error]) for row in rows]), np.array([row["task"] for row in rows])
    return {
        task: Table(
            [dict(zip(names, point.tolist(), strict=True)) for point in points[tasks == task]],
            losses[tasks == task],
        )
        for task in dict.fromkeys(tasks.tolist())
    }


def run(tables: dict[str, Table], target: str, label: str, seed: int) -> list[float]:
    """Losses in the order of the trials."""
    table = tables[target]
    space = SearchSpace({name: Float(0.0, 1.0) for name in table.configs[0]})
    benchmark = Listed(name=target, space=space, listed=table.configs)
    earlier = tuple(
        Task(name=name, configs=tuple(other.configs), losses=tuple(other.losses.tolist()))
        for name, other in tables.items()
        if name != target
    )
    known = TransferEvaluations(sources=("tables",), tasks=earlier)
    needs = find_method(OURS[label].name).needs_evaluations
    tuning = AskTell(build_scheduler(OURS[label], benchmark, seed, {}, known if needs else None), [LOSS])
    losses = {
        tuple(config.values()): float(loss) for config, loss in zip(table.configs, table.losses, strict=True)
    }
    found: list[float] = []
    while len(found) < AT[-1] and (asked := tuning.ask()) is not None:
        found.append(losses[tuple(asked.config.values())])
        tuning.tell(asked, {"loss": found[-1]})
        tuning.complete(asked)
    return found


def recorded(folder: Path, kind: str, tables: dict[str, Table]) -> dict[str, dict[str, list[np.ndarray]]]:
    """Regrets of the authors' runs, by method and task."""
    values: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows_of(folder / "src/experiments/results_reimplem.csv.zip"):
        if row["blackbox"] == kind:
            values[f"authors' {row['optimizer']}", row["task"], row["seed"]][int(row["iteration"])] = float(
                row["value"]
            )
    found: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for (label, task, _), losses in values.items():
        ordered = [losses[place] for place in sorted(losses)]
        if min(ordered) >= tables[task].losses.min() - 1e-9:
            found[label][task].append(tables[task].regret(ordered))
    return found


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=list(ERROR))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    rows = rows_of(given.folder / f"src/blackbox/offline_evaluations/{given.kind}.csv.zip")
    tables = tables_of(rows, ERROR[given.kind])
    found = recorded(given.folder, given.kind, tables)
    for task in sorted(set(tables) - UNUSED):
        for label in OURS:
            for seed in range(given.seeds):
                found[label][task].append(tables[task].regret(run(tables, task, label, seed)))
    report(found)


def report(found: dict[str, dict[str, list[np.ndarray]]]) -> None:
    """Print mean regrets, and the differences between CGP and the others."""
    tasks = sorted(found["CGP"])
    regrets = {label: [np.array(by_task[task]) for task in tasks] for label, by_task in found.items()}
    for label, parts in regrets.items():
        means = " / ".join(f"{mean:.1f}" for mean in np.mean([part.mean(axis=0) for part in parts], axis=0))
        n = min(map(len, parts))
        # Runs of two implementations have no seed in common: each is compared with the other's mean.
        gaps = [mine - part.mean(axis=0) for mine, part in zip(regrets["CGP"], parts, strict=True)]
        band = crossed_mean(gaps)
        change = " / ".join(
            f"{c:+.1f} ({low:+.1f} to {high:+.1f})"
            for c, low, high in zip(band.centre, band.low, band.high, strict=True)
        )
        print(f"{label:30} {n:2} seeds  {means}   CGP: {change if label != 'CGP' else ''}")


if __name__ == "__main__":
    main()
