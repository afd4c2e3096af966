"""YAHPO Gym's spaces with conditions, and its networks against a straight call of onnxruntime."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.blackbox import Description, Values, get_blackbox
from tunewright.blackbox.adding import add_table
from tunewright.blackbox.recipes import check_current
from tunewright.blackbox.repository import table_folder, table_info
from tunewright.blackbox.tables.stored import read_info, write_info
from tunewright.blackbox.tables.yahpo import read_hyperparameters
from tunewright.exceptions import MissingExtraError, SettingsError, TableError
from tunewright.experiments import Experiment, Limits, method, resume_experiment, run_experiment
from tunewright.space import Categorical, Float, Integer, Ordinal

SPACE: dict[str, Any] = {
    "hyperparameters": [
        {"name": "lr", "type": "uniform_float", "log": True, "lower": 0.01, "upper": 1.0, "default": 0.1},
        {"name": "n", "type": "uniform_int", "log": False, "lower": 1, "upper": 9, "default": 5},
        {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"], "default": "b"},
        {"name": "one", "type": "categorical", "choices": ["only"], "default": "only"},
        {"name": "size", "type": "ordinal", "sequence": ["s", "m"], "default": "s"},
        {"name": "fixed", "type": "constant", "value": 3},
    ],
    "conditions": [],
}


def test_spaces_are_read() -> None:
    space = read_hyperparameters(SPACE).space
    assert dict(space) == {
        "lr": Float(0.01, 1.0, log=True),
        "n": Integer(1, 9),
        "kind": Categorical(["a", "b", "c"], default="b"),
        "size": Ordinal(["s", "m"], default="s"),
    }


CONFIG = {"lr": 0.1, "n": 5, "kind": "a", "size": "s"}


CONDITIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({"child": "n", "parent": "kind", "type": "EQ", "value": "a"}, set()),
    ({"child": "n", "parent": "kind", "type": "EQ", "value": "b"}, {"n"}),
    ({"child": "n", "parent": "kind", "type": "NEQ", "value": "a"}, {"n"}),
    ({"child": "n", "parent": "kind", "type": "IN", "values": ["b", "c"]}, {"n"}),
    ({"child": "kind", "parent": "n", "type": "GT", "value": 5}, {"kind"}),
    ({"child": "kind", "parent": "n", "type": "LT", "value": 6}, set()),
    (
        {
            "child": "lr",
            "type": "OR",
            "components": [
                {"child": "lr", "parent": "kind", "type": "EQ", "value": "b"},
                {"child": "lr", "parent": "n", "type": "EQ", "value": 5},
            ],
        },
        set(),
    ),
    (
        {
            "child": "lr",
            "type": "AND",
            "components": [
                {"child": "lr", "parent": "kind", "type": "EQ", "value": "b"},
                {"child": "lr", "parent": "n", "type": "EQ", "value": 5},
            ],
        },
        {"lr"},
    ),
]


@pytest.mark.parametrize(("condition", "inactive"), CONDITIONS)
def test_conditions_switch_hyperparameters_off(condition: dict[str, Any], inactive: set[str]) -> None:
    active = read_hyperparameters({**SPACE, "conditions": [condition]}).active(CONFIG)
    assert set(active) == {*CONFIG, "one", "fixed"} - inactive


def test_what_depends_on_an_inactive_one_is_inactive() -> None:
    chain = [
        {"child": "lr", "parent": "size", "type": "EQ", "value": "s"},
        {"child": "size", "parent": "kind", "type": "EQ", "value": "b"},
    ]
    active = read_hyperparameters({**SPACE, "conditions": chain}).active(CONFIG)
    assert set(active) == {"n", "kind", "one", "fixed"}


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(TableError, match="unknown kind 'normal'"):
        read_hyperparameters({"hyperparameters": [{"name": "x", "type": "normal"}]})
    with pytest.raises(TableError, match="cannot be read"):
        read_hyperparameters({})


def test_the_network_answers_as_if_asked_directly(shared: Callable[[str], Path]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    folder = shared("yahpo")
    add_table("yahpo", str(folder))
    blackbox = get_blackbox("yahpo", "lcbench-167200")
    config = {
        "batch_size": 64,
        "learning_rate": 0.01,
        "momentum": 0.5,
        "weight_decay": 0.02,
        "num_layers": 3,
        "max_units": 200,
        "max_dropout": 0.3,
    }
    session = runtime.InferenceSession(
        str(folder / "lcbench" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    code = json.loads((folder / "lcbench" / "encoding.json").read_text())["OpenML_task_id"]["167200"]
    rows = np.array([[epoch, *config.values()] for epoch in range(1, 52)], dtype=np.float32)
    raw = session.run(None, {"x_cat": np.full((51, 1), code, np.int32), "x_cont": rows})[0]
    curve = blackbox.curve(config)
    assert blackbox.metrics[:2] == ("time", "val_accuracy")
    np.testing.assert_allclose(curve[:, 1:], raw[1:, 1:], rtol=1e-6)
    np.testing.assert_allclose(curve[:, 0], raw[1:, 0] - raw[0, 0], atol=0.5)
    assert (np.diff(curve[:, 0]) > 0).all()
    assert blackbox.description.values is Values.SURROGATE
    assert get_blackbox("yahpo", "lcbench-167200", surrogate="nearest") is blackbox
    assert sorted(blackbox.space.names) == sorted(config)


def test_shares_of_the_data_are_levels(shared: Callable[[str], Path]) -> None:
    pytest.importorskip("onnxruntime")
    add_table("yahpo", str(shared("yahpo/iaml_glmnet")))
    blackbox = get_blackbox("yahpo", "iaml_glmnet-40981")
    assert blackbox.levels == tuple(range(1, 21))
    assert blackbox.description.resource == "trainsize"
    assert blackbox.space.names == ("alpha", "s")
    report = blackbox.evaluate({"alpha": 0.5, "s": 0.3})
    assert 0.8 < report["f1"] < 1.0
    assert report["timetrain"] > 0.0


@pytest.fixture
def fake_runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a session in the place of onnxruntime's: output i of a row is its input ``column`` plus i, and its categories."""

    def install(n_outputs: int, column: int = -1) -> None:
        class Session:
            def __init__(self, path: str, options: object, providers: list[str]) -> None:
                self.path = path

            def get_inputs(self) -> list[SimpleNamespace]:
                return [SimpleNamespace(name="x_cat"), SimpleNamespace(name="x_cont")]

            def get_outputs(self) -> list[SimpleNamespace]:
                return [SimpleNamespace(shape=[None, n_outputs])]

            def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
                return [
                    inputs["x_cat"].sum(axis=1, keepdims=True) * 1000.0
                    + inputs["x_cont"][:, [column]]
                    + np.arange(n_outputs)
                ]

        module = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Session)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)

    return install


