"""What an experiment tells those that come later: its trials with their newest results, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import read_journal
from tunewright.ledger import replay_history
from tunewright.metadata import read_metadata
from tunewright.metric import Metric
from tunewright.storage import ExperimentFolder
from tunewright.trial import TrialStatus
from tunewright.types import Config, Json


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PastExperiment:
    """An experiment as others learn from it: independent of the space and the metric that are searched then."""

    name: str
    benchmark: str
    metrics: tuple[Metric, ...]
    """What it tuned."""
    trials: tuple[tuple[Config, Mapping[str, float]], ...]
    """Of each trial that did not fail: its configuration, and the finite tuned values of its newest result."""

    def evaluations(self, metric: Metric) -> Iterator[tuple[Config, float]]:
        """Configurations and losses of the trials that have the metric."""
        for config, values in self.trials:
            loss = metric.loss_of(values)
            if math.isfinite(loss):
                yield config, loss

    def metric_for(self, metric: Metric) -> Metric:
        """Which of its metrics stands for the one that is tuned now: the same, else its first.

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
        """What :meth:`from_json` reads."""
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
    """What the journal of a stored experiment tells.

    Raises
    ------
    SettingsError
        Its metadata do not say what was tuned.
    JournalError
        The journal is damaged.
    """
    benchmark = read_metadata(folder).benchmark
    name, metrics = benchmark.name, benchmark.metrics
    history = replay_history(list(read_journal(folder.journal_path)))
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
