"""Rank correlation of the first with the last level: its values, the warning at the import, and every recipe on real files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunewright.blackbox import Description, TabularBlackbox, from_function, get_blackbox
from tunewright.blackbox.adding import add_table
from tunewright.blackbox.fidelity import LEAST_CORRELATION, first_level_correlation
from tunewright.blackbox.recipes import RECIPES
from tunewright.space import Float, SearchSpace
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
N = 20


def table(first: np.ndarray, last: np.ndarray) -> TabularBlackbox:
    """Configurations with two levels and one metric."""
    seconds = np.broadcast_to([1.0, 2.0], (len(first), 2))
    values = np.stack([np.stack([first, last], axis=-1), seconds], axis=-1)
    description = Description(
        name="t", dataset="d", space=SPACE, metrics=("loss", "time"), elapsed="time", levels=(1, 9)
    )
    return TabularBlackbox(description, {"x": np.linspace(0, 1, len(first)).tolist()}, values[:, None])


def test_the_order_counts_and_not_the_values() -> None:
    ascending = np.arange(float(N))
    assert first_level_correlation(table(ascending, np.exp(ascending))) == {"loss": pytest.approx(1.0)}
    assert first_level_correlation(table(ascending, -(ascending**3))) == {"loss": pytest.approx(-1.0)}
    swapped = ascending.copy()
    swapped[[0, 1]] = 1.0, 0.0
    expected = 1 - 6 * 2 / (N * (N**2 - 1))  # of Spearman's formula without ties
    assert first_level_correlation(table(ascending, swapped)) == {"loss": pytest.approx(expected)}


def test_what_allows_no_statement_is_left_out() -> None:
    ascending = np.arange(float(N))
    assert first_level_correlation(table(ascending, np.zeros(N))) == {}
    assert first_level_correlation(table(ascending[:9], ascending[:9])) == {}
    assert first_level_correlation(table(np.zeros(N), ascending)) == {"loss": 0.0}
    diverged = np.where(ascending < 10, ascending, np.nan)
    assert first_level_correlation(table(ascending, diverged)) == {"loss": pytest.approx(1.0)}


def evaluate(config: Config, level: int, seed: int) -> dict[str, float]:
    """A loss whose order at level 9 is the reverse of that at level 1."""
    del seed
    return {"loss": (float(config["x"]) - 0.5) * (5 - level), "time": float(level)}


def test_configurations_of_a_function_are_drawn() -> None:
    described = table(np.arange(2.0), np.arange(2.0)).description
    assert first_level_correlation(from_function(described, evaluate)) == {"loss": pytest.approx(-1.0)}
    assert first_level_correlation(from_function(replace(described, levels=(9,)), evaluate)) == {}


def taskset(path: Path, first: np.ndarray) -> str:
    """A task whose losses after the first step are ``first``; at the end they are 0, 1, 2, ..."""
    runs = [
        {
            "hp": dict.fromkeys(("beta1", "beta2"), 0.9)
            | {"learning_rate": 1e-8 * 2**row, "epsilon": 1e-8, "l1": 1e-3, "l2": 1e-3}
            | {"linear_decay": 1e-5, "exponential_decay": 1e-4},
            **{split: {"loss": [3.0, value, float(row)]} for split in ("train", "valid", "test")},
        }
        for row, value in enumerate(first.tolist())
    ]
    path.write_text(json.dumps(runs))
    return str(path)


def declare(description: Description) -> str:
    """A recipe's reason."""
    return f"{description.dataset} is so"


def test_the_import_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    untrained = np.random.default_rng(0).permutation(N).astype(float)
    with caplog.at_level(logging.WARNING):
        add_table("taskset", taskset(tmp_path / "good.json", np.arange(float(N))))
        assert not caplog.records
        add_table("taskset", taskset(tmp_path / "bad.json", -untrained))
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("taskset/bad: the order of configurations at epoch 1 says little about epoch 2")
    assert "valid_loss" in message
    caplog.clear()
    declared = replace(RECIPES["taskset"], uninformative=declare)
    monkeypatch.setitem(RECIPES, "taskset", declared)  # type: ignore[arg-type]
    add_table("taskset", taskset(tmp_path / "bad.json", -untrained))
    assert not caplog.records


def lcbench_rows(source: Path, folder: Path) -> Path:
    """Two tasks and 500 configurations of the arrays."""
    with np.load(source, allow_pickle=False) as data:
        rows = {name: data[name][:2, :500] for name in ("val_accuracy", "time")}
        path = folder / source.name
        np.savez(path, hp=data["hp"][:500], hp_names=data["hp_names"], task_ids=data["task_ids"][:2], **rows)
    return path


def nasbench201_rows(source: Path, folder: Path) -> Path:
    """1,000 of the architectures."""
    pq = pytest.importorskip("pyarrow.parquet")
    rows = np.random.default_rng(0).choice(15_625, 1000, replace=False)
    pq.write_table(pq.ParquetFile(source).read().take(rows), folder / source.name)
    return folder / source.name


def whole(source: Path, folder: Path) -> Path:
    """All of it."""
    del folder
    return source


SOURCES: dict[str, tuple[str, Callable[[Path, Path], Path]]] = {
    "lcbench": ("lcbench_surrogate.npz", lcbench_rows),
    "lemur": ("lemur50.parquet", whole),
    "nasbench201": ("nb201_two_fidelity.parquet", nasbench201_rows),
    "taskset": ("taskset.npz", whole),
    "yahpo": ("yahpo/lcbench", whole),
}
"""Recipe -> its file of real data, and the part of it that is enough."""
ONE_LEVEL = {"fcnet", "hpob", "icml-deepar", "icml-xgboost", "tabrepo"}
NOT_HERE = {"pd1"}
"""Recipes of data that are not beside the checkout; the import compares their levels."""


def test_every_recipe_is_tried() -> None:
    assert set(RECIPES) == set(SOURCES) | ONE_LEVEL | NOT_HERE


@pytest.mark.parametrize("name", SOURCES)
def test_the_first_level_of_every_recipe_is_informative(
    shared: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    file, part = SOURCES[name]
    pytest.importorskip("pyarrow" if name != "yahpo" else "onnxruntime")
    datasets = list(add_table(name, str(part(shared(file), tmp_path))).datasets)
    for dataset in datasets[:1] if name == "yahpo" else datasets:
        blackbox = get_blackbox(name, dataset)
        found = first_level_correlation(blackbox)
        assert found
        assert RECIPES[name].uninformative(blackbox.description) or min(found.values()) > LEAST_CORRELATION


def test_the_first_level_of_the_shipped_table_is_informative() -> None:
    found = first_level_correlation(get_blackbox("digits"))
    assert set(found) == {"accuracy", "loss"}
    assert min(found.values()) > LEAST_CORRELATION
