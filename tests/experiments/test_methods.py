"""Methods by name, and their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright import plugins
from tunewright.benchmarks import Benchmark, RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.methods import (
    Method,
    MethodSpec,
    aliases,
    build_scheduler,
    find_method,
    method,
    method_names,
    promotion_eta,
    registry,
    resolved_settings,
)
from tunewright.methods.settings import settings_of
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, RungSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.state import replay_history
from tunewright.testing.histories import earlier_evaluations
from tunewright.trial import Start
from tunewright.types import Json


def benchmark(**changes: Any) -> RealBenchmarkDefinition:
    fields: dict[str, Any] = {
        "name": "toy",
        "script": __file__,
        "space": SearchSpace({"x": Float(0.0, 1.0)}),
        "metrics": (Metric("loss"),),
        "max_resource": 9,
    }
    return RealBenchmarkDefinition(**{**fields, **changes})


def first(choice: Any, seed: int = 0, **settings: Any) -> Start:
    toy = benchmark(points_to_evaluate=())
    is_warm = isinstance(choice, MethodSpec) and find_method(choice.name).needs_evaluations
    known = earlier_evaluations(toy.space) if is_warm else None
    start = build_scheduler(choice, toy, seed, settings, known).suggest(replay_history([]))
    assert isinstance(start, Start)
    return start


def test_methods_are_found_by_name_alias_and_any_case() -> None:
    assert {"ASHA", "GridSearch", "RandomSearch"} <= set(method_names())
    assert method_names() == sorted(method_names(), key=str.lower)
    assert aliases("RandomSearch") == ("RS",)
    assert find_method("rs").name == "RandomSearch"
    assert method("asha") == MethodSpec(name="ASHA")
    with pytest.raises(SettingsError, match="Did you mean 'ASHA'"):
        find_method("AHSA")


@pytest.mark.parametrize("name", method_names())
def test_every_method_builds_a_scheduler_that_suggests(name: str) -> None:
    assert 0.0 <= float(first(method(name)).config["x"]) <= 1.0
    assert find_method(name).summary


def test_seeds_decide_what_is_suggested() -> None:
    assert first(method("RS"), 1).config == first(method("RS"), 1).config
    assert first(method("RS"), 1).config != first(method("RS"), 2).config


def test_settings_of_the_command_line_win() -> None:
    assert first(method("ASHA", grace_period=3)).until == 3
    assert first(method("ASHA", grace_period=3), grace_period=1).until == 1
    assert first(method("ASHA", rung_levels=[2, 4])).until == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"knd": "stopping"}, "Did you mean 'kind'"),
        ({"kind": "pausing"}, "kind must be promotion or stopping"),
        ({"eta": 1}, "eta"),
        ({"eta": "three"}, "eta must be float"),
        ({"grace_period": 0}, "grace_period"),
        ({"grace_period": 1.5}, "grace_period must be int or none"),
        ({"grace_period": True}, "grace_period must be int or none"),
        ({"brackets": 0}, "brackets"),
        ({"rung_levels": [3, 2]}, "rung_levels"),
        ({"shared_rungs": "maybe"}, "shared_rungs must be true or false"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_chosen(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        method("ASHA", **settings)


def test_texts_are_read_as_the_settings_type() -> None:
    settings = find_method("ASHA").make_settings(
        {"eta": "4", "rung_levels": "1,3", "shared_rungs": "0", "kind": "stopping", "brackets": "2"}
    )
    rungs = settings.rungs
    assert (rungs.eta, rungs.rung_levels, rungs.shared_rungs, rungs.brackets) == (
        4.0,
        (1, 3),
        False,
        2,
    )
    assert find_method("ASHA").make_settings({"rung_levels": None}).rungs.rung_levels is None


@dataclass(frozen=True)
class OwnSettings:
    depth: int = 1


def test_nested_settings_are_flat_for_users() -> None:
    found = find_method("MOBSTER")
    given: dict[str, Json] = {
        "eta": "4",
        "kappa": 1,
        "model": "independent",
        "max_observations": 50.0,
        "rung_levels": [2, "4"],
    }
    settings = found.make_settings(given)
    assert (settings.rungs.eta, settings.rungs.rung_levels) == (4.0, (2, 4))
    assert (settings.models.model, settings.models.gp.kappa, settings.models.gp.n_initial) == (
        "independent",
        1.0,
        6,
    )
    resolved = resolved_settings(MethodSpec(name="MOBSTER", settings={"eta": 4}), {"kappa": 1.5})
    assert resolved == found.resolved(resolved)
    assert list(resolved) == list(found.parameters)
    assert (resolved["eta"], resolved["kappa"], resolved["model"]) == (4.0, 1.5, "joint")
    with pytest.raises(SettingsError, match="eta"):
        method("MOBSTER", eta=1)


def test_blanks_in_texts_do_not_count() -> None:
    settings = find_method("ASHA").make_settings(
        {"rung_levels": "1, 3, 5", "eta": " 4", "shared_rungs": "False "}
    )
    assert settings.rungs == RungSettings(rung_levels=(1, 3, 5), eta=4, shared_rungs=False)


@pytest.mark.parametrize("name", method_names())
def test_resolved_settings_are_plain_data_that_builds_the_same(name: str) -> None:
    found = find_method(name)
    resolved = found.resolved({})
    assert json.loads(json.dumps(resolved)) == resolved
    assert found.make_settings(resolved) == found.make_settings({})
    as_texts = {key: str(value) for key, value in resolved.items() if isinstance(value, int | float)}
    assert found.make_settings(as_texts) == found.make_settings({})


def test_two_groups_cannot_have_settings_of_one_name() -> None:
    @dataclass(frozen=True)
    class Twice:
        depth: int = 1
        own: OwnSettings = OwnSettings()

    with pytest.raises(TypeError, match="two settings called depth"):
        settings_of(Twice)


def test_the_promotion_eta_is_an_answer_of_the_method() -> None:
    assert promotion_eta(method("ASHA", eta=4), {}) == 4
    assert promotion_eta(method("HyperTune"), {"eta": 2}) == 2
    assert promotion_eta(method("ASHA", kind="stopping"), {}) is None
    assert promotion_eta(method("PASHA"), {}) is None


def test_the_families_have_the_methods_of_the_table() -> None:
    found = {name: find_method(name).name for name in method_names()}
    assert all(name == full for name, full in found.items())


def test_asha_says_what_it_needs_of_a_benchmark() -> None:
    with pytest.raises(SettingsError, match="max_resource"):
        build_scheduler(method("ASHA"), benchmark(max_resource=None), 0, {})
    with pytest.raises(SettingsError, match="one metric"):
        build_scheduler(method("ASHA"), benchmark(metrics=(Metric("a"), Metric("b"))), 0, {})
    with pytest.raises(SettingsError, match="brackets=7"):
        build_scheduler(method("ASHA", brackets=7), benchmark(), 0, {})
    with pytest.raises(SettingsError, match="n_per_domain"):
        method("GridSearch", n_per_domain=0)
    assert isinstance(build_scheduler(method("ASHA"), benchmark(), 0, {}), ASHA)


def test_a_choice_is_data() -> None:
    spec = method("ASHA", eta=4)
    assert MethodSpec.from_json(spec.to_json()) == spec
    with pytest.raises(SettingsError, match="cannot be read"):
        MethodSpec.from_json({"name": "ASHA"})


def test_a_function_of_the_users_is_a_method() -> None:
    seen: list[Mapping[str, Any]] = []

    def mine(benchmark: Benchmark, seed: int, settings: Mapping[str, Any]) -> FIFO:
        seen.append(settings)
        return FIFO(RandomSearcher(benchmark.space, seed=seed))

    first(mine, 0, depth=3)
    assert seen == [{"depth": 3}]


OWN = Method(
    name="Own",
    summary="A method of another package",
    settings=OwnSettings,
    build=lambda benchmark, seed, settings: FIFO(RandomSearcher(benchmark.space, seed=seed)),
)


def test_other_packages_add_methods_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"Own": SimpleNamespace(load=lambda: OWN), "Wrong": SimpleNamespace(load=lambda: 3)}

    def points_of(group: str) -> dict[str, SimpleNamespace]:
        return points if group == "tunewright.methods" else {}

    monkeypatch.setattr(plugins, "_points", points_of)
    assert "Own" in method_names()
    assert first(method("own", depth=2)).config
    with pytest.raises(SettingsError, match="not a Method"):
        find_method("Wrong")


def test_entry_points_are_looked_up_in_our_group(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="Own", value="json:loads", group=registry.ENTRY_POINT_GROUP)

    def points_of(group: str) -> list[EntryPoint]:
        return [point] if group == "tunewright.methods" else []

    monkeypatch.setattr(plugins, "entry_points", points_of)
    uncached = plugins._points.__wrapped__  # pyright: ignore[reportPrivateUsage]
    assert set(uncached(registry.ENTRY_POINT_GROUP)) == {"Own"}
