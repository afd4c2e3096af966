"""Medians of the best value after all trials, with intervals; from the files of ``ours.py`` and ``peers.py``.

python perf/functions/compare.py shared/functions.jsonl shared/peers.jsonl
"""

# pyright: basic
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

N_RESAMPLES = 5000


def main() -> None:
    """Print a table for each function and number of workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--against", metavar="METHOD")
    given = parser.parse_args()
    lines = [json.loads(line) for file in given.files for line in file.read_text().splitlines()]
    rng = np.random.default_rng(0)
    last = f" minus {given.against}" if given.against else ""
    for case in sorted({(x["function"], x["n_trials"], x["n_workers"]) for x in lines}):
        function, n_trials, n_workers = case
        print(f"\n{function}, {n_trials} trials, {n_workers} workers\n")
        print(
            f"| method | seeds | median at half | median | 95 % interval | ms a trial |{last} |\n|---|---|---|---|---|---|---|"
        )
        rows = []
        peer = {
            x["seed"]: x["curve"][-1]
            for x in lines
            if (x["function"], x["n_trials"], x["n_workers"]) == case and x["method"] == given.against
        }
        for method in sorted({x["method"] for x in lines}):
            runs = [
                x
                for x in lines
                if (x["function"], x["n_trials"], x["n_workers"]) == case and x["method"] == method
            ]
            if not runs:
                continue
            best = np.array([x["curve"][-1] for x in runs])
            half = np.median([x["curve"][n_trials // 2 - 1] for x in runs])
            medians = np.median(rng.choice(best, (N_RESAMPLES, len(best))), axis=1)
            low, high = np.quantile(medians, [0.025, 0.975])
            pairs = [x["curve"][-1] - peer[x["seed"]] for x in runs if x["seed"] in peer]
            difference = ""
            if pairs and method != given.against:
                means = rng.choice(pairs, (N_RESAMPLES, len(pairs))).mean(axis=1)
                first, end = np.quantile(means, [0.025, 0.975])
                difference = f"{np.mean(pairs):+.3g} ({first:+.3g} to {end:+.3g}) [{len(pairs)}]"
            milliseconds = 1000 * np.mean([x["seconds"] for x in runs]) / n_trials
            rows.append(
                (
                    float(np.median(best)),
                    f"| {method} | {len(runs)} | {half:.3g} | {np.median(best):.3g} | {low:.3g} to {high:.3g} | {milliseconds:.1f} | {difference} |",
                )
            )
        print("\n".join(row for _, row in sorted(rows)))


if __name__ == "__main__":
    main()
