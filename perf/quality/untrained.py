"""Loss of a model before training, for each task of the peers' tables: the ceiling of regrets in ``compare.py``.

    python perf/quality/untrained.py --data ../shared/data --out perf/quality/untrained.json

It is the median over configurations of the first recorded point (LCBench, TaskSet), or of the network's first point over 400 random
configurations. `tables.py` of the peers leaves this point out.
"""

# pyright: basic
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tables_of_peers import load_tables


def of_arrays(path: Path, tasks: str, values: str) -> dict[str, float]:
    """Medians over the configurations, by task."""
    with np.load(path, allow_pickle=False) as data:
        first = data[values][:, :, 0].astype(float)
        medians = np.nanmedian(np.where(np.isfinite(first), first, np.nan), axis=1)
        return dict(zip(data[tasks].tolist(), medians.tolist(), strict=True))


def of_network(tables: Any, path: Path) -> dict[str, float]:
    """Medians over random configurations, by task."""
    import onnxruntime  # noqa: PLC0415

    codes = json.loads(path.with_name("encoding.json").read_text())["OpenML_task_id"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    table, rng = tables.load(path, next(iter(codes))), np.random.default_rng(0)
    configs = [table.sample(rng) for _ in range(400)]
    rows = np.array([[1.0 if n == "epoch" else c[n] for n in table.inputs] for c in configs], np.float32)
    found = {}
    for task, code in codes.items():
        if task == "#na#":
            continue
        out = session.run(None, {"x_cat": np.full((len(rows), 1), code, np.int32), "x_cont": rows})
        found[task] = float(np.median(100.0 - np.asarray(out[0], dtype=float)[:, 1]))
    return found


def main() -> None:
    """Write the values of all tasks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = of_arrays(given.data / "lcbench_surrogate.npz", "task_ids", "val_accuracy")
    values = {
        "lcbench_surrogate.npz": {task: 100.0 - accuracy for task, accuracy in rows.items()},
        "model.onnx": of_network(load_tables(given.peers), given.data / "yahpo" / "lcbench" / "model.onnx"),
        "taskset.npz": of_arrays(given.data / "taskset.npz", "tasks", "valid"),
    }
    rounded = {
        table: {task: round(value, 4) for task, value in sorted(by_task.items())}
        for table, by_task in values.items()
    }
    given.out.write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
