"""The methods that run synchronous brackets, and their settings."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.state import replay_history
from tunewright.trial import Start


def first(name: str, max_resource: int = 9, **settings: Any) -> Start:
    benchmark = RealBenchmarkDefinition(
        name="toy",
        script=__file__,
        space=SearchSpace({"x": Float(0.0, 1.0)}),
        metrics=(Metric("loss"),),
        max_resource=max_resource,
    )
    start = build_scheduler(method(name), benchmark, 0, settings).suggest(replay_history([]))
    assert isinstance(start, Start)
    return start


@pytest.mark.parametrize("name", ["SyncHyperband", "SyncBOHB", "SyncMOBSTER", "DEHB"])
def test_brackets_are_set(name: str) -> None:
    assert first(name).until == 1
    assert first(name, grace_period=2).until == 2
    assert first(name, eta=4, brackets=1).note["bracket"] == 0
    with pytest.raises(SettingsError, match="brackets=0 must be >= 1"):
        method(name, brackets=0)
    with pytest.raises(SettingsError, match="between 1 and 3"):
        first(name, brackets=7)
    with pytest.raises(SettingsError, match="eta"):
        method(name, eta=1)


@pytest.mark.parametrize(
    "name",
    [
        *("ASHA", "ASHABORE", "ASHACQR", "BOHB", "MOBSTER", "PASHA", "MOASHA", "PriorBand"),
        *("SyncHyperband", "SyncBOHB", "SyncMOBSTER", "DEHB"),
    ],
)
def test_at_most_four_rungs_lie_below_a_full_run(name: str) -> None:
    assert first(name, 81).until == 1
    assert first(name, 82).until == 2
    assert first(name, 1000).until == 13
    assert first(name, 1000, eta=4).until == 4
    assert first(name, 1000, grace_period=1).until == 1


def test_how_dehb_evolves_is_set() -> None:
    assert first("DEHB", mutation_factor=1, crossover_probability=0).until == 1
    with pytest.raises(SettingsError, match="mutation_factor"):
        method("DEHB", mutation_factor=0)
    with pytest.raises(SettingsError, match="crossover_probability"):
        method("DEHB", crossover_probability=1.5)
    with pytest.raises(SettingsError, match="halving_brackets"):
        method("DEHB", halving_brackets=0)


def test_what_syncmobster_models_is_set() -> None:
    assert first("SyncMOBSTER", model="joint", resource_kernel="decay", n_initial=2).until == 1
    with pytest.raises(SettingsError, match="resource_kernel"):
        method("SyncMOBSTER", resource_kernel="exponential")
    with pytest.raises(SettingsError, match="top_n_percent"):
        method("SyncBOHB", top_n_percent=0)
