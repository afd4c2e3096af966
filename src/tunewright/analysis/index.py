"""The index of a tag: all its results in one file, so that looking again costs little.

The index is never the truth: an entry counts only while the journal that it was made from has the same size and time of
change. It lies in the tag's folder and may be removed at any time.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunewright.analysis.columns import Columns, Totals, concatenate
from tunewright.analysis.parsing import parse_journal
from tunewright.exceptions import JournalError
from tunewright.storage import ExperimentFolder, replacing
from tunewright.trial import ExperimentStatus

INDEX_FILE: Final = ".index.npz"
_SCHEMA: Final = 1
_METRIC: Final = "metric:"

Entry = tuple[Columns, Totals]


def read_results(folders: Sequence[ExperimentFolder]) -> list[Entry]:
    """The results of stored experiments, from their tags' indexes where these are up to date.

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
        with contextlib.suppress(OSError):  # a folder that may not be written to has no index
            _write_index(parent / INDEX_FILE, kept, old | marks)
    return {parent / name: entry for name, entry in entries.items()}


def _mark(folder: ExperimentFolder) -> str:
    try:
        stat = folder.journal_path.stat()
    except OSError as error:
        raise JournalError(f"{folder.journal_path} cannot be read: {error.strerror}") from None
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _write_index(path: Path, entries: Mapping[str, Entry], marks: Mapping[str, str]) -> None:
    columns = concatenate([columns for columns, _ in entries.values()])
    head = {
        "schema": _SCHEMA,
        "names": list(entries),
        "marks": [marks[name] for name in entries],
        "metrics": [list(columns.metrics) for columns, _ in entries.values()],
        "totals": [asdict(totals) for _, totals in entries.values()],
    }
    arrays: dict[str, Any] = {_METRIC + name: values for name, values in columns.metrics.items()}
    arrays |= {name: getattr(columns, name) for name in ("time", "trial", "resource", "decision")}
    arrays["sizes"] = np.array([columns.size for columns, _ in entries.values()], dtype=np.int64)
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)


def _read_index(path: Path) -> dict[str, tuple[str, Entry]]:
    """Name -> mark and entry; empty where there is no index that this version can read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays: dict[str, Any] = dict(stored)
        head = json.loads(arrays.pop("head").tobytes())
        if head["schema"] != _SCHEMA:
            return {}
        return _entries(head, arrays)
    except (OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, zipfile.BadZipFile):
        return {}


def _entries(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, tuple[str, Entry]]:
    metrics = {
        name.removeprefix(_METRIC): values for name, values in arrays.items() if name.startswith(_METRIC)
    }
    whole = Columns(
        time=arrays["time"],
        trial=arrays["trial"],
        resource=arrays["resource"],
        decision=arrays["decision"],
        metrics=metrics,
    )
    bounds = pairwise([0, *np.cumsum(arrays["sizes"]).tolist()])
    rows = zip(head["names"], head["marks"], head["metrics"], head["totals"], bounds, strict=True)
    entries: dict[str, tuple[str, Entry]] = {}
    for name, mark, own, totals, (begin, end) in rows:
        part = whole.between(begin, end)
        columns = Columns(
            time=part.time,
            trial=part.trial,
            resource=part.resource,
            decision=part.decision,
            metrics={metric: part.metrics[metric] for metric in own},
        )
        entries[name] = mark, (columns, replace(Totals(**totals), status=ExperimentStatus(totals["status"])))
    return entries
