"""Reading evaluations from stored experiments, and packing them for another machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.storage import ExperimentFolder, experiments, find_experiment, safe_name
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.transfer.mapping import SpaceMapping
from tunewright.transfer.past import PastExperiment, read_past
from tunewright.types import Config

_PAST: Final = "experiments"
"""Key of a file that holds experiments as they were; one of evaluations of a space has ``tasks``."""


def read_evaluations(sources: Sequence[str], space: SearchSpace, metric: Metric) -> TransferEvaluations:
    """Evaluations from the journals of earlier experiments, mapped to a space.

    Experiments of one benchmark are one task. Each trial that did not fail counts with its newest finite result,
    whatever the earlier experiment called its resource.

    Parameters
    ----------
    sources
        Tags, names of experiments, folders of experiments, or JSON files: those of
        :meth:`TransferEvaluations.to_json`, or of :func:`pack_evaluations`.
    space
        What is searched now.
    metric
        What is tuned now. Where an earlier experiment did not report it, its own tuned metric counts.

    Raises
    ------
    SettingsError
        A source is not there, nothing in it can be used, or it holds the same metric with the opposite goal.
    JournalError
        A journal is damaged.
    """
    mapping = SpaceMapping(space)
    found: dict[str, list[tuple[Config, float]]] = {}
    notices: list[str] = []
    for source in dict.fromkeys(sources):
        known = _read(source)
        if isinstance(known, TransferEvaluations):
            for task in known.tasks:
                _add(found, task.name, zip(task.configs, task.losses, strict=True), mapping)
            continue
        for past in known:
            used = past.metric_for(metric)
            if used != metric:
                notices.append(
                    f"{past.benchmark} tuned {used.name} ({used.goal}), which stands for {metric.name}"
                )
            _add(found, past.benchmark, past.evaluations(used), mapping)
    tasks = tuple(
        Task(name=name, configs=tuple(c for c, _ in rows), losses=tuple(loss for _, loss in rows))
        for name, rows in sorted(found.items())
        if rows
    )
    lines = (*dict.fromkeys(notices), *mapping.notices())
    return TransferEvaluations(sources=tuple(dict.fromkeys(sources)), tasks=tasks, notices=lines)


def pack_evaluations(source: str) -> tuple[str, bytes]:
    """All that :func:`read_evaluations` needs of a source, for a machine that has no such experiments.

    Parameters
    ----------
    source
        As there.

    Returns
    -------
    (str, bytes)
        A file's name, which holds the source's and a checksum of the content, and its content: JSON.

    Raises
    ------
    SettingsError
        The source is not there.
    JournalError
        A journal is damaged.
    """
    known = _read(source)
    is_packed = isinstance(known, TransferEvaluations)
    data = known.to_json() if is_packed else {_PAST: [past.to_json() for past in known]}
    content = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    stem = safe_name(Path(source).name.removesuffix(".json"))
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.json", content


def _read(source: str) -> TransferEvaluations | list[PastExperiment]:
    """What a source holds: evaluations of a space, or experiments as they were."""
    path = Path(source).expanduser()
    if path.suffix != ".json" or not path.is_file():
        return [read_past(folder) for folder in _folders(source)]
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and _PAST in data:
            return [PastExperiment.from_json(one) for one in data[_PAST]]
        return TransferEvaluations.from_json(data)
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError(f"{path} holds no evaluations: {error}") from None


def _add(
    found: dict[str, list[tuple[Config, float]]],
    name: str,
    rows: Iterable[tuple[Config, float]],
    mapping: SpaceMapping,
) -> None:
    kept = found.setdefault(name, [])
    for config, loss in rows:
        mapped = mapping.map(config)
        if mapped is not None:
            kept.append((mapped, loss))


def _folders(source: str) -> list[ExperimentFolder]:
    """The experiments of a tag, or the one of a name, that have a journal."""
    try:
        folders = list(experiments(source))
    except SettingsError:
        folders = []
    try:
        folders = folders or [find_experiment(source)]
    except UnknownNameError:
        tags = sorted({folder.tag for folder in experiments()})
        raise UnknownNameError("tag or experiment", source, tags) from None
    with_journal = [folder for folder in folders if folder.journal_path.is_file()]
    if not with_journal:
        raise SettingsError(f"{source}: nothing was recorded there yet")
    return with_journal
