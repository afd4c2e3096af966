"""Compare runs of ours with those of the peer: normalised regret, ranks, and differences by task and seed.

    python perf/quality/compare.py ours.jsonl --peer ../shared/peers/syne_tune_013.jsonl --table model.onnx
    python perf/quality/compare.py ours.jsonl optuna.jsonl --seeds 5 10 --against auto

Regret at 25, 50 and 100 % of the budget: (best so far - lowest) / unit. Lowest and the unit, the distance from it to the median,
are over the final values of all runs of the peer for that task, so that the scale does not depend on our runs; for tasks that
it has no runs of, such as those on which settings are chosen, over those of all runs given. Where half of the runs end on the lowest
value, the unit is the distance to a higher quantile, which is printed; a task on which all runs end alike is left out, with a note. The best so far is
never worse than a model before training (``untrained.json``).

Methods with equal curves count once, in the scale and in ranks. Means are over tasks, of means over seeds; their 95 % intervals
take tasks and seeds as crossed factors (`tunewright.analysis.aggregate.crossed_mean`), so that they hold for tasks like these. The p-values (Wilcoxon's
signed-rank test of the runs with equal task and seed, after Holm's correction over the methods) hold for these tasks only.

Below the regrets, for each method that both have: mean difference at the end (ours - peer's). ``--against NAME`` compares one
method with all others instead, ours and the peer's: mean ranks at 50 and 100 % among the methods that have all its runs, and differences
(NAME - other).
"""

# pyright: basic
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tunewright.analysis.aggregate import crossed_mean
from tunewright.analysis.significance import holm, wilcoxon

FRACTIONS = (0.25, 0.5, 1.0)
QUANTILES = (0.5, 0.75, 0.9, 1.0)
LEAST_UNIT = 1e-6
"""As a share of the distance from the lowest value to a model before training."""
SAME = {"ASHA": "ASHA-promotion"}
"""Names of ours that are others there."""
PEER = "Syne Tune 0.13.0: "

Run = dict[str, Any]
Runs = dict[str, dict[tuple[str, int], Run]]


@dataclass(frozen=True)
class Scale:
    """Scale of the regrets of one task."""

    lowest: float
    unit: float
    quantile: float
    """Of the runs, at which the regret is 1."""
    untrained: float

    def regret(self, run: Run, fraction: float) -> float:
        """Of the best value at a part of the budget."""
        seen = [value for at, value in run["curve"] if at <= fraction * run["budget"]]
        return (min([*seen, self.untrained]) - self.lowest) / self.unit


def read(paths: Iterable[Path], tables: Collection[str]) -> Runs:
    """Runs by method, then by task and seed."""
    runs: Runs = defaultdict(dict)
    for path in paths:
        for line in path.read_text().splitlines():
            run = json.loads(line)
            if run["table"] in tables and run.get("clock", "ideal") == "ideal" and run.get("curve"):
                runs[run["method"]][run["task"], run["seed"]] = run
    return runs


def distinct(runs: Runs) -> dict[str, list[str]]:
    """Methods that differ, each with others whose curves equal its own in all common runs; random search stands for its clones."""
    kept: dict[str, list[str]] = {}
    for name in sorted(runs, key=lambda name: (not name.endswith("RandomSearch"), -len(runs[name]), name)):
        equal = next((other for other in kept if _are_equal(runs[name], runs[other])), None)
        if equal is None:
            kept[name] = []
        else:
            kept[equal].append(name)
    return kept


def _are_equal(first: Mapping[Any, Run], second: Mapping[Any, Run]) -> bool:
    common = first.keys() & second
    return bool(common) and all(first[key]["curve"] == second[key]["curve"] for key in common)


def scales(runs: Runs, untrained: Mapping[str, Mapping[str, float]]) -> dict[str, Scale]:
    """Scale of each task with runs that end differently; other tasks are named and left out."""
    finals: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name in distinct(runs):
        for (task, _), run in runs[name].items():
            finals[run["table"], task].append(run["curve"][-1][1])
    found: dict[str, Scale] = {}
    for (table, task), values in sorted(finals.items()):
        lowest, ceiling = min(values), untrained[table][task]
        for quantile in QUANTILES:
            unit = float(np.quantile(values, quantile)) - lowest
            if unit > LEAST_UNIT * abs(ceiling - lowest):
                found[task] = Scale(lowest, unit, quantile, ceiling)
                break
    for task in sorted({task for _, task in finals}):
        if task not in found:
            print(f"{task}: left out, as all runs end alike")
        elif found[task].quantile != QUANTILES[0]:
            print(f"{task}: the unit is the distance to the {found[task].quantile:.0%} quantile")
    return found


def by_task(values: Mapping[tuple[str, int], Any]) -> list[np.ndarray]:
    """Values of the seeds of each task, shape (seeds, ...), tasks and seeds in order."""
    tasks: dict[str, list[Any]] = defaultdict(list)
    for (task, _), value in sorted(values.items()):
        tasks[task].append(value)
    return [np.array(part) for part in tasks.values()]


def summary(name: str, runs: Mapping[tuple[str, int], Run], scale: Mapping[str, Scale]) -> str:
    """A line of the first table."""
    regrets = by_task(
        {
            (task, seed): [scale[task].regret(run, f) for f in FRACTIONS]
            for (task, seed), run in runs.items()
            if task in scale
        }
    )
    means = np.mean([part.mean(axis=0) for part in regrets], axis=0)
    medians = np.median([np.median(part, axis=0) for part in regrets], axis=0)
    cost = np.mean([1000 * run["decision_seconds"] / run["n_trials"] for run in runs.values()])
    shown = (" / ".join(f"{value:.3f}" for value in values) for values in (means, medians))
    return f"| {name} | {len(runs)} | {' | '.join(shown)} | {cost:.1f} |"


