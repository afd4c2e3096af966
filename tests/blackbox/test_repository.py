"""Tables on disk: what is written comes back, what has changed is noticed, what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.blackbox import (
    Description,
    SurrogateBlackbox,
    TabularBlackbox,
    Values,
    get_blackbox,
    table_names,
)
from tunewright.blackbox.repository import SHIPPED, table_folder, table_info, tables_home, verify_table
from tunewright.blackbox.tables.stored import (
    TableInfo,
    read_columns,
    read_info,
    sha256,
    write_dataset,
    write_info,
)
from tunewright.exceptions import MissingExtraError, SpaceError, TableError, UnknownNameError

Describe = Callable[..., Description]
COLUMNS = {"lr": ["0.001", np.float64(0.001), 0.1], "kind": ["a", "b", "a"]}
"""Values that the space must cast."""
NUMBERS = np.arange(48.0).reshape(3, 2, 4, 2) + 1.0


@pytest.fixture(params=[".parquet", ".npz"])
def stored(make_description: Describe, request: pytest.FixtureRequest) -> Path:
    """The table ``small`` with the data sets ``d`` and ``e e``."""
    return store(make_description, request.param)


def store(make_description: Describe, suffix: str = ".npz") -> Path:
    folder = tables_home() / "small"
    folder.mkdir(parents=True, exist_ok=True)
    noted = {"note": "so it is", "values": Values.SURROGATE, "resource": "step"}
    datasets = {
        "d": write_dataset(folder, make_description(), COLUMNS, NUMBERS, suffix=suffix),
        "e e": write_dataset(
            folder, make_description(dataset="e e", **noted), COLUMNS, NUMBERS + 1, suffix=suffix
        ),
    }
    write_info(folder, TableInfo(name="small", title="t", version=1, licence="l", datasets=datasets))
    return folder


def test_what_was_stored_comes_back(stored: Path, make_description: Describe) -> None:
    table = get_blackbox("small", "d")
    assert isinstance(table, TabularBlackbox)
    assert list(table.configs) == [
        {"lr": 0.001, "kind": "a"},
        {"lr": 0.001, "kind": "b"},
        {"lr": 0.1, "kind": "a"},
    ]
    assert table.values.dtype == np.float32
    assert (table.values == NUMBERS).all()
    other = get_blackbox("small", "e e").description
    expected = make_description(
        dataset="e e", note="so it is", values=Values.SURROGATE, resource="step", digest=other.digest
    )
    assert other == expected
    assert len(other.digest) == 16
    assert other.digest != table.description.digest


def test_numbers_are_mapped_and_opened_once(stored: Path) -> None:
    table = get_blackbox("small", "d")
    assert isinstance(table, TabularBlackbox)
    assert isinstance(table.values.base, np.memmap)
    assert get_blackbox("small", "d") is table
    surrogate = get_blackbox("small", "d", surrogate="nearest")
    assert isinstance(surrogate, SurrogateBlackbox)
    assert get_blackbox("small", "d", surrogate="nearest") is surrogate


def test_a_table_that_is_made_again_is_read_again(make_description: Describe) -> None:
    store(make_description)
    before = get_blackbox("small", "d")
    store(make_description)
    assert get_blackbox("small", "d") is not before


def test_changed_and_missing_files_are_noticed(stored: Path) -> None:
    verify_table("small")
    with (stored / "d" / "values.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(TableError, match=r"values\.npy has changed .*checksum.* add the table again"):
        get_blackbox("small", "d")
    (stored / "e-e" / "dataset.json").unlink()
    with pytest.raises(TableError, match="has changed"):
        verify_table("small")
    with pytest.raises(TableError, match=r"Cannot read .*dataset\.json"):
        get_blackbox("small", "e e")


def test_pickled_numbers_are_not_read(stored: Path, make_description: Describe) -> None:
    np.save(stored / "d" / "values.npy", np.array([{}], dtype=object), allow_pickle=True)
    info = read_info(stored)
    (name,) = (name for name in info.datasets["d"] if name.endswith("values.npy"))
    info.datasets["d"][name] = sha256(stored / name)
    write_info(stored, info)
    with pytest.raises(TableError, match="Cannot read"):
        get_blackbox("small", "d")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "nonsense": 2}'])
def test_a_damaged_description_is_named(make_description: Describe, content: str) -> None:
    folder = store(make_description)
    (folder / "table.json").write_text(content)
    with pytest.raises(TableError, match=r"Cannot read .*table\.json"):
        get_blackbox("small", "d")


@pytest.mark.parametrize(
    "datasets",
    [None, 3, ["d"], {"d": ["d/values.npy"]}, {"d": {"../../secret": "0"}}, {"d": {"/etc/passwd": "0"}}],
)
def test_files_that_lie_elsewhere_are_never_read(make_description: Describe, datasets: object) -> None:
    path = store(make_description) / "table.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "datasets": datasets}))
    with pytest.raises(TableError, match=r"Cannot read .*table\.json"):
        verify_table("small")


def test_another_form_is_refused(make_description: Describe) -> None:
    folder = store(make_description)
    data = json.loads((folder / "table.json").read_text())
    (folder / "table.json").write_text(json.dumps({**data, "schema": 9}))
    with pytest.raises(TableError, match="has form 9, this version reads 1"):
        get_blackbox("small", "d")


def test_a_damaged_data_set_is_named(make_description: Describe) -> None:
    folder = store(make_description)
    path = folder / "d" / "dataset.json"
    path.write_text("{}")
    info = read_info(folder)
    info.datasets["d"]["d/dataset.json"] = sha256(path)
    write_info(folder, info)
    with pytest.raises(TableError, match=r"small \(d\)"):
        get_blackbox("small", "d")


def test_missing_tables_are_named_with_the_command(make_description: Describe) -> None:
    store(make_description)
    with pytest.raises(TableError, match=r"Get it with: tunewright tables add fcnet$"):
        get_blackbox("fcnet", "protein_structure")
    with pytest.raises(TableError, match=r"tunewright tables add pd1 --from PATH \(PATH: pd1\.tar\.gz"):
        get_blackbox("pd1")
    with pytest.raises(TableError, match=r"no table 'smal'\. Did you mean 'small'"):
        get_blackbox("smal")
    with pytest.raises(TableError, match="no table 'small/d'"):
        table_info("small/d")
    with pytest.raises(UnknownNameError, match=r"data set of the table small 'dd'\. Did you mean 'd'"):
        get_blackbox("small", "dd")
    with pytest.raises(TableError, match="several data sets: d, e e"):
        get_blackbox("small")


def test_values_that_do_not_fit_are_named_by_row(tmp_path: Path, make_description: Describe) -> None:
    with pytest.raises(SpaceError, match="row 2: kind: 'c' is not among"):
        write_dataset(tmp_path, make_description(), {**COLUMNS, "kind": ["a", "b", "c"]}, NUMBERS)
    with pytest.raises(TableError, match="lacks the column 'kind'"):
        write_dataset(tmp_path, make_description(), {"lr": COLUMNS["lr"]}, NUMBERS)
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_table_needs_numpy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    assert "digits" in table_names()
    assert table_folder("digits") == SHIPPED / "digits"
    verify_table("digits")
    table = get_blackbox("digits")
    assert table.levels == tuple(range(1, 28))
    assert table.n_seeds == 3
    assert table.description.values is Values.RECORDED
    assert isinstance(table, TabularBlackbox)
    assert 0.95 < table.values[..., -1, 0].max() <= 1.0
    assert sum(path.stat().st_size for path in (SHIPPED / "digits").rglob("*")) < 1_000_000
    with pytest.raises(MissingExtraError, match=r"\[tables\]'"):
        read_columns(Path("columns.parquet"))


def test_columns_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name in ("bad.npz", "bad.parquet"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(TableError, match=f"Cannot read .*{name}"):
            read_columns(tmp_path / name)
