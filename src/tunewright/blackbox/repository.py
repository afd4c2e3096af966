"""The repository of tables: those of the package, and those in ``$TUNEWRIGHT_HOME/tables``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.tables.blackbox import Blackbox
from tunewright.blackbox.tables.stored import TABLE_FILE, TableInfo, check_files, read_dataset, read_info
from tunewright.blackbox.tables.surrogate import SurrogateBlackbox
from tunewright.blackbox.tables.tabular import TabularBlackbox
from tunewright.blackbox.tables.yahpo import read_network
from tunewright.exceptions import TableError, UnknownNameError, nearest_hint
from tunewright.storage import home

SHIPPED: Final = Path(__file__).parent / "shipped"
"""Tables of the package; they need NumPy only."""
_KEPT: Final = 32  # cached data sets


def tables_home() -> Path:
    """Folder of added tables."""
    return home() / "tables"


def table_names() -> list[str]:
    """Names of all tables on this machine, those of the package included."""
    folders = [path.parent for root in (SHIPPED, tables_home()) for path in root.glob(f"*/{TABLE_FILE}")]
    return sorted({folder.name for folder in folders})


def table_folder(name: str) -> Path:
    """Folder of a table; an added one takes precedence over one of the package.

    Raises
    ------
    TableError
        The table is not on this machine; the message has the command to add it, or the nearest name.
    """
    for root in (tables_home(), SHIPPED):
        if "/" not in name and (root / name / TABLE_FILE).is_file():
            return root / name
    raise TableError(_how_to_get(name))


def table_info(name: str) -> TableInfo:
    """Content of a table's ``table.json``.

    Raises
    ------
    TableError
        The table is not on this machine, or damaged.
    """
    return read_info(table_folder(name))


def verify_table(name: str) -> None:
    """Compare all files of a table with their checksums.

    Raises
    ------
    TableError
        The table is not on this machine, or one of its files differs.
    """
    folder = table_folder(name)
    info = read_info(folder)
    for sums in info.datasets.values():
        check_files(folder, sums)


def get_blackbox(name: str, dataset: str | None = None, *, surrogate: str | None = None) -> Blackbox:
    """Open a data set of a table, once per process.

    Parameters
    ----------
    name, dataset
        Names; by default the only data set of the table.
    surrogate
        ``"nearest"``, ``"neighbours"`` or ``"forest"``: prediction of configurations that were not recorded. None:
        recorded configurations only. Networks predict all configurations anyway.

    Raises
    ------
    TableError
        The table is not on this machine (the message has the command to add it) or damaged.
    UnknownNameError
        The table does not have that data set.
    """
    folder = table_folder(name)
    stamp = (folder / TABLE_FILE).stat().st_mtime_ns
    return _open(folder, dataset, surrogate, stamp)


@lru_cache(maxsize=_KEPT)
def _open(folder: Path, dataset: str | None, surrogate: str | None, stamp: int) -> Blackbox:
    if surrogate is not None:
        table = _open(folder, dataset, None, stamp)
        return SurrogateBlackbox(table, surrogate) if isinstance(table, TabularBlackbox) else table
    info = read_info(folder)
    if dataset is None:
        if len(info.datasets) != 1:
            raise TableError(f"The table {info.name} holds several data sets: {', '.join(info.datasets)}")
        dataset = next(iter(info.datasets))
    if dataset not in info.datasets:
        raise UnknownNameError(f"data set of the table {info.name}", dataset, info.datasets)
    if info.kind == "yahpo":
        return read_network(folder, info, dataset)
    return read_dataset(folder, info, dataset)


def _how_to_get(name: str) -> str:
    recipe = RECIPES.get(name)
    if recipe is None:
        known = {*table_names(), *RECIPES}
        return f"There is no table {name!r}.{nearest_hint(name, known)} See: tunewright tables list"
    source = "" if recipe.fetches else " --from PATH"
    where = "" if recipe.fetches else f" (PATH: {recipe.wanted})"
    return f"The table {name!r} is not here yet. Get it with: tunewright tables add {name}{source}{where}"
