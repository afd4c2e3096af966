"""Measure decision times at two commits in turn, and keep the smallest: ``results/decision_times.json`` of the goals.

    git worktree add /tmp/before 35bd364
    python benchmarking/nursery/benchmark_all/decisions.py --before /tmp/before --repeats 5

CPU milliseconds of a suggestion by ``perf/models/suggest.py`` of each commit, whose work is the same. Eight trials go before, so that
imports do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from summarise import RESULTS

ROOT = Path(__file__).parents[3]
WORK = {"HyperTune": 100, "MOBSTER": 100, "SyncMOBSTER": 100, "BO": 64, "auto": 200}
"""Method -> trials."""


def measure(source: Path) -> dict[str, float]:
    """Mean milliseconds of a suggestion, by method."""
    found: dict[str, float] = {}
    for name, n_trials in WORK.items():
        output = subprocess.run(
            [sys.executable, str(source / "perf" / "models" / "suggest.py"), "BO=8", f"{name}={n_trials}"],
            env=os.environ | {"PYTHONPATH": str(source / "src")},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        row = output.splitlines()[-1].split("|")
        found[name] = float(row[4].removesuffix("ms ").strip())
    return found


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier commit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "decision_times.json")
    given = parser.parse_args()
    before, after = [], []
    turns = [(before, given.before), (after, ROOT)]
    for _ in range(given.repeats):
        for found, source in turns:
            found.append(measure(source))
        turns.reverse()  # the second one of a pair may find a slower machine
    times = {
        key: {name: min(one[name] for one in parts) for name in WORK}
        for key, parts in (("before", before), ("after", after))
    }
    work = "CPU time of a suggestion over 100 trials (BO: 64, auto: 200) of random learning curves"
    given.out.write_text(json.dumps({"work": work, **times}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
