"""Weights & Biases as a tracker: a run per trial, grouped by experiment; offline as well."""

from __future__ import annotations

import importlib
import json
import shutil
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, final

from typing_extensions import override

from tunewright.callbacks.plugin import CallbackConfig, CallbackPlugin
from tunewright.callbacks.tracking import TrackedExperiment, TrackedTrial, Tracker, TrackerPlugin
from tunewright.exceptions import MissingExtraError
from tunewright.storage import write_atomically
from tunewright.trial import TrialStatus

FOLDER: Final = "wandb"
"""Folder of an experiment in which W&B keeps its files."""
_INDEX: Final = "tunewright.json"
"""File in that folder: what of each trial is in W&B, by project."""
_MOST_OPEN: Final = 256


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WandbConfig(CallbackConfig):
    """Runs of Weights & Biases."""

    callback_name: ClassVar[str] = "wandb"

    project: str = ""
    """Name of the project (default: the tag)."""
    entity: str = ""
    """User or team (default: the user's)."""
    mode: Literal["", "online", "offline"] = ""
    """online or offline (default: $WANDB_MODE, else online)."""


@final
class WandbPlugin(TrackerPlugin[WandbConfig], CallbackPlugin[WandbConfig]):
    """Runs in Weights & Biases."""

    config = WandbConfig
    extra: ClassVar[str] = "wandb"

    @override
    def check(self, config: WandbConfig) -> None:
        _load_wandb()

    @override
    def open(self, config: WandbConfig, experiment: TrackedExperiment) -> Tracker:
        return WandbTracker(experiment, config)


PLUGIN: Final = WandbPlugin()


def _load_wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        raise MissingExtraError("wandb", "The tracker wandb") from None


@final
class WandbTracker(Tracker):
    """Writes each trial as a run whose steps are resources.

    Online, a run that was written in part is continued. Offline, its files are replaced by new ones: W&B cannot continue
    them, and identifies a run by its id when it uploads them.

    Parameters
    ----------
    experiment
        The experiment.
    config
        Project and mode.
    """

    def __init__(self, experiment: TrackedExperiment, config: WandbConfig) -> None:
        self._wandb = _load_wandb()
        self._experiment = experiment
        self._config = config
        self._project = config.project or experiment.folder.tag
        mode = config.mode or self._wandb.setup().settings.mode
        self._is_offline = mode == "offline"
        self._folder = experiment.folder.path / FOLDER
        self._folder.mkdir(exist_ok=True)
        self._key = f"{mode}/{config.entity}/{self._project}"
        self._index = self._read_index()
        self._open: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        """Of trials that run: the run, and the number of results that it has."""
        self._address = ""

    @property
    @override
    def place(self) -> str:
        if self._is_offline:
            return f"wandb sync {self._folder}/offline-run-*"
        return self._address or "https://wandb.ai"

    @override
    def write_trial(self, trial: TrackedTrial) -> None:
        mark = [len(trial.results), str(trial.status), trial.n_runs]
        if self._index.get(str(trial.id)) == mark:
            return
        run, n_results = self._open.pop(trial.id, None) or (self._begin(trial), 0)
        for result in trial.results[n_results:]:
            if result.resource >= run.starting_step:
                values = {**result.values, "experiment_time": result.time - self._experiment.begin}
                run.log(values, step=result.resource)
        if trial.status is TrialStatus.RUNNING:
            self._open[trial.id] = run, len(trial.results)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1][0].finish()
            return
        self._finish(run, trial)
        self._index[str(trial.id)] = mark
        self._write_index()

    @override
    def write_experiment(self) -> None:
        """Nothing: the group of the runs stands for the experiment."""

    @override
    def close(self) -> None:
        """End the runs; those of trials that are not at their end are continued, or written anew."""
        for run, _ in self._open.values():
            run.finish()
        self._open.clear()

    def _begin(self, trial: TrackedTrial) -> Any:
        experiment, metadata = self._experiment, self._experiment.metadata
        name = f"{experiment.name}-{trial.id}"
        if self._is_offline:
            for old in self._folder.glob(f"offline-run-*-{name}"):
                shutil.rmtree(old)
        run = self._wandb.init(
            project=self._project,
            entity=self._config.entity or None,
            group=experiment.name,
            job_type="trial",
            name=trial.name,
            id=name,
            config=dict(trial.config),
            tags=[metadata.label, metadata.benchmark.name],
            dir=str(experiment.folder.path),
            mode="offline" if self._is_offline else "online",
            resume=None if self._is_offline else "allow",
            reinit="create_new",
            settings=self._wandb.Settings(console="off", silent=True, disable_git=True, x_disable_stats=True),
        )
        for metric in experiment.metrics:
            run.define_metric(metric.name, summary=f"{metric.goal},last")
        if not self._is_offline:
            self._address = run.project_url or self._address
        return run

    def _finish(self, run: Any, trial: TrackedTrial) -> None:
        run.summary["status"] = str(trial.status)
        if trial.cost:
            run.summary["cost"] = trial.cost
        if trial.error:
            run.summary["error"] = trial.error.strip()
        run.finish(exit_code=1 if trial.status is TrialStatus.FAILED else 0)

    def _read_index(self) -> dict[str, Any]:
        try:
            return json.loads((self._folder / _INDEX).read_text(encoding="utf-8"))[self._key]
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def _write_index(self) -> None:
        try:
            every = json.loads((self._folder / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            every = {}
        write_atomically(self._folder / _INDEX, json.dumps({**every, self._key: self._index}))
