"""``load``: stored experiments by tag, name or path."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tunewright.analysis.experiment_info import info_from
from tunewright.analysis.index import read_results
from tunewright.analysis.results import Results, Where
from tunewright.analysis.syne_tune import is_syne_tune, read_syne_tune
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.storage import (
    ExperimentFolder,
    experiments,
    find_experiment,
    home,
    order_of_making,
    safe_name,
)

Source: TypeAlias = str | Path | ExperimentFolder


def load(what: Source | Iterable[Source] | None = None, *, where: Where | None = None) -> Results:
    """Read stored experiments; nothing of theirs is changed.

    Parameters
    ----------
    what
        A tag, an experiment's name or a unique beginning of it, the path of a folder that is one or holds some (also of
        Syne Tune: ``metadata.json`` and ``results.csv.zip``), or several of these. None: all that are stored.
    where
        Only those whose metadata agree: values such as ``{"benchmark": "digits"}``, or a function.

    Returns
    -------
    Results
        In the order of their making.

    Raises
    ------
    UnknownNameError, SettingsError
        Nothing of that name is stored, or nothing agrees with ``where``.
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
    foreign: list[Any] = []
    own: list[tuple[ExperimentFolder, dict[str, Any]]] = []
    for folder in folders:
        # what has neither results nor a journal is not looked at: trials may keep a metadata.json
        if is_syne_tune(folder.path):
            foreign.append(read_syne_tune(folder.path, folder.metadata()))
        elif folder.journal_path.exists():
            own.append((folder, folder.metadata()))
    entries = read_results([folder for folder, _ in own])
    infos = [
        info_from(folder.path, metadata, totals)
        for (folder, metadata), (_, totals) in zip(own, entries, strict=True)
    ]
    pairs = [*zip(infos, (columns for columns, _ in entries), strict=True), *foreign]
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
    """Whether a stored tag was meant, also where a folder of that name lies here."""
    try:
        return safe_name(text, "experiment tag") in tags
    except SettingsError:
        return False  # a path, or nothing that could be a name
