"""Reading earlier experiments: spaces, metrics, what is left out, and what is kept for a resume."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.storage import ExperimentFolder
from tunewright.transfer.evaluations import SpaceMapping, TransferEvaluations, nearest
from tunewright.transfer.reading import pack_evaluations, read_evaluations
from tunewright.types import Config

Store = Callable[..., ExperimentFolder]
LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0), "norm": Categorical(["batch", "none"]), "epochs": 2})


def bowl(config: Config) -> float:
    return (float(config["x"]) - 0.3) ** 2


def linear(name: str) -> Callable[[Config], float]:
    return lambda config: float(config[name])


def test_trials_of_one_benchmark_are_one_task(store: Store) -> None:
    first = store("earlier", "digits", SPACE, bowl)
    store("earlier", "digits", SPACE, bowl)
    store("earlier", "letters", SPACE, bowl)
    found = read_evaluations(["earlier"], SPACE, LOSS)
    assert [(task.name, len(task.configs)) for task in found.tasks] == [("digits", 24), ("letters", 12)]
    assert found.n_evaluations == 36
    for task in found.tasks:
        for config, loss in zip(task.configs, task.losses, strict=True):
            assert loss == pytest.approx(bowl(config) + 0.5)
        assert bowl(task.best(1)[0]) == min(map(bowl, task.configs))
    one = read_evaluations([first.name], SPACE, LOSS)
    assert one.n_evaluations == 12
    assert read_evaluations([str(first.path)], SPACE, LOSS).tasks == one.tasks


def test_they_survive_as_data(store: Store, tmp_path: Path) -> None:
    store("earlier", "digits", SPACE, bowl)
    found = read_evaluations(["earlier"], SPACE, LOSS)
    again = TransferEvaluations.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.digest == found.digest
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(found.to_json()))
    assert read_evaluations([str(file)], SPACE, LOSS).tasks == found.tasks
    file.write_text("[]")
    with pytest.raises(SettingsError, match="evaluations"):
        read_evaluations([str(file)], SPACE, LOSS)


def test_packed_ones_tell_the_same_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has no such experiment, for any space and metric; what is equal has the same name."""
    accuracy = Metric("accuracy", Goal.MAXIMIZE)
    wide = SearchSpace({"x": Float(0.0, 2.0), "norm": Categorical(["batch", "layer"]), "epochs": 5})
    folder = store("earlier", "digits", SPACE, bowl)
    store("earlier", "letters", wide, bowl, metric=accuracy)
    here = read_evaluations(["earlier"], SPACE, LOSS)
    name, content = pack_evaluations("earlier")
    assert pack_evaluations("earlier") == (name, content)
    assert name.startswith("earlier-")
    assert b"st_" not in content
    alone, _ = pack_evaluations(str(folder.path))
    assert alone.startswith(f"{folder.name}-")

    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "elsewhere"))
    (tmp_path / name).write_bytes(content)
    there = read_evaluations([str(tmp_path / name)], SPACE, LOSS)
    assert (there.tasks, there.notices, there.digest) == (here.tasks, here.notices, here.digest)
    again, same = pack_evaluations(str(tmp_path / name))
    assert same == content
    assert again.endswith(name.rpartition("-")[2])


def test_packed_evaluations_that_are_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "packed.json"
    for text in ('{"experiments": [{"name": "a"}]}', '{"experiments": 3}', "{", '{"experiments": [3]}'):
        path.write_text(text)
        with pytest.raises(SettingsError, match="evaluations"):
            read_evaluations([str(path)], SPACE, LOSS)


def test_failed_and_diverged_trials_tell_nothing(store: Store) -> None:
    def value(config: Config) -> float:
        x = float(config["x"])
        if x > 0.8:
            raise RuntimeError("diverged")
        return math.nan if x < 0.2 else x

    store("earlier", "digits", SPACE, value, n=40)
    found = read_evaluations(["earlier"], SPACE, LOSS)
    assert 0 < found.n_evaluations < 40
    assert all(0.2 <= float(config["x"]) <= 0.8 for config in found.tasks[0].configs)


def test_another_space_is_mapped(store: Store) -> None:
    old = SearchSpace(
        {"x": Float(0.0, 2.0), "norm": Categorical(["batch", "layer"]), "width": Integer(1, 9), "epochs": 5}
    )
    store("earlier", "digits", old, linear("x"), n=40)
    new = SPACE.with_values({"epochs": 9})
    new = SearchSpace({**new, "decay": Float(0.0, 1.0, default=0.25)})
    found = read_evaluations(["earlier"], new, LOSS)
    assert 0 < found.n_evaluations < 40
    for config in found.tasks[0].configs:
        new.validate(config)
        assert config["norm"] == "batch"
        assert config["decay"] == 0.25
    assert [notice.partition(":")[0] for notice in found.notices] == [
        "left out, as outside of the domain",
        "not known, so the default is taken",
    ]


def test_nothing_in_common_is_an_error(store: Store) -> None:
    store("earlier", "digits", SearchSpace({"y": Float(0.0, 1.0)}), linear("y"))
    with pytest.raises(SettingsError, match="no trial there has a finite result within this search space"):
        read_evaluations(["earlier"], SPACE, LOSS)


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Float(0.0, 1.0, step=0.25), 0.3, 0.25),
        (Float(0.0, 1.0), 1.5, None),
        (Integer(2, 8, step=2), 5.9, 6),
        (Integer(2, 8), 9, None),
        (Ordinal([1, 2, 8], kind="nearest"), 6, 8),
        (Ordinal(["a", "b"]), "c", None),
        (FiniteRange(0.0, 1.0, 3), 0.4, 0.5),
        (FiniteRange(0.0, 1.0, 3), 2.0, None),
        (Categorical(["a", "b"]), "b", "b"),
        (Categorical([1, 2]), 1.5, None),
        (Float(0.0, 1.0), "high", None),
    ],
)
def test_values_between_legal_ones_move_and_others_are_left_out(
    domain: Any, value: Any, expected: Any
) -> None:
    assert nearest(domain, value) == expected


def test_what_moved_is_counted() -> None:
    mapping = SpaceMapping(SearchSpace({"x": Float(0.0, 1.0, step=0.25)}))
    assert mapping.map({"x": 0.3}) == {"x": 0.25}
    assert mapping.map({"x": 0.5}) == {"x": 0.5}
    assert mapping.map({"x": 3.0}) is None
    assert mapping.notices() == [
        "left out, as outside of the domain: x (1 trials)",
        "moved to the nearest legal value: x (1 trials)",
    ]


def test_another_metric_stands_for_ours_and_is_named(store: Store) -> None:
    accuracy = Metric("accuracy", Goal.MAXIMIZE)
    store("earlier", "digits", SPACE, bowl, metric=accuracy)
    found = read_evaluations(["earlier"], SPACE, LOSS)
    assert "digits tuned accuracy (max), which stands for loss" in found.notices
    best = found.tasks[0].best(1)[0]
    assert bowl(best) == max(map(bowl, found.tasks[0].configs))
    with pytest.raises(SettingsError, match="has accuracy with the goal max, here it is min"):
        read_evaluations(["earlier"], SPACE, Metric("accuracy"))


def test_sources_that_are_not_there_are_named(store: Store) -> None:
    store("earlier", "digits", SPACE, bowl)
    with pytest.raises(SettingsError, match=r"Unknown tag or experiment 'earlyer'. Did you mean 'earlier'"):
        read_evaluations(["earlyer"], SPACE, LOSS)