def differences(
    ours: Mapping[Any, Run], theirs: Mapping[Any, Run], scale: Mapping[str, Scale]
) -> list[np.ndarray]:
    """Regret of ours minus the peer's at the end, by task, for the seeds that both have; arrays of shape (seeds, 1)."""
    return by_task(
        {
            key: [scale[key[0]].regret(ours[key], 1.0) - scale[key[0]].regret(theirs[key], 1.0)]
            for key in ours.keys() & theirs
            if key[0] in scale
        }
    )


def mean_ranks(methods: Runs, fraction: float, scale: Mapping[str, Scale]) -> dict[str, Any]:
    """Mean rank of each method with its interval, over the tasks and seeds that all have; equal values share a rank."""
    common = set.intersection(*(set(runs) for runs in methods.values()))
    ranks = by_task(
        {
            key: rankdata([scale[key[0]].regret(runs[key], fraction) for runs in methods.values()])
            for key in common
            if key[0] in scale
        }
    )
    return {name: crossed_mean([part[:, [i]] for part in ranks]) for i, name in enumerate(methods)}


def print_differences(deltas: Mapping[str, list[np.ndarray]], notes: Mapping[str, str]) -> None:
    """A line for each method, the clearest first."""
    p_values = {name: wilcoxon(np.concatenate(parts)[:, 0]) for name, parts in deltas.items()}
    ordered = sorted(deltas, key=lambda name: (p_values[name], name))
    for name, p in zip(ordered, holm([p_values[name] for name in ordered]), strict=True):
        values, band = np.concatenate(deltas[name])[:, 0], crossed_mean(deltas[name])
        ends = f"{band.low[0]:+.3f} to {band.high[0]:+.3f}"
        signs = f"{(values < 0).sum()}, {(values > 0).sum()}"
        print(
            f"| {name} |{notes.get(name, '')} {len(values)} | {band.centre[0]:+.3f} | {ends} | {np.median(values):+.3f} "
            f"| {signs} | {p:.3g} |"
        )


DIFFERENCE_HEAD = "pairs | difference at 100 % | 95 % interval | median | better, worse | p (Holm) |"


def print_against(name: str, methods: Runs, scale: Mapping[str, Scale]) -> None:
    """Ranks of all methods, and how one differs from the others."""
    whole = {other: runs for other, runs in methods.items() if set(methods[name]) <= set(runs)}
    equal = distinct(whole)
    ranked = {other: whole[other] for other in equal}
    ranks = [mean_ranks(ranked, fraction, scale) for fraction in (0.5, 1.0)]
    for other, same in equal.items():
        if same:
            print(f"\nEqual curves: {', '.join([other, *same])}. {other} stands for all.")
    print(f"\nRanks among {len(ranked)} methods, at 50 and 100 %; 95 % intervals at 100 %:")
    print("\n| method | rank 50 / 100 % | interval |\n|---|---|---|")
    for other in sorted(ranked, key=lambda other: ranks[1][other].centre[0]):
        half, end = ranks[0][other].centre[0], ranks[1][other]
        print(f"| {other} | {half:.2f} / {end.centre[0]:.2f} | {end.low[0]:.2f} to {end.high[0]:.2f} |")
    print(f"\n| {name} minus | {DIFFERENCE_HEAD}\n|---|---|---|---|---|---|---|")
    others = (other for other in methods if other != name and (other in equal or other not in whole))
    print_differences({other: differences(methods[name], methods[other], scale) for other in others}, {})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ours", nargs="+", type=Path)
    parser.add_argument("--peer", type=Path, default=Path("../shared/peers/syne_tune_013.jsonl"))
    parser.add_argument("--table", nargs="+", default=["model.onnx"])
    parser.add_argument("--seeds", nargs=2, type=int, metavar=("FIRST", "END"), help="only these")
    parser.add_argument("--against", metavar="NAME", help="compare this method with all others")
    given = parser.parse_args()
    untrained = json.loads(Path(__file__).with_name("untrained.json").read_text())
    ours, peer = read(given.ours, given.table), read([given.peer], given.table)
    scale = scales(ours, untrained) | scales(peer, untrained)
    if given.seeds:
        ours, peer = (
            {m: {k: r for k, r in runs.items() if k[1] in range(*given.seeds)} for m, runs in side.items()}
            for side in (ours, peer)
        )
    print("| method | runs | 25 / 50 / 100 %, means | medians | ms per trial |\n|---|---|---|---|---|")
    for label, runs in (("", ours), (PEER, peer)):
        for name in sorted(name for name in runs if runs[name]):
            print(summary(label + name, runs[name], scale))
    if given.against:
        both = ours | {PEER + name: runs for name, runs in peer.items()}
        shared = {name: runs for name, runs in both.items() if runs.keys() & ours[given.against]}
        print_against(given.against, shared, scale)
        return
    pairs = {name: SAME.get(name, name) for name in ours if SAME.get(name, name) in peer}
    deltas = {name: differences(ours[name], peer[other], scale) for name, other in pairs.items()}
    print(f"\n| method | {DIFFERENCE_HEAD}\n|---|---|---|---|---|---|---|")
    print_differences({name: parts for name, parts in deltas.items() if parts}, {})


if __name__ == "__main__":
    main()
