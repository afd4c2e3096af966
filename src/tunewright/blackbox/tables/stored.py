"""The stored form of a table: a folder of JSON, Parquet and .npy files with checksums.

::

    {name}/
      table.json        title, licence and sources of the table, and per data set its files with their SHA-256
      {dataset}/
        dataset.json    space, metrics, levels, ... of the data set
        configs.parquet one column per hyperparameter, one row per configuration (or configs.npz)
        values.npy      float32, configurations x seeds x levels x metrics; memory-mapped when it is read

Nothing in it is ever executed: no pickles, also not inside of .npy files.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from tunewright.blackbox.tables.blackbox import Array, Description, Values
from tunewright.blackbox.tables.tabular import TabularBlackbox
from tunewright.exceptions import MissingExtraError, SpaceError, TableError
from tunewright.space import SearchSpace
from tunewright.storage import leads_elsewhere, replacing, safe_name, write_atomically
from tunewright.types import ConfigValue, Json

UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""Errors of NumPy for files without the expected arrays."""

Columns = Mapping[str, Sequence[ConfigValue]]
"""For each hyperparameter the values of all configurations."""


def pyarrow(module: str) -> Any:
    """A module of pyarrow.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError:
        raise MissingExtraError("tables", "Reading and writing of recorded tables") from None


def write_columns(path: Path, columns: Columns) -> None:
    """Write columns to a ``.parquet`` or ``.npz`` file."""
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
        np.savez_compressed(path, **arrays)
        return
    table = pyarrow("").table({name: list(values) for name, values in columns.items()})
    pyarrow("parquet").write_table(table, path, compression="zstd")


def read_columns(path: Path) -> dict[str, list[Any]]:
    """Read all columns of a file that `write_columns` wrote, or of any Parquet file, as plain Python values.

    Raises
    ------
    TableError
        The file cannot be read.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name].tolist() for name in arrays.files}
        with pyarrow("parquet").ParquetFile(path) as file:
            table = file.read()  # as ParquetFile and to_pylist: read_table and to_numpy would import pandas
    except UNREADABLE as error:
        raise TableError(f"Cannot read {path}: {error}") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


SCHEMA: Final = 1
"""Of the stored form."""
TABLE_FILE: Final = "table.json"
_DATASET_FILE: Final = "dataset.json"
_VALUES_FILE: Final = "values.npy"
_UNTRAINED_FILE: Final = "untrained.json"
"""Has no checksum: it says nothing about runs, and experiments on tables without it are resumed."""

FileSums = dict[str, str]
"""File name -> SHA-256 in hexadecimal digits."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """Content of ``table.json``."""

    name: str
    title: str
    version: int
    """Of the recipe that made it."""
    licence: str
    """Of the data, and who asks to be cited."""
    kind: str = "recorded"
    """``recorded``, or ``yahpo`` for the networks of YAHPO Gym."""
    sources: FileSums = field(default_factory=FileSums)
    """The files that it was made from."""
    datasets: dict[str, FileSums] = field(default_factory=dict[str, FileSums])
    """The files of each data set, their paths relative to the table's folder."""
    benchmarks: dict[str, dict[str, Json]] = field(default_factory=dict[str, dict[str, Json]])
    """Benchmark of each data set that was recorded from the user's experiments, as JSON data; empty for other tables."""

    def digest(self, dataset: str, reading: str = "") -> str:
        """A checksum of everything that a data set consists of.

        Parameters
        ----------
        dataset
            Name.
        reading
            Meaning that a reader gives to the files, if other versions gave another one to the same files.
        """
        text = json.dumps(self.datasets[dataset], sort_keys=True) + reading
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The checksum of a file.

    Raises
    ------
    TableError
        The file is missing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TableError(f"Cannot read {path}: {error.strerror}. Add the table again") from None


def read_info(folder: Path) -> TableInfo:
    """Read ``table.json``.

    Raises
    ------
    TableError
        It is missing, damaged, or of a form that this version does not read.
    """
    path = folder / TABLE_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        schema = data.pop("schema")
        if schema == SCHEMA:
            info = TableInfo(**data)
            _check_places(info.datasets)
            return info
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise TableError(f"Cannot read {path}: {error}. Add the table again") from None
    raise TableError(f"{path} has form {schema!r}, this version reads {SCHEMA}: add the table again")


def _check_places(datasets: Any) -> None:
    """Make sure that data sets name files below the table's folder.

    Raises
    ------
    ValueError
        They do not.
    """
    for dataset, sums in dict(datasets).items():
        for name in dict(sums):
            if leads_elsewhere(name):
                raise ValueError(f"the data set {dataset!r} has the file {name!r}, which lies elsewhere")


