"""The plan of the comparison of all methods: lists of tasks, seeds and cells."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarking" / "nursery" / "benchmark_all"

Import = Callable[[str], ModuleType]


@pytest.fixture
def folder(script_folder: Callable[[Path], None]) -> Import:
    """Import a module of the folder."""
    script_folder(FOLDER)
    return importlib.import_module


def test_no_task_is_in_two_lists(folder: Import) -> None:
    for ground in folder("plan").PLAN.grounds.values():
        lists = [set(ground.choosing), set(ground.checked), set(ground.judging)]
        assert sum(map(len, lists)) == len(set.union(*lists)), ground.name
        assert len(set.union(*lists) | set(ground.absent)) > 0


def test_what_chose_settings_judges_nothing(folder: Import) -> None:
    """Also not under its other name: LCBench has two grounds over one set of data sets."""
    from tunewright.blackbox.recipes.lcbench import TASKS

    grounds = folder("plan").PLAN.grounds
    judging = {
        grounds[name].name_of(task) for name in ("network", "taskset") for task in grounds[name].judging
    }
    for name, prefix in (("plan_choosing", "yahpo-lcbench-"), ("plan_choosing_taskset", "taskset-")):
        tasks = json.loads((ROOT / "perf" / "quality" / f"{name}.json").read_text())["tasks"]
        assert not {prefix + task["task"] for task in tasks} & judging
    spoilt = {
        TASKS.get(task, task)
        for name in ("network", "rows")
        for task in (*grounds[name].choosing, *grounds[name].checked)
    }
    assert not spoilt & set(grounds["rows"].judging)
    assert not spoilt & {TASKS[task] for task in grounds["network"].judging}
    assert not {*grounds["nas201"].checked, *grounds["fcnet"].checked} & {
        task.partition("-")[2] for task in grounds["moo"].judging
    }


def test_every_ground_has_a_recipe_and_every_profile_its_grounds(folder: Import) -> None:
    plan = folder("plan").PLAN
    assert all(ground.recipe for ground in plan.grounds.values())
    assert all(set(profile.grounds) <= set(plan.grounds) for profile in plan.profiles.values())
    for ground in plan.grounds.values():
        assert bool(ground.objectives) == ground.several
        assert set(ground.reference) == ({*ground.judging, *ground.checked} if ground.several else set())


@pytest.mark.parametrize("profile", ["ideal", "sagemaker"])
def test_costly_methods_get_fewer_seeds(folder: Import, profile: str) -> None:
    cells, plan = folder("cells"), folder("plan").PLAN
    seeds = cells.n_seeds(plan.grounds["network"], plan.profiles[profile])
    assert seeds["RS"] == seeds["auto"] == 10
    assert seeds["HyperTune"] == 3
    assert seeds.get("DyHPO", 1) == 1


def test_methods_are_planned_where_they_are_run(folder: Import) -> None:
    n_tasks, grounds = folder("cells").n_tasks, folder("plan").PLAN.grounds
    assert n_tasks(grounds["lemur"], "RS") == 3
    assert n_tasks(grounds["lemur"], "DEHB") == 0
    assert n_tasks(grounds["moo"], "EHVI") == 8
    assert n_tasks(grounds["moo"], "MOASHA") == 4
    for ground in grounds.values():
        assert all(
            any(fnmatch(task, glob) for task in ground.judging)
            for globs in ground.left_out.values()
            for glob in globs
        )


def test_cells_are_ordered_by_seed_and_end_where_the_plan_does(folder: Import) -> None:
    """With the shipped table in the place of a ground's."""
    cells, plans = folder("cells"), folder("plan")
    ground = plans.Ground(
        name="g", title="", benchmark="{}", recipe="", suffix="-x", judging={"digits": 30.0}
    )
    profile = plans.Profile(name="sagemaker", grounds=("g",), keep_alive=60.0, extra_seconds=5.0)
    found = cells.cells(profile, [ground], ["RS", "DyHPO"], range(3), "judging")
    assert [(cell.label, cell.seed) for cell in found] == [("RS", 0), ("DyHPO", 0), ("RS", 1), ("RS", 2)]
    assert {cell.benchmark.name for cell in found} == {"digits-x"}
    assert {cell.limits.max_wallclock_time for cell in found} == {35.0}
    assert found[0].backend.keep_alive == 60.0
    without = replace(ground, left_out={"RS": ["dig*"]})
    assert {cell.label for cell in cells.cells(profile, [without], ["RS", "BO"], range(1), "judging")} == {
        "BO"
    }
    unknown = plans.Ground(name="g", title="", benchmark="none-{}", recipe="", judging={"digits": 30.0})
    assert cells.cells(profile, [unknown], ["RS"], range(1), "judging") == []


