"""The plan of the comparison of all methods: lists of tasks, seeds and cells."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarking" / "nursery" / "benchmark_all"

Import = Callable[[str], ModuleType]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Import:
    """Import a module of the folder, whose names other folders have as well."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for path in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)

    def load(name: str) -> Any:
        module = importlib.import_module(name)
        for path in FOLDER.glob("*.py"):
            if path.stem in sys.modules:
                monkeypatch.setitem(sys.modules, path.stem, sys.modules[path.stem])
        return module

    return load


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
    assert seeds["RS"] == 20
    assert seeds["auto"] == 10
    assert min(seeds.values()) >= 10


def test_cells_are_ordered_by_seed_and_end_where_the_plan_does(folder: Import) -> None:
    """With the shipped table in the place of a ground's."""
    cells, plans = folder("cells"), folder("plan")
    ground = plans.Ground(
        name="g", title="", benchmark="{}", recipe="", suffix="-x", judging={"digits": 30.0}
    )
    profile = plans.Profile(name="sagemaker", grounds=("g",), keep_alive=60.0, extra_seconds=5.0)
    found = cells.cells(profile, [ground], ["RS", "DyHPO"], range(9, 12), "judging")
    assert [(cell.label, cell.seed) for cell in found] == [("RS", 9), ("DyHPO", 9), ("RS", 10), ("RS", 11)]
    assert {cell.benchmark.name for cell in found} == {"digits-x"}
    assert {cell.limits.max_wallclock_time for cell in found} == {35.0}
    assert found[0].backend.keep_alive == 60.0
    unknown = plans.Ground(name="g", title="", benchmark="none-{}", recipe="", judging={"digits": 30.0})
    assert cells.cells(profile, [unknown], ["RS"], range(1), "judging") == []