@pytest.fixture
def glmnet(tmp_path: Path) -> Path:
    """A scenario rbv2_glmnet whose network is empty."""
    folder = tmp_path / "rbv2_glmnet"
    folder.mkdir()
    float_of = {"type": "uniform_float", "log": False, "lower": 0.0, "upper": 1.0, "default": 0.5}
    space = [
        {**float_of, "name": "alpha"},
        {**float_of, "name": "s"},
        {**float_of, "name": "trainsize"},
        {"name": "task_id", "type": "categorical", "choices": ["3", "11"], "default": "3"},
        {"name": "repl", "type": "uniform_int", "log": False, "lower": 1, "upper": 10, "default": 10},
        {
            "name": "num.impute.selected.cpo",
            "type": "categorical",
            "choices": ["mean", "hist"],
            "default": "mean",
        },
    ]
    encoding = {
        "task_id": {"#na#": 0, "3": 1, "11": 2},
        "repl": {"#na#": 0, "10": 7},
        "num.impute.selected.cpo": {"#na#": 0, "mean": 1, "hist": 2},
    }
    (folder / "config_space.json").write_text(json.dumps({"hyperparameters": space, "conditions": []}))
    (folder / "encoding.json").write_text(json.dumps(encoding))
    (folder / "model.onnx").write_bytes(b"")
    return folder


def test_versions_of_a_network_are_told_by_their_outputs(
    glmnet: Path, fake_runtime: Callable[..., None]
) -> None:
    fake_runtime(7)
    add_table("yahpo", str(glmnet.parent))
    blackbox = get_blackbox("yahpo", "rbv2_glmnet-11")
    assert blackbox.metrics == ("acc", "bac", "auc", "brier", "logloss", "timetrain", "timepredict")
    assert set(blackbox.space.names) == {"alpha", "s", "num.impute.selected.cpo"}
    config = {"alpha": 0.5, "s": 0.5, "num.impute.selected.cpo": "hist"}
    assert blackbox.evaluate(config, 10)["acc"] == pytest.approx((2 + 2 + 7) * 1000 + 0.5)


