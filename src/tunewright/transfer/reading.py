"""Earlier experiments read from their journals."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, final

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.history import History
from tunewright.journal import read_events
from tunewright.metadata import read_metadata
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, experiments, find_experiment, safe_name
from tunewright.transfer.evaluations import SpaceMapping, Task, TransferEvaluations
from tunewright.trial import TrialStatus
from tunewright.types import Config, Json


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PastExperiment:
    """An experiment as others learn from it: independent of the space and the metric that are searched then."""

    name: str
    benchmark: str
    metrics: tuple[Metric, ...]
    """Tuned metrics."""
    trials: tuple[tuple[Config, Mapping[str, float]], ...]
    """Of each trial that did not fail: its configuration, and the finite tuned values of its newest result."""

    def evaluations(self, metric: Metric) -> Iterator[tuple[Config, float]]:
        """Configurations and losses of the trials that have the metric."""
        for config, values in self.trials:
            loss = metric.loss_of(values)
            if math.isfinite(loss):
                yield config, loss

    def metric_for(self, metric: Metric) -> Metric:
        """Return its metric that corresponds to the one that is tuned now: the same, else its first.

        Raises
        ------
        SettingsError
            It has that metric with the opposite goal.
        """
        for other in self.metrics:
            if other.name == metric.name and other.goal != metric.goal:
                raise SettingsError(
                    f"{self.name} has {metric.name} with the goal {other.goal}, here it is {metric.goal}: give the same goal"
                )
        return metric if metric in self.metrics else self.metrics[0]

    def to_json(self) -> dict[str, Json]:
        """Return the data that :meth:`from_json` reads."""
        metrics: Json = [to_json(metric) for metric in self.metrics]
        trials: Json = [{"config": dict(config), "values": dict(values)} for config, values in self.trials]
        return {"name": self.name, "benchmark": self.benchmark, "metrics": metrics, "trials": trials}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> PastExperiment:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        SettingsError
            The data are no experiment.
        """
        try:
            trials: Sequence[Mapping[str, Any]] = data["trials"]
            return PastExperiment(
                name=str(data["name"]),
                benchmark=str(data["benchmark"]),
                metrics=from_json(tuple[Metric, ...], data["metrics"], "metrics"),
                trials=tuple((dict(trial["config"]), dict(trial["values"])) for trial in trials),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"The stored evaluations cannot be read: {error!r}") from None


def read_past(folder: ExperimentFolder) -> PastExperiment:
    """Read the journal of a stored experiment.

    Raises
    ------
    SettingsError
        Its metadata do not have the tuned metric.
    JournalError
        The journal is damaged.
    """
    benchmark = read_metadata(folder).benchmark
    name, metrics = benchmark.name, benchmark.metrics
    history = replay_history(read_events(folder.journal_path))
    trials = tuple(_newest(history, [metric.name for metric in metrics]))
    return PastExperiment(name=folder.name, benchmark=name, metrics=metrics, trials=trials)


def _newest(history: History, names: Sequence[str]) -> Iterator[tuple[Config, Mapping[str, float]]]:
    for trial_id in range(history.n_trials):
        last = history.last(trial_id)
        if last is not None and history.status(trial_id) is not TrialStatus.FAILED:
            values = {name: last.metrics.get(name, math.nan) for name in names}
            yield (
                history.trial(trial_id).config,
                {name: value for name, value in values.items() if math.isfinite(value)},
            )


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
    """Return the content of a source: evaluations of a space, or whole experiments."""
    path = Path(source).expanduser()
    if path.suffix != ".json" or not path.is_file():
        return [read_past(folder) for folder in _folders(source)]
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and _PAST in data:
            past = cast("dict[str, list[Any]]", data)[_PAST]
            return [PastExperiment.from_json(one) for one in past]
        return TransferEvaluations.from_json(cast("Any", data))
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
