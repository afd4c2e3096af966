"""Add finished runs to ``results``: a file per profile and ground with a few numbers of each run.

    python benchmarking/nursery/benchmark_all/summarise.py
    python benchmarking/nursery/benchmark_all/summarise.py --peers syne_tune_013.jsonl optuna.jsonl

Without ``--peers`` it reads the stored experiments of the plan. Lines of peers' runs have the form of ``perf/quality/run.py``: best losses
over time on the tables that ``plan.toml`` names, without delays.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from cells import tag_of
from plan import PLAN, Ground, Profile

from tunewright.analysis import Curves, ExperimentInfo, Results, Steps, curves, hypervolume_curves, load
from tunewright.analysis.curves import newest_infos
from tunewright.analysis.summaries import (
    SHARES,
    BenchmarkSummary,
    RunSummary,
    SetupSummary,
    Summaries,
    merged,
    read_summaries,
    summarise,
    write_summaries,
)
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.blackbox import get_blackbox
from tunewright.exceptions import SettingsError
from tunewright.experiments.outcome import load_outcome
from tunewright.metric import Goal
from tunewright.storage import ExperimentFolder
from tunewright.types import Config

RESULTS = Path(__file__).with_name("results")
LIBRARIES = {"syne-tune": "Syne Tune: ", "optuna": "", "neural-pipeline-search": ""}


def file_of(profile: Profile, ground: Ground, kind: str, folder: Path = RESULTS) -> Path:
    """File of a ground's runs; ``kind`` is ``judging`` or ``checked``."""
    return folder / f"{profile.name}-{ground.name}-{kind}.json"


def own_runs(ground: Ground, kind: str, every: Results) -> Summaries:
    """Summaries of the stored experiments of a ground."""
    found: Summaries = {}
    for task in ground.tasks(kind):
        name = ground.name_of(task)
        if name not in every.benchmarks:
            continue
        results = every.where({"benchmark": name})
        shown = None
        if ground.several:
            last = _at_the_last_level(results)
            shown = hypervolume_curves(last, name, reference=ground.reference[task])
        elif ground.n_trials:
            shown = recommended(results, name)
        found[name] = summarise(results, name, shown=shown)
    return found


def _at_the_last_level(results: Results) -> Results:
    """Only reports of full runs: cheaper levels would be trade-offs by themselves."""
    columns, last = [], max(part.resource.max(initial=0) for part in results.columns)
    for part in results.columns:
        rows = part.resource == last
        metrics = {name: values[rows] for name, values in part.metrics.items()}
        columns.append(
            replace(
                part,
                time=part.time[rows],
                trial=part.trial[rows],
                resource=part.resource[rows],
                decision=part.decision[rows],
                metrics=metrics,
            )
        )
    return Results(results.infos, tuple(columns))


def recommended(results: Results, name: str) -> Curves:
    """Curves with one value: the loss, after a full training, of the best of the trials that were trained longest."""
    found, infos = curves(results, name), newest_infos(results, name)
    setups = {}
    for label, setup in found.setups.items():
        steps = []
        for seed in setup.seeds:
            info = infos[label, seed]
            history = load_outcome(ExperimentFolder(info.path)).history
            metric = found.metric
            trials = map(history.trial, range(history.n_trials))
            reached = [(t, r) for t in trials if (r := history.last(t.id)) is not None]
            best, _ = min(
                reached, key=lambda pair: (-pair[1].resource, metric.loss(pair[1].metrics[metric.name]))
            )
            loss = metric.loss(_full(info, best.config)[metric.name])
            steps.append(Steps(times=np.array([0.0]), losses=np.array([loss])))
        setups[label] = replace(setup, steps=tuple(steps))
    return replace(found, setups=setups)


def _full(info: ExperimentInfo, config: Config) -> dict[str, float]:
    table = SurrogateBenchmarkDefinition.from_json(info.metadata["benchmark"])
    return get_blackbox(table.table, table.dataset, surrogate=table.surrogate).evaluate(config)


def peers_runs(paths: list[Path]) -> dict[tuple[str, str], Summaries]:
    """Summaries of peers' lines, by ground and list."""
    runs: dict[tuple[str, str, str, str], dict[int, RunSummary]] = defaultdict(dict)
    limits: dict[str, float] = {}
    places = {
        (ground.peers_table, ground.peers_name(task)): (ground, kind, task)
        for ground in PLAN.grounds.values()
        if ground.peers_table
        for kind in ("judging", "checked")
        for task in ground.tasks(kind)
    }
    for line in (line for path in paths for line in path.read_text(encoding="utf-8").splitlines()):
        run = json.loads(line)
        place = places.get((run["table"], run["task"]))
        if place is None or not run.get("curve") or run.get("clock") != "ideal":
            continue
        ground, kind, task = place
        name, until = ground.name_of(task), run["budget"]
        if limits.setdefault(name, until) != until:
            raise SettingsError(f"{name}: the peers' runs have different time limits")
        at, values = (np.array(column) for column in zip(*run["curve"], strict=True))
        steps = Steps(times=at.astype(float), losses=values + ground.peers_offset)
        losses = [
            None if np.isnan(x) else float(f"{x:.7g}") for x in steps.at(until * np.array(SHARES)).tolist()
        ]
        deciding = round(1000 * run["decision_seconds"] / max(1, run["n_trials"]), 2)
        label = LIBRARIES[run["library"]] + run["method"]
        summary = RunSummary(run["seed"], run["n_trials"], float(until), deciding, tuple(losses))
        runs[ground.name, kind, name, label][run["seed"]] = summary
    found: dict[tuple[str, str], Summaries] = defaultdict(dict)
    for (ground_name, kind, name, label), by_seed in runs.items():
        part = found[ground_name, kind].setdefault(name, _empty(PLAN.grounds[ground_name], limits[name]))
        part.setups[label] = SetupSummary(
            is_mixed=not label.startswith(LIBRARIES["syne-tune"]),
            runs=tuple(by_seed[seed] for seed in sorted(by_seed)),
        )
    return found


def _empty(ground: Ground, until: float) -> BenchmarkSummary:
    metric, goal = ("val_accuracy", Goal.MAXIMIZE) if ground.peers_offset else ("valid_loss", Goal.MINIMIZE)
    return BenchmarkSummary(metric=metric, goal=goal, values="surrogate", until=float(until), setups={})


def main() -> None:
    """Update the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", nargs="+", type=Path, default=[], help="files of peers' runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    found: dict[Path, Summaries] = {}
    if given.peers:
        ideal = PLAN.profiles["ideal"]
        for (ground, kind), summaries in peers_runs(given.peers).items():
            found[file_of(ideal, PLAN.grounds[ground], kind, given.out)] = summaries
    else:
        for profile in PLAN.profiles.values():
            try:
                every = load(tag_of(profile))
            except SettingsError:  # no such tag yet
                continue
            for ground in (PLAN.grounds[name] for name in profile.grounds):
                for kind in ("judging", "checked"):
                    found[file_of(profile, ground, kind, given.out)] = own_runs(ground, kind, every)
    for path, new in found.items():
        if new:
            write_summaries(path, merged(read_summaries(path), new))
            n_runs = sum(len(s.runs) for part in new.values() for s in part.setups.values())
            print(f"{path.name}: {n_runs} runs")


if __name__ == "__main__":
    main()
