"""Compare runs of ours with those of the peer: normalised regret, and differences paired by task and seed.

    python perf/quality/compare.py ours.jsonl --peer ../shared/peers/syne_tune_013.jsonl --table model.onnx
    python perf/quality/compare.py ours.jsonl optuna.jsonl --seeds 5 10 --against auto

Regret at 25, 50 and 100 % of the budget: (best so far - lowest) / (median - lowest), where lowest and median are over the
final values of all runs of the peer for that task, so that the scale does not depend on our runs; for tasks that it has no runs
of, such as those on which settings are chosen, over those of all runs given. Below, for each
method that both have: mean difference in regret at the end (ours - peer's), a 95 % bootstrap interval over the pairs of
equal task and seed, and the sign test's p-value after Holm's correction over the methods.

``--against NAME`` compares one method with all others, ours and the peer's, instead: the mean rank at 50 and 100 % among all
methods that have the task and seed, and the differences (NAME - other) of the same pairs.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

FRACTIONS = (0.25, 0.5, 1.0)
SAME = {"ASHA": "ASHA-promotion"}
"""Names of ours that are others there."""

Runs = dict[str, dict[tuple[str, int], dict[str, Any]]]


def read(paths: Iterable[Path], tables: Collection[str]) -> Runs:
    """Runs by method, then by task and seed."""
    runs: Runs = defaultdict(dict)
    for path in paths:
        for line in path.read_text().splitlines():
            run = json.loads(line)
            if run["table"] in tables and run.get("clock", "ideal") == "ideal" and run.get("curve"):
                runs[run["method"]][run["task"], run["seed"]] = run
    return runs


def scales(runs: Runs) -> dict[str, tuple[float, float]]:
    """Lowest value and distance to the median, by task."""
    finals: dict[str, list[float]] = defaultdict(list)
    for method in runs.values():
        for (task, _), run in method.items():
            finals[task].append(run["curve"][-1][1])
    return {
        task: (min(values), max(float(np.median(values)) - min(values), 1e-12))
        for task, values in finals.items()
    }


def regret(run: dict[str, Any], fraction: float, scale: tuple[float, float]) -> float:
    """Of the best value at a part of the budget; of the first value where none had arrived."""
    seen = [value for at, value in run["curve"] if at <= fraction * run["budget"]]
    return (min(seen, default=run["curve"][0][1]) - scale[0]) / scale[1]


def summary(name: str, runs: dict[tuple[str, int], dict[str, Any]], scale: dict[str, Any]) -> str:
    """A line of the first table."""
    regrets = np.array([[regret(r, f, scale[task]) for f in FRACTIONS] for (task, _), r in runs.items()])
    cost = np.mean([1000 * r["decision_seconds"] / r["n_trials"] for r in runs.values()])
    means = " | ".join(f"{value:.3f}" for value in regrets.mean(axis=0))
    return f"| {name} | {len(runs)} | {means} | {cost:.1f} |"


def differences(ours: dict[Any, Any], theirs: dict[Any, Any], scale: dict[str, Any]) -> np.ndarray:
    """Regret of ours minus the peer's at the end, for each task and seed that both have."""
    return np.array(
        [
            regret(ours[k], 1.0, scale[k[0]]) - regret(theirs[k], 1.0, scale[k[0]])
            for k in ours.keys() & theirs
        ]
    )


def sign_test(values: np.ndarray) -> float:
    """Two-sided probability of so uneven signs."""
    n, k = np.count_nonzero(values), min(np.count_nonzero(values > 0), np.count_nonzero(values < 0))
    return min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)


def mean_ranks(methods: Runs, fraction: float) -> dict[str, float]:
    """By method, over the tasks and seeds that all of them have; equal values share their mean rank."""
    common = sorted(set.intersection(*(set(runs) for runs in methods.values())))
    values = np.array([[regret(m[k], fraction, (0.0, 1.0)) for m in methods.values()] for k in common])
    below = (values[:, np.newaxis, :] < values[:, :, np.newaxis]).sum(axis=2)
    equal = (values[:, np.newaxis, :] == values[:, :, np.newaxis]).sum(axis=2)
    return dict(zip(methods, (below + (equal + 1) / 2).mean(axis=0).tolist(), strict=True))


def print_differences(deltas: dict[str, np.ndarray], notes: dict[str, str]) -> None:
    """A line for each method, the clearest first."""
    rng, floor = np.random.default_rng(0), 0.0
    ordered = sorted(deltas, key=lambda name: sign_test(deltas[name]))
    for place, name in enumerate(ordered):
        values = deltas[name]
        means = rng.choice(values, (4000, len(values))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        floor = max(floor, min(1.0, (len(ordered) - place) * sign_test(values)))
        print(
            f"| {name} |{notes.get(name, '')} {len(values)} | {values.mean():+.3f} | {low:+.3f} to {high:+.3f} | {floor:.3g} |"
        )


def print_against(name: str, methods: Runs, scale: dict[str, Any]) -> None:
    """Ranks of all methods, and how one differs from the others."""
    enough = {other: runs for other, runs in methods.items() if set(methods[name]) <= set(runs)}
    ranks = [mean_ranks(enough, fraction) for fraction in (0.5, 1.0)]
    print(f"\nRanks among {len(enough)} methods. {name}: {ranks[0][name]:.2f} / {ranks[1][name]:.2f}")
    print("\n| method | rank 50 / 100 % | pairs | difference at 100 % | 95 % interval | p (Holm) |")
    print("|---|---|---|---|---|---|")
    notes = {
        other: f" {ranks[0][other]:.2f} / {ranks[1][other]:.2f} |" if other in enough else " |"
        for other in methods
    }
    print_differences(
        {other: differences(methods[name], runs, scale) for other, runs in methods.items() if other != name},
        notes,
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ours", nargs="+", type=Path)
    parser.add_argument("--peer", type=Path, default=Path("../shared/peers/syne_tune_013.jsonl"))
    parser.add_argument("--table", nargs="+", default=["model.onnx"])
    parser.add_argument("--seeds", nargs=2, type=int, metavar=("FIRST", "END"), help="only these")
    parser.add_argument("--against", metavar="NAME", help="compare this method with all others")
    given = parser.parse_args()
    ours, peer = read(given.ours, given.table), read([given.peer], given.table)
    scale = scales(ours) | scales(peer)
    if given.seeds:
        ours, peer = (
            {m: {k: r for k, r in runs.items() if k[1] in range(*given.seeds)} for m, runs in side.items()}
            for side in (ours, peer)
        )
    print("| method | runs | 25 % | 50 % | 100 % | ms per trial |\n|---|---|---|---|---|---|")
    for label, runs in (("", ours), ("Syne Tune 0.13.0: ", peer)):
        for name in sorted(name for name in runs if runs[name]):
            print(summary(label + name, runs[name], scale))
    if given.against:
        theirs = {f"Syne Tune 0.13.0: {name}": runs for name, runs in peer.items()}
        both = {name: runs for name, runs in (ours | theirs).items() if runs.keys() & ours[given.against]}
        print_against(given.against, both, scale)
        return
    pairs = {name: SAME.get(name, name) for name in ours if SAME.get(name, name) in peer}
    deltas = {name: differences(ours[name], peer[other], scale) for name, other in pairs.items()}
    print("\n| method | pairs | difference at 100 % | 95 % interval | p (Holm) |\n|---|---|---|---|---|")
    print_differences({name: values for name, values in deltas.items() if len(values)}, {})


if __name__ == "__main__":
    main()
