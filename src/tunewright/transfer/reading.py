"""Reading evaluations from stored experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.history import History
from tunewright.journal import read_journal
from tunewright.ledger import replay_history
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.storage import ExperimentFolder, experiments, find_experiment
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.transfer.mapping import SpaceMapping
from tunewright.trial import TrialStatus
from tunewright.types import Config


def read_evaluations(sources: Sequence[str], space: SearchSpace, metric: Metric) -> TransferEvaluations:
    """Evaluations from the journals of earlier experiments, mapped to a space.

    Experiments of one benchmark are one task. Each trial that did not fail counts with its newest finite result,
    whatever the earlier experiment called its resource.

    Parameters
    ----------
    sources
        Tags, names of experiments, folders of experiments, or JSON files of :meth:`TransferEvaluations.to_json`.
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
        stored = _stored_file(source)
        if stored is not None:
            for task in stored.tasks:
                _add(found, task.name, zip(task.configs, task.losses, strict=True), mapping)
            continue
        for folder in _folders(source):
            metadata = folder.metadata()
            name, used = _metric_of(metadata, metric, folder.name)
            if used != metric:
                notices.append(f"{name} tuned {used.name} ({used.goal}), which stands for {metric.name}")
            history = replay_history(list(read_journal(folder.journal_path)))
            _add(found, name, _newest(history, used), mapping)
    tasks = tuple(
        Task(name=name, configs=tuple(c for c, _ in rows), losses=tuple(loss for _, loss in rows))
        for name, rows in sorted(found.items())
        if rows
    )
    lines = (*dict.fromkeys(notices), *mapping.notices())
    return TransferEvaluations(sources=tuple(dict.fromkeys(sources)), tasks=tasks, notices=lines)


def _add(found: dict[str, list[tuple[Config, float]]], name: str, rows: Any, mapping: SpaceMapping) -> None:
    kept = found.setdefault(name, [])
    for config, loss in rows:
        mapped = mapping.map(config)
        if mapped is not None:
            kept.append((mapped, loss))


def _newest(history: History, metric: Metric) -> list[tuple[Config, float]]:
    rows: list[tuple[Config, float]] = []
    for trial_id in range(history.n_trials):
        last = history.last(trial_id)
        loss = math.inf if last is None else metric.loss_of(last.metrics)
        if math.isfinite(loss) and history.status(trial_id) is not TrialStatus.FAILED:
            rows.append((history.trial(trial_id).config, loss))
    return rows


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


def _stored_file(source: str) -> TransferEvaluations | None:
    path = Path(source).expanduser()
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        return TransferEvaluations.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} holds no evaluations: {error}") from None


def _metric_of(metadata: Mapping[str, Any], metric: Metric, experiment: str) -> tuple[str, Metric]:
    """The benchmark's name, and which of its metrics stands for ours."""
    try:
        benchmark = metadata["benchmark"]
        stored = [Metric(one["name"], one["goal"]) for one in benchmark["metrics"]]
        name = str(benchmark["name"])
    except (KeyError, TypeError):
        raise SettingsError(f"{experiment} was not written by this version of Tunewright") from None
    for other in stored:
        if other.name == metric.name and other.goal != metric.goal:
            raise SettingsError(
                f"{experiment} has {metric.name} with the goal {other.goal}, here it is {metric.goal}: give the same goal"
            )
    return name, metric if metric in stored else stored[0]
