"""Train mlp_digits with 400 configurations and 3 seeds, and store the curves as the table ``digits`` of the package.

Runs the training script's own classes in this process, one run after the other (about half an hour of one core). Each
finished run is a line of ``.tools/digits.jsonl``, so that a call that was ended goes on with the next one. When all are
there (or with ``--store``, as many configurations as have all seeds), the table is written.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.benchmarks.real import mlp_digits_benchmark
from tunewright.blackbox import Description
from tunewright.blackbox.repository import SHIPPED
from tunewright.blackbox.tables.stored import TableInfo, write_dataset, write_info
from tunewright.space import SearchSpace

N_CONFIGS, N_SEEDS, EPOCHS = 400, 3, 27
METRICS = ("accuracy", "loss", "elapsed_time")
LOG = Path(".tools/digits.jsonl")


def main() -> None:
    """Record what is missing, then store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", action="store_true", help="store what is recorded, and record nothing")
    args = parser.parse_args()
    LOG.parent.mkdir(exist_ok=True)
    if not args.store:
        record()
    store()


def configurations() -> list[dict[str, Any]]:
    """The configurations, drawn from the benchmark's space; floats with four digits, to be short in print."""
    space = mlp_digits_benchmark().space
    rng = np.random.default_rng(20)
    configs: list[dict[str, Any]] = []
    while len(configs) < N_CONFIGS:
        drawn = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in space.sample(rng).items()}
        configs.append(drawn)
    return configs


def record() -> None:
    """Train all runs that have no line yet."""
    script = load_script()
    data = script.load_data()
    done = set(read_log())
    runs = [(row, seed) for row in range(N_CONFIGS) for seed in range(N_SEEDS)]
    configs = configurations()
    with LOG.open("a", encoding="utf-8") as log:
        for row, seed in runs:
            if (row, seed) in done:
                continue
            curve = train(script, data, {**configs[row], "seed": seed})
            log.write(json.dumps({"row": row, "seed": seed, "curve": curve}) + "\n")
            log.flush()
            print(f"{row:3d} {seed}  accuracy {curve[-1][0]:.4f}  {curve[-1][2]:.2f} s", flush=True)


def load_script() -> Any:
    """The training script as a module."""
    spec = importlib.util.spec_from_file_location("mlp_digits_script", mlp_digits_benchmark().script)
    if spec is None or spec.loader is None:
        raise SystemExit("the training script of mlp_digits is missing")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def train(script: Any, data: Any, config: dict[str, Any]) -> list[list[float]]:
    """One run: accuracy, loss and seconds of processor time since the start, for each epoch."""
    inputs, targets, valid_inputs, valid_targets = data
    network = script.Network(argparse.Namespace(**config))
    curve: list[list[float]] = []
    start = time.process_time()
    for epoch in range(1, EPOCHS + 1):
        network.train_epoch(inputs, targets, epoch)
        accuracy, loss = network.evaluate(valid_inputs, valid_targets)
        curve.append([accuracy, float(f"{loss:.6g}"), round(time.process_time() - start, 4)])
    return curve


def read_log() -> dict[tuple[int, int], list[list[float]]]:
    """The finished runs; a torn last line is passed over."""
    return {(line["row"], line["seed"]): line["curve"] for line in _lines()}


def _lines() -> Iterator[dict[str, Any]]:
    if LOG.exists():
        for text in LOG.read_text(encoding="utf-8").splitlines():
            if text.endswith("}"):
                yield json.loads(text)


def store() -> None:
    """Write the table into the package."""
    runs = read_log()
    rows = [row for row in range(N_CONFIGS) if all((row, seed) in runs for seed in range(N_SEEDS))]
    values = np.array([[runs[row, seed] for seed in range(N_SEEDS)] for row in rows])
    configs = configurations()
    space = mlp_digits_benchmark().space
    description = Description(
        name="digits",
        dataset="mlp",
        space=SearchSpace(dict(space.domains)),
        metrics=METRICS,
        elapsed="elapsed_time",
        levels=tuple(range(1, EPOCHS + 1)),
        n_seeds=N_SEEDS,
        note=f"times are processor seconds of one core ({platform.machine()})",
    )
    columns = {name: [configs[row][name] for row in rows] for name in space.domains}
    folder = SHIPPED / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    files = write_dataset(folder, description, columns, values, suffix=".npz")
    write_info(
        folder,
        TableInfo(
            name="digits",
            title="mlp_digits: a small network on scikit-learn's digits, recorded by scripts/record_digits",
            version=1,
            licence="that of this package",
            datasets={"mlp": files},
        ),
    )
    print(f"{len(rows)} configurations stored in {folder}")


if __name__ == "__main__":
    main()