def test_an_input_without_codes_is_the_last_number(glmnet: Path, fake_runtime: Callable[..., None]) -> None:
    """The files of 2023 and later have the repetition as a number."""
    encoding = json.loads((glmnet / "encoding.json").read_text())
    del encoding["repl"]
    (glmnet / "encoding.json").write_text(json.dumps(encoding))
    fake_runtime(9, column=-1)
    add_table("yahpo", str(glmnet))
    config = {"alpha": 0.5, "s": 0.25, "num.impute.selected.cpo": "hist"}
    assert get_blackbox("yahpo", "rbv2_glmnet-11").evaluate(config, 10)["acc"] == (2 + 2) * 1000 + 10


def test_an_unknown_version_is_refused(glmnet: Path, fake_runtime: Callable[..., None]) -> None:
    fake_runtime(5)
    add_table("yahpo", str(glmnet))
    with pytest.raises(TableError, match="has 5 outputs"):
        get_blackbox("yahpo", "rbv2_glmnet-3")


def test_values_that_the_network_does_not_know(glmnet: Path, fake_runtime: Callable[..., None]) -> None:
    fake_runtime(9)
    add_table("yahpo", str(glmnet))
    with pytest.raises(TableError, match=r"does not know num\.impute\.selected\.cpo='median'"):
        get_blackbox("yahpo", "rbv2_glmnet-3").curve(
            {"alpha": 0, "s": 0, "num.impute.selected.cpo": "median"}
        )