def write_info(folder: Path, info: TableInfo) -> None:
    """Write ``table.json``, whole or not at all."""
    content = {key: value for key, value in asdict(info).items() if key != "benchmarks" or value}
    text = json.dumps({"schema": SCHEMA, **content}, indent=1)
    write_atomically(folder / TABLE_FILE, text + "\n")


def check_files(folder: Path, sums: Mapping[str, str]) -> None:
    """Compare files with their checksums.

    Raises
    ------
    TableError
        One is missing or differs.
    """
    for name, expected in sums.items():
        if sha256(folder / name) != expected:
            raise TableError(
                f"{folder / name} has changed since it was made (its checksum differs): add the table again"
            )


def write_dataset(
    folder: Path, description: Description, columns: Columns, values: Array, *, suffix: str = ".parquet"
) -> FileSums:
    """Check and store one data set.

    Parameters
    ----------
    folder
        Of the table.
    description, columns, values
        As those of `TabularBlackbox`; the columns may hold text and NumPy scalars, they are cast by the space.
    suffix
        Of the columns' file: ``.parquet`` or ``.npz``.

    Returns
    -------
    FileSums
        For ``table.json``.

    Raises
    ------
    TableError, SpaceError
        As `TabularBlackbox`.
    """
    cast = cast_columns(description.space, columns)
    numbers = np.ascontiguousarray(values, dtype=np.float32)
    TabularBlackbox(description, cast, numbers)
    place = folder / safe_name(description.dataset, "name of a data set")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(place) as unfinished:
        unfinished.mkdir()
        configs_file = f"configs{suffix}"
        write_columns(unfinished / configs_file, cast)
        np.save(unfinished / _VALUES_FILE, numbers, allow_pickle=False)
        (unfinished / _DATASET_FILE).write_text(_describe(description), encoding="utf-8")
        if description.untrained:
            text = json.dumps(dict(description.untrained))
            (unfinished / _UNTRAINED_FILE).write_text(text + "\n", encoding="utf-8")
        files = [unfinished / name for name in (_DATASET_FILE, configs_file, _VALUES_FILE)]
        return {f"{place.name}/{file.name}": sha256(file) for file in files}


def read_dataset(folder: Path, info: TableInfo, dataset: str) -> TabularBlackbox:
    """Load one data set, its numbers memory-mapped.

    Raises
    ------
    TableError
        A file is missing or damaged.
    """
    sums = info.datasets[dataset]
    check_files(folder, sums)
    files = {Path(name).stem: folder / name for name in sums}
    try:
        data: dict[str, Any] = json.loads(files["dataset"].read_text(encoding="utf-8"))
        data["space"] = SearchSpace.from_json(data["space"])
        data["values"] = Values(data["values"])
        data["metrics"], data["levels"] = tuple(data["metrics"]), tuple(data["levels"])
        untrained = files["dataset"].with_name(_UNTRAINED_FILE)
        if untrained.exists():
            data["untrained"] = {
                name: float(value)
                for name, value in json.loads(untrained.read_text(encoding="utf-8")).items()
            }
        description = Description(**data, name=info.name, dataset=dataset, digest=info.digest(dataset))
        values = np.load(files["values"], mmap_mode="r", allow_pickle=False).view(np.ndarray)
        configs = files["configs"]
    except (*UNREADABLE, TypeError) as error:
        raise TableError(f"Cannot read {folder} ({dataset}): {error}. Add the table again") from None
    return TabularBlackbox(description, read_columns(configs), values)


def cast_columns(space: SearchSpace, columns: Columns) -> dict[str, list[Any]]:
    """The columns of the space's hyperparameters, with the values that the space gives them.

    Raises
    ------
    TableError
        A column is missing.
    SpaceError
        A value does not fit its domain; the message names the row.
    """
    cast: dict[str, list[Any]] = {}
    for name, domain in space.domains.items():
        if name not in columns:
            raise TableError(f"The table lacks the column {name!r} of its space")
        known: dict[object, Any] = {}
        cast[name] = []
        for row, value in enumerate(columns[name]):
            if value not in known:
                try:
                    known[value] = domain.cast(value)
                except SpaceError as error:
                    raise SpaceError(f"row {row}: {name}: {error}") from None
            cast[name].append(known[value])
    return cast


def _describe(description: Description) -> str:
    data: dict[str, Json] = {
        "space": description.space.to_json(),  # type: ignore[dict-item]
        "metrics": list(description.metrics),
        "elapsed": description.elapsed,
        "levels": list(description.levels),
        "resource": description.resource,
        "n_seeds": description.n_seeds,
        "values": str(description.values),
        "note": description.note,
    }
    if description.version > 1:
        data["version"] = description.version  # tables of version 1 keep their checksums
    return json.dumps(data, indent=1) + "\n"
