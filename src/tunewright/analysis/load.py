"""``load``: stored experiments by tag, name or path, with an index of the results of each tag.

The index is a cache in the tag's folder, which may be removed at any time: an entry is used only if its journal still has
the same size and modification time.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tunewright.analysis.columns import Columns, Totals, concatenate, parse_journal
from tunewright.analysis.results import Results, Where, info_from
from tunewright.analysis.syne_tune import is_syne_tune, read_syne_tune
from tunewright.codec import from_json, to_json
from tunewright.exceptions import JournalError, SettingsError, UnknownNameError
from tunewright.storage import (
    ExperimentFolder,
    experiments,
    find_experiment,
    home,
    order_of_making,
    replacing,
    safe_name,
)

Source: TypeAlias = str | Path | ExperimentFolder

INDEX_FILE: Final = ".index.npz"
_SCHEMA: Final = 1
_METRIC: Final = "metric:"
_COLUMNS: Final = ("time", "trial", "resource", "decision")

Entry = tuple[Columns, Totals]


def load(what: Source | Iterable[Source] | None = None, *, where: Where | None = None) -> Results:
    """Read stored experiments without changing them.

    Parameters
    ----------
    what
        A tag, the name of an experiment or a unique beginning of it, the path of an experiment or of a folder with
        experiments (also of Syne Tune: ``metadata.json`` and ``results.csv.zip``), or several of these. None: all stored
        experiments.
    where
        Condition on the metadata: required values such as ``{"benchmark": "digits"}``, or a predicate.

    Returns
    -------
    Results
        In order of creation.

    Raises
    ------
    UnknownNameError, SettingsError
        No stored experiment has that name, or none fulfils ``where``.
    JournalError
        A journal is damaged.
    """
    sources = [what] if isinstance(what, str | Path | ExperimentFolder) else what
    given = list(experiments()) if sources is None else [f for s in sources for f in _folders(s)]
    folders = sorted({folder.path: folder for folder in given}.values(), key=order_of_making)
    if not folders:
        raise SettingsError(
            f"No experiments are stored in {home()}: run some first, or set TUNEWRIGHT_HOME to where they are"
        )
    results = _read(folders)
    return results if where is None else results.where(where)


def _read(folders: Sequence[ExperimentFolder]) -> Results:
    # folders without results and journal are skipped: trials may keep a metadata.json
    own = [folder for folder in folders if folder.journal_path.exists()]
    foreign = [folder for folder in folders if is_syne_tune(folder.path)]  # they have no journal
    pairs = [
        (info_from(folder.path, folder.metadata(), totals), columns)
        for folder, (columns, totals) in zip(own, _read_results(own), strict=True)
    ]
    pairs += [read_syne_tune(folder.path, folder.metadata()) for folder in foreign]
    if not pairs:
        raise SettingsError("None of these experiments has begun: their folders hold no journal")
    return Results(tuple(info for info, _ in pairs), tuple(columns for _, columns in pairs))


def _folders(source: Source) -> Iterator[ExperimentFolder]:
    if isinstance(source, ExperimentFolder):
        yield source
        return
    path, text = Path(source).expanduser(), str(source)
    found = list(_below(path)) if path.is_dir() else []
    if found:
        yield from found
        return
    tags = {p.name for p in (home() / "experiments").glob("*") if p.is_dir()}
    if _is_tag(text, tags):
        yield from experiments(text)
        return
    if path.is_dir():
        raise SettingsError(f"{path} holds no experiment: none of the folders below it has a metadata.json")
    try:
        yield find_experiment(text)
    except UnknownNameError:
        raise UnknownNameError("tag or experiment", text, tags) from None


def _below(path: Path) -> Iterator[ExperimentFolder]:
    """The folder itself, or those below it, that hold an experiment."""
    if (path / "metadata.json").is_file():
        yield ExperimentFolder(path.resolve())
        return
    yield from (ExperimentFolder(file.parent.resolve()) for file in sorted(path.rglob("metadata.json")))


def _is_tag(text: str, tags: Collection[str]) -> bool:
    """Whether a text is a stored tag, even if a folder of that name exists here."""
    try:
        return safe_name(text, "experiment tag") in tags
    except SettingsError:
        return False  # a path, or not a valid name


def _read_results(folders: Sequence[ExperimentFolder]) -> list[Entry]:
    """Results of stored experiments, from the indexes of their tags if these are up to date.

    Raises
    ------
    JournalError
        A journal is missing or damaged.
    """
    found: dict[Path, Entry] = {}
    for parent in dict.fromkeys(folder.path.parent for folder in folders):
        found.update(_read_tag(parent, [folder for folder in folders if folder.path.parent == parent]))
    return [found[folder.path] for folder in folders]


def _read_tag(parent: Path, folders: Sequence[ExperimentFolder]) -> dict[Path, Entry]:
    known = _read_index(parent / INDEX_FILE)
    marks = {folder.name: _mark(folder) for folder in folders}
    entries: dict[str, Entry] = {}
    n_new = 0
    for folder in folders:
        mark, entry = known.get(folder.name, ("", None))
        if entry is None or mark != marks[folder.name]:
            entry = parse_journal(folder.journal_path)
            n_new += 1
        entries[folder.name] = entry
    if n_new:
        kept = {name: entry for name, (_, entry) in known.items() if (parent / name).is_dir()} | entries
        old = {name: known[name][0] for name in kept.keys() & known.keys()}
        with contextlib.suppress(OSError):  # a read-only folder has no index
            _write_index(parent / INDEX_FILE, kept, old | marks)
    return {parent / name: entry for name, entry in entries.items()}


def _mark(folder: ExperimentFolder) -> str:
    try:
        stat = folder.journal_path.stat()
    except OSError as error:
        raise JournalError(f"{folder.journal_path} cannot be read: {error.strerror}") from None
    return f"{stat.st_size}-{stat.st_mtime_ns}"


@final
class _IndexHead(Struct, frozen=True, kw_only=True):
    """Experiments of an index, in the order of their reports in its arrays."""

    schema: int
    names: list[str]
    marks: list[str]
    """State of each journal when it was read."""
    metrics: list[list[str]]
    """Metrics that each one reports."""
    totals: list[Totals]


def _write_index(path: Path, entries: Mapping[str, Entry], marks: Mapping[str, str]) -> None:
    columns = concatenate([columns for columns, _ in entries.values()])
    head = _IndexHead(
        schema=_SCHEMA,
        names=list(entries),
        marks=[marks[name] for name in entries],
        metrics=[list(columns.metrics) for columns, _ in entries.values()],
        totals=[totals for _, totals in entries.values()],
    )
    arrays: dict[str, NDArray[Any]] = {
        **{_METRIC + name: values for name, values in columns.metrics.items()},
        **{name: getattr(columns, name) for name in _COLUMNS},
        "sizes": np.array([columns.size for columns, _ in entries.values()], dtype=np.int64),
        "head": np.frombuffer(json.dumps(to_json(head)).encode(), dtype=np.uint8),
    }
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read_index(path: Path) -> dict[str, tuple[str, Entry]]:
    """Name -> mark and entry; empty without an index of this version."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays: dict[str, NDArray[Any]] = dict(stored)
        head = from_json(_IndexHead, json.loads(arrays.pop("head").tobytes()), "index")
        return _entries(head, arrays) if head.schema == _SCHEMA else {}
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        zipfile.BadZipFile,
        SettingsError,
    ):
        return {}


def _entries(head: _IndexHead, arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, Entry]]:
    metrics = {
        name.removeprefix(_METRIC): values for name, values in arrays.items() if name.startswith(_METRIC)
    }
    whole = Columns(**{name: arrays[name] for name in _COLUMNS}, metrics=metrics)
    bounds = pairwise([0, *np.cumsum(arrays["sizes"]).tolist()])
    rows = zip(head.names, head.marks, head.metrics, head.totals, bounds, strict=True)
    entries: dict[str, tuple[str, Entry]] = {}
    for name, mark, own, totals, (begin, end) in rows:
        part = whole.between(begin, end)
        entries[name] = (
            mark,
            (replace(part, metrics={metric: part.metrics[metric] for metric in own}), totals),
        )
    return entries