def test_the_page_names_what_was_run_and_is_equal_each_time(
    folder: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From runs of two judging tasks and of the peers' file."""
    summaries, page = importlib.import_module("tunewright.analysis.summaries"), folder("page")
    rng = np.random.default_rng(0)

    def setup(level: float, n: int) -> Any:
        return summaries.SetupSummary(
            runs=tuple(
                summaries.RunSummary(
                    seed,
                    9,
                    50.0,
                    0.25,
                    tuple(sorted((level - rng.uniform(0, 0.1, 4)).tolist(), reverse=True)),
                )
                for seed in range(n)
            )
        )

    levels = {
        "RS": 0.9,
        "SyncHyperband": 0.8,
        "ASHA-PROM": 0.3,
        "auto": 0.5,
        "Syne Tune: ASHA-promotion": 0.1,
    }
    network = {
        name: summaries.BenchmarkSummary(
            metric="val_accuracy",
            goal="max",
            values="surrogate",
            until=100.0,
            setups={label: setup(level, 3) for label, level in levels.items()},
        )
        for name in ("yahpo-lcbench-167152", "yahpo-lcbench-167161", "yahpo-lcbench-167185")
    }
    results = tmp_path / "results"
    results.mkdir()
    summaries.write_summaries(results / "ideal-network-judging.json", network)
    (results / "about.json").write_text(json.dumps({"ideal-network-judging": "Runs of version X."}))
    times = {"work": "W", "before": dict.fromkeys(("HyperTune", "MOBSTER", "SyncMOBSTER", "BO"), 2.0)}
    times["after"] = times["before"] | {"BO": 2.5}
    (results / "decision_times.json").write_text(json.dumps(times))
    texts = []
    for place in ("a", "b"):
        out = tmp_path / place / "comparison.md"
        out.parent.mkdir()
        monkeypatch.setattr(sys, "argv", ["page.py", "--results", str(results), "--out", str(out)])
        page.main()
        figure = out.parent / "figures" / "comparison-ideal-network-judging.svg"
        claims = out.parent / "figures" / "comparison-claims.svg"
        texts.append((out.read_text(), figure.read_bytes() + claims.read_bytes()))
    assert texts[0] == texts[1]
    text = texts[0][0]
    assert "This page is partial: 36 of" in text
    assert "| ideal | `network` | 3 of 12 | 36 of" in text
    row = next(line for line in text.splitlines() if line.startswith("| With parallel workers ASHA"))
    assert "**holds** | 1.00 (1.00 to 1.00) | 3, 9 |" in row
    row = next(line for line in text.splitlines() if "`network`, 100 % |" in line)
    assert "**missed** so far | mean rank 3.00 of 5, best Syne Tune: ASHA-promotion 1.00" in row
    row = next(line for line in text.splitlines() if line.startswith("| No method is significantly worse"))
    assert "**missed** so far | ASHA-PROM 0.00 (0.00 to 0.00)" in row
    assert "| Syne Tune: ASHA-promotion | 3 |" in text
    assert "Runs of version X." in text
    assert "| W | **met** | HyperTune: 2.0 ms then, 2.0 ms now |" in text
    assert "| W | **missed** | BO: 2.0 ms then, 2.5 ms now |" in text
    assert "| auto | 3 of 10 | 3.0 / 3.0 / 3.0 / 3.0 |" in text
    assert "| ASHA-PROM | 3, 9 | **0.00 (0.00 to 0.00)** | **0.00 (0.00 to 0.00)** |" in text
    assert "| RS | 3, 9 | **1.00 (1.00 to 1.00)** | **1.00 (1.00 to 1.00)** |" in text


def test_lines_of_peers_become_runs_at_shares_of_the_budget(
    folder: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {
        "library": "syne-tune",
        "method": "BOHB",
        "table": "lcbench_surrogate.npz",
        "task": "126029",
        "seed": 4,
        "budget": 1630,
        "clock": "ideal",
        "decision_seconds": 2.0,
        "n_trials": 100,
        "curve": [[200.0, 40.0], [815.0, 30.0], [1600.0, 20.0]],
    }
    path = tmp_path / "peers.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps(line | {"task": "unknown"}) + "\n")
    monkeypatch.setattr(sys, "argv", ["summarise.py", "--peers", str(path), "--out", str(tmp_path)])
    folder("summarise").main()
    read = importlib.import_module("tunewright.analysis.summaries").read_summaries
    found = read(tmp_path / "ideal-rows-checked.json")["lcbench-bank-marketing"].setups["Syne Tune: BOHB"]
    assert not found.is_mixed
    assert found.runs[0].losses == (None, -60.0, -70.0, -80.0)
    assert found.runs[0].deciding == 20.0


def test_variants_are_compared_on_tasks_that_judge_nothing(
    folder: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the plan's own definition of a benchmark, as if all tables were here."""
    variants, plan = folder("variants"), folder("plan").PLAN
    asked: list[tuple[str, float]] = []

    def benchmarks(_plan: Any, ground: Any, _profile: Any, kind: str) -> list[Any]:
        asked.extend((ground.name_of(task), seconds) for task, seconds in ground.tasks(kind).items())
        return []

    monkeypatch.setattr(type(plan), "benchmarks", benchmarks)
    for trial in variants.TRIALS.values():
        assert list(variants.benchmarks(trial)) == []
    judging = {ground.name_of(task) for ground in plan.grounds.values() for task in ground.judging}
    assert len(asked) == 18
    assert not {name for name, _ in asked} & judging
    assert all(seconds > 0 for _, seconds in asked)


def test_judging_tasks_are_a_plan_for_the_peers(folder: Import) -> None:
    found = folder("peers_plan").peers_plan(folder("plan").PLAN.grounds["rows"])
    assert {"table": "lcbench_surrogate.npz", "task": "126026", "budget": 1530} in found["tasks"]
    assert found["data"] == "../data/."


def test_a_method_with_too_few_common_seeds_is_not_ranked(folder: Import) -> None:
    summaries, page = importlib.import_module("tunewright.analysis.summaries"), folder("page")

    def setup(*seeds: int) -> Any:
        runs = tuple(summaries.RunSummary(seed, 9, 50.0, 0.25, (1.0, 1.0, 1.0, 0.5)) for seed in seeds)
        return summaries.SetupSummary(runs=runs)

    def task(**setups: Any) -> Any:
        return summaries.BenchmarkSummary(
            metric="loss", goal="min", values="recorded", until=100.0, setups=setups
        )

    runs = {
        "a": task(two=setup(0, 1), many=setup(*range(5)), three=setup(*range(3)), other=setup(7, 8, 9)),
        "b": task(
            two=setup(0, 1, 2), many=setup(*range(5)), three=setup(2, 3, 4), other=setup(7, 8, 9), late=setup(0)
        ),
    }  # fmt: skip
    ranked, others = page.ranked_setups(runs)
    assert ranked == ["many", "three"]
    assert sorted(others) == ["late", "other", "two"]
    single = {"a": task(x=setup(0), y=setup(0), z=setup(1))}
    assert page.ranked_setups(single) == (["x", "y"], ["z"])
    assert page.ranked_setups({}) == ([], [])