def test_onnxruntime_is_named_where_it_lacks(glmnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    add_table("yahpo", str(glmnet))
    with pytest.raises(MissingExtraError, match=r"\[yahpo\]'"):
        get_blackbox("yahpo", "rbv2_glmnet-3")


def test_folders_that_hold_no_scenario(glmnet: Path) -> None:
    (glmnet / "encoding.json").unlink()
    with pytest.raises(TableError, match=r"lacks encoding\.json"):
        add_table("yahpo", str(glmnet))
    glmnet.rename(glmnet.with_name("rbv9"))
    with pytest.raises(TableError, match="not the folder of a known scenario"):
        add_table("yahpo", str(glmnet.parent))


def test_a_scenario_without_instances_has_one(glmnet: Path, fake_runtime: Callable[..., None]) -> None:
    fake_runtime(2)
    names = [
        f"NetworkSelectorDatasetInfo_COLON_darts_COLON_{part}"
        for cell in ("normal", "reduce")
        for part in (
            *(f"edge_{cell}_{i}" for i in range(14)),
            *(f"inputs_node_{cell}_{i}" for i in (3, 4, 5)),
        )
    ]
    space: list[dict[str, Any]] = [
        {"name": n, "type": "categorical", "choices": ["a", "b"], "default": "a"} for n in names
    ]
    space.append(
        {"name": "epoch", "type": "uniform_int", "log": False, "lower": 1, "upper": 98, "default": 9}
    )
    condition = {"child": names[0], "parent": names[1], "type": "EQ", "value": "b"}
    (glmnet / "config_space.json").write_text(
        json.dumps({"hyperparameters": space, "conditions": [condition]})
    )
    (glmnet / "encoding.json").write_text(json.dumps({n: {"#na#": 0, "a": 1, "b": 2} for n in names}))
    glmnet.rename(glmnet.with_name("nb301"))
    add_table("yahpo", str(glmnet.parent))
    blackbox = get_blackbox("yahpo", "nb301-CIFAR10")
    assert blackbox.evaluate(dict.fromkeys(names, "a"), 98)["val_accuracy"] == 33 * 1000 + 98


LCBENCH_CONFIG = {
    "batch_size": 64,
    "learning_rate": 0.01,
    "momentum": 0.5,
    "weight_decay": 0.02,
    "num_layers": 3,
    "max_units": 200,
    "max_dropout": 0.3,
}


@pytest.fixture
def lcbench(tmp_path: Path, fake_runtime: Callable[..., None]) -> Path:
    """The scenario lcbench with a network whose output i is the epoch plus i, and the task's code times 1,000."""
    fake_runtime(6, column=0)
    folder = tmp_path / "lcbench"
    folder.mkdir()
    float_of = {"type": "uniform_float", "log": False, "lower": 0.0, "upper": 1000.0, "default": 0.5}
    space: list[dict[str, Any]] = [{**float_of, "name": name} for name in ("epoch", *LCBENCH_CONFIG)]
    space.append({"name": "OpenML_task_id", "type": "categorical", "choices": ["3945", "7"], "default": "7"})
    (folder / "config_space.json").write_text(json.dumps({"hyperparameters": space}))
    (folder / "encoding.json").write_text(json.dumps({"OpenML_task_id": {"3945": 1, "7": 2}}))
    (folder / "model.onnx").write_bytes(b"")
    return folder


def made_by_version_1(name: str) -> None:
    """Turn a stored table into one that version 0.1 made."""
    folder = table_folder(name)
    write_info(folder, replace(read_info(folder), version=1))


def test_the_point_before_training_is_no_level(lcbench: Path) -> None:
    add_table("yahpo", str(lcbench))
    blackbox = get_blackbox("yahpo", "lcbench-3945")
    curve = blackbox.curve(LCBENCH_CONFIG)
    assert blackbox.levels == tuple(range(1, 51))
    assert curve[[0, 49], blackbox.metric_index("val_accuracy")].tolist() == [1000 + 2 + 1, 1000 + 51 + 1]
    assert curve[[0, 1, 49], blackbox.elapsed_index].tolist() == [1.0, 2.0, 50.0]
    assert "before training is left out" in blackbox.description.note
    assert blackbox.description.untrained["val_accuracy"] == 1000 + 1 + 1
    assert blackbox.description.elapsed not in blackbox.description.untrained


def test_a_network_of_version_1_keeps_its_levels_and_its_digest(lcbench: Path) -> None:
    add_table("yahpo", str(lcbench))
    now = get_blackbox("yahpo", "lcbench-3945").description
    made_by_version_1("yahpo")
    blackbox = get_blackbox("yahpo", "lcbench-3945")
    curve = blackbox.curve(LCBENCH_CONFIG)
    assert curve[[0, 49], blackbox.metric_index("val_accuracy")].tolist() == [1000 + 1 + 1, 1000 + 50 + 1]
    assert curve[0, blackbox.elapsed_index] == 1000 + 1
    assert "level 1 is the network before training" in blackbox.description.note
    assert blackbox.description.digest == table_info("yahpo").digest("lcbench-3945") != now.digest


def test_a_network_without_such_a_point_keeps_its_digest(
    glmnet: Path, fake_runtime: Callable[..., None]
) -> None:
    fake_runtime(7)
    add_table("yahpo", str(glmnet))
    now = get_blackbox("yahpo", "rbv2_glmnet-3").description
    made_by_version_1("yahpo")
    assert get_blackbox("yahpo", "rbv2_glmnet-3").description.digest == now.digest
    check_current(get_blackbox("yahpo", "rbv2_glmnet-3").description)


def as_version_1(description: Description) -> None:
    """Let all tables pass."""
    del description


def test_new_experiments_need_the_levels_of_version_2_and_old_ones_go_on(lcbench: Path) -> None:
    experiment = Experiment(
        tag="levels",
        label="RS",
        benchmark=simulated_benchmark("yahpo-lcbench-3945"),
        method=method("RandomSearch"),
        backend=SimulatedConfig(profile="ideal"),
        limits=Limits(max_num_trials=2),
    )
    add_table("yahpo", str(lcbench))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunewright.experiments.run.check_current", as_version_1)
        made_by_version_1("yahpo")
        folder = run_experiment(experiment).folder
    with pytest.raises(TableError, match=r"before training.*tunewright tables add yahpo --from PATH"):
        run_experiment(experiment)
    longer = replace(experiment, limits=Limits(max_num_trials=3))
    assert len(resume_experiment(folder, longer).trials) == 3
    add_table("yahpo", str(lcbench))
    with pytest.raises(SettingsError, match="was changed or added again since the experiment began"):
        resume_experiment(folder, replace(experiment, limits=Limits(max_num_trials=4)))
    assert len(run_experiment(experiment).trials) == 2
