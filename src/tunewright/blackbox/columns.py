"""Columns of hyperparameter values on disk: Parquet, or NumPy's own archive where pyarrow must not be needed."""

from __future__ import annotations

import importlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunewright.exceptions import MissingExtraError, TableError
from tunewright.types import ConfigValue

UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""What NumPy raises where a file does not hold the arrays that it should."""

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
