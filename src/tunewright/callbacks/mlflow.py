"""MLflow as a tracker: a run per experiment, and a child run per trial."""

from __future__ import annotations

import getpass
import importlib
import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from tunewright.callbacks.plugin import CallbackConfig, CallbackPlugin
from tunewright.callbacks.tracking import (
    TrackedExperiment,
    TrackedResult,
    TrackedTrial,
    Tracker,
    TrackerPlugin,
)
from tunewright.exceptions import MissingExtraError, SettingsError, TunewrightError
from tunewright.storage import home
from tunewright.trial import ExperimentStatus, TrialStatus

PREFIX: Final = "tunewright."
"""Beginning of the names of our tags."""
_MOST_METRICS: Final = 1000
_MOST_PARAMS: Final = 100  # in one request, as MLflow allows
_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 5000
_PAGE: Final = 1000
_ARN: Final = re.compile(r"arn:[\w-]+:sagemaker:[\w-]+:\d{12}:mlflow-(tracking-server|app)/[\w-]+")
_VARIABLES: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that does not answer is asked again later, by the export
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults of MLflow's environment variables."""
_PARENT: Final = "mlflow.parentRunId"
_NAME: Final = "mlflow.runName"
_KIND: Final = "mlflow.experimentKind"
"""Tag of an experiment that decides which pages are shown."""
_NOTE: Final = "mlflow.note.content"
_log = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowConfig(CallbackConfig):
    """Runs of MLflow."""

    callback_name: ClassVar[str] = "mlflow"

    tracking_uri: str = ""
    """Server, database, or ARN of an MLflow server of SageMaker (default: $MLFLOW_TRACKING_URI, else mlflow.db in $TUNEWRIGHT_HOME)."""
    experiment: str = ""
    """Name of MLflow's experiment (default: the tag)."""
    checkpoint: bool = True
    """Whether the checkpoint of the best trial is stored at the end, as an artefact of its run."""

    def __post_init__(self) -> None:
        """Check the address."""
        if self.tracking_uri.startswith("arn:") and not _ARN.fullmatch(self.tracking_uri):
            raise SettingsError(
                f"{self.tracking_uri} is not the ARN of an MLflow server, such as "
                "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/NAME"
            )

    @property
    def address(self) -> str:
        """The address of the server or database."""
        given = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        return given or f"sqlite:///{home() / 'mlflow.db'}"


@final
class MlflowPlugin(TrackerPlugin[MlflowConfig], CallbackPlugin[MlflowConfig]):
    """Runs in MLflow."""

    config = MlflowConfig
    extra: ClassVar[str] = "mlflow"

    @override
    def check(self, config: MlflowConfig) -> None:
        _load_mlflow()
        if config.address.startswith("arn:"):
            _import(
                "sagemaker_mlflow", "An MLflow server of SageMaker", " (and pip install sagemaker-mlflow)"
            )

    @override
    def open(self, config: MlflowConfig, experiment: TrackedExperiment) -> Tracker:
        return MlflowTracker(experiment, config)


PLUGIN: Final = MlflowPlugin()


def _load_mlflow() -> Any:
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    return _import("mlflow", "The tracker mlflow")


def _import(module: str, needed_for: str, note: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise MissingExtraError("mlflow", needed_for, note) from None


@final
@dataclass(slots=True)
class _Run:
    """A run in MLflow, with the part of its trial that it has."""

    id: str
    n_results: int
    state: str
    """Status of the run and of the trial, and the number of the trial's runs."""


@final
class MlflowTracker(Tracker):
    """Writes an experiment as a run whose children are the trials.

    A trial's run has the configuration as parameters, all reported values as metrics by resource, and as tags its status
    and error. The experiment's run has the best value so far, by the number of results, and the number of the best trial.

    Parameters
    ----------
    experiment
        The experiment.
    config
        Address, and name of MLflow's experiment.

    Raises
    ------
    SettingsError
        MLflow's experiment was deleted.
    """

    def __init__(self, experiment: TrackedExperiment, config: MlflowConfig) -> None:
        mlflow = _load_mlflow()
        self._entities: Any = importlib.import_module("mlflow.entities")
        self._experiment = experiment
        self._config = config
        mlflow.set_tracking_uri(config.address)  # the plugin of SageMaker reads the ARN from there
        self._client: Any = mlflow.MlflowClient(tracking_uri=config.address)
        self._name = config.experiment or experiment.folder.tag
        self._group = self._open_group()
        self._n_seen = 0
        self._best_loss = math.inf
        self._status = ""
        parent = f"tags.`{PREFIX}experiment` = '{experiment.name}'"
        found = next(self._search(parent), None)
        self._parent = self._create_parent() if found is None else found.info.run_id
        self._runs = {
            int(run.data.tags[f"{PREFIX}trial"]): _Run(
                run.info.run_id,
                int(run.data.tags.get(f"{PREFIX}n_results", 0)),
                " ".join(
                    (
                        run.info.status,
                        *(run.data.tags.get(f"{PREFIX}{name}", "") for name in ("status", "n_runs")),
                    )
                ),
            )
            for run in (() if found is None else self._search(f"tags.`{_PARENT}` = '{self._parent}'"))
            if f"{PREFIX}trial" in run.data.tags
        }

    @property
    @override
    def place(self) -> str:
        address = self._config.address
        return f"mlflow ui --backend-store-uri {address}" if address.startswith("sqlite:") else address

    # --- runs

    def _open_group(self) -> str:
        """The id of MLflow's experiment, which is made if it is missing."""
        found = self._client.get_experiment_by_name(self._name)
        if found is None:
            return self._client.create_experiment(
                self._name, artifact_location=self._artifacts(), tags={_KIND: "custom_model_development"}
            )
        if found.lifecycle_stage != "active":
            raise SettingsError(
                f"MLflow's experiment {self._name} was deleted: restore it, or give a name, --to mlflow:experiment=NAME"
            )
        return found.experiment_id

    def _artifacts(self) -> str | None:
        """Folder of artefacts beside a sqlite file; servers have one of their own."""
        file = self._config.address.removeprefix("sqlite:///")
        if file == self._config.address:
            return None
        folder = Path(file).absolute().parent
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "mlartifacts" / re.sub(r"\W+", "-", self._name)).as_uri()

    def _search(self, text: str) -> Iterator[Any]:
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs([self._group], text, max_results=_PAGE, page_token=token or None)
            yield from page
            token = page.token or None

    def _create_parent(self) -> str:
        experiment = self._experiment
        metadata = experiment.metadata
        run = self._client.create_run(
            self._group,
            start_time=_milliseconds(experiment.begin),
            run_name=experiment.name,
            tags={f"{PREFIX}experiment": experiment.name, "mlflow.user": _user()},
        )
        domains = {f"space.{name}": entry for name, entry in metadata.space.domains.items()}
        facts: dict[str, object] = {
            "method": metadata.label,
            "benchmark": metadata.benchmark.name,
            "seed": metadata.seed,
            "backend": metadata.backend_name,
            "max_resource": metadata.max_resource,
            "metrics": ", ".join(f"{metric.name} ({metric.goal})" for metric in experiment.metrics),
            **(
                {"constraints": ", ".join(map(str, experiment.constraints))} if experiment.constraints else {}
            ),
            **domains,
            **metadata.space.constants,
        }
        self._log(run.info.run_id, params={name: value for name, value in facts.items() if value is not None})
        return run.info.run_id

    @override
    def write_trial(self, trial: TrackedTrial) -> None:
        run = self._runs.get(trial.id)
        if run is None:
            run = self._runs[trial.id] = self._create(trial)
        status = self._status_of(trial)
        state = f"{status} {trial.status} {trial.n_runs}"
        if (run.n_results, run.state) == (len(trial.results), state):
            return
        tags: dict[str, object] = {
            f"{PREFIX}n_results": len(trial.results),
            f"{PREFIX}status": trial.status,
            f"{PREFIX}n_runs": trial.n_runs,
        }
        if trial.error:
            tags[f"{PREFIX}error"] = trial.error.strip()
        if trial.cost:
            tags[f"{PREFIX}cost"] = f"{trial.cost:.4f}"
        self._log(run.id, results=trial.results[run.n_results :], tags=tags)
        if trial.ended is None or status == "SCHEDULED":
            self._client.update_run(run.id, status=status)
        else:
            self._client.set_terminated(run.id, status, _milliseconds(trial.ended))
        run.n_results, run.state = len(trial.results), state

    def _create(self, trial: TrackedTrial) -> _Run:
        run = self._client.create_run(
            self._group,
            start_time=_milliseconds(trial.started),
            run_name=trial.name,
            tags={
                _PARENT: self._parent,
                f"{PREFIX}trial": str(trial.id),
                "mlflow.user": _user(),
            },
        )
        self._log(run.info.run_id, params=trial.config)
        return _Run(run.info.run_id, 0, "")

    def _status_of(self, trial: TrackedTrial) -> str:
        if trial.status is TrialStatus.RUNNING:
            return "RUNNING"
        if trial.status is TrialStatus.PAUSED and not self._experiment.is_over:
            return "SCHEDULED"
        return "FAILED" if trial.status is TrialStatus.FAILED else "FINISHED"

    @override
    def write_experiment(self) -> None:
        experiment = self._experiment
        self._follow_best()
        if not experiment.is_over:
            if self._status != "RUNNING":
                self._status = "RUNNING"
                self._client.update_run(self._parent, status="RUNNING")
            return
        tags: dict[str, object] = {f"{PREFIX}status": experiment.status}
        if note := experiment.folder.note:
            tags[_NOTE] = note
        best = experiment.best()
        if best is not None:
            trial, result = best
            tags |= {f"{PREFIX}best_trial": trial.name, f"{PREFIX}best_resource": result.resource}
            if self._config.checkpoint:
                self._store_checkpoint(trial)
        self._log(self._parent, tags=tags)
        status = _OUTCOMES.get(experiment.status, "FINISHED")
        self._client.set_terminated(self._parent, status, _milliseconds(experiment.time))
        self._status = status

    def _follow_best(self) -> None:
        """Log each new best value of the first metric, by the number of results."""
        experiment, metric = self._experiment, self._experiment.metrics[0]
        steps: list[Any] = []
        for _, result in experiment.results[self._n_seen :]:
            self._n_seen += 1
            loss = metric.loss_of(result.values)
            if loss < self._best_loss and all(
                bound.is_met(result.values) for bound in experiment.constraints
            ):
                self._best_loss = loss
                value = result.values[metric.name]
                steps.append(self._metric(f"best_{metric.name}", value, result.time, self._n_seen))
        for part in _parts(steps, _MOST_METRICS):
            self._client.log_batch(self._parent, metrics=part)

    def _store_checkpoint(self, trial: TrackedTrial) -> None:
        """Store the newest checkpoint of a trial as an artefact of its run, unless it is there."""
        checkpoint, run = trial.checkpoint, self._runs[trial.id].id
        if checkpoint is None or self._experiment.metadata.clock == "simulated":
            return
        tags = self._client.get_run(run).data.tags
        if tags.get(f"{PREFIX}checkpoint") == str(checkpoint.resource):
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "checkpoint"
            try:
                self._experiment.copy_checkpoint(checkpoint, copy)
            except (TunewrightError, OSError) as error:
                _log.warning("The checkpoint of the best trial is not stored in MLflow: %s", error)
                return
            self._client.log_artifacts(run, str(copy), "checkpoint")
        self._client.set_tag(run, f"{PREFIX}checkpoint", str(checkpoint.resource))

    # --- requests

    def _log(
        self,
        run: str,
        *,
        results: Sequence[TrackedResult] = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        """Log values of a run in as few requests as MLflow allows; tags come last."""
        metrics = [
            self._metric(name, value, result.time, result.resource)
            for result in results
            for name, value in result.values.items()
        ]
        for part in _parts(metrics, _MOST_METRICS):
            self._client.log_batch(run, metrics=part)
        pairs = [
            self._entities.Param(_key(name), str(value)[:_LONGEST_PARAM])
            for name, value in (params or {}).items()
        ]
        for part in _parts(pairs, _MOST_PARAMS):
            self._client.log_batch(run, params=part)
        if tags:
            made = [self._entities.RunTag(name, str(value)[:_LONGEST_TAG]) for name, value in tags.items()]
            self._client.log_batch(run, tags=made)

    def _metric(self, name: str, value: float, time: float, step: int) -> Any:
        return self._entities.Metric(_key(name), value, _milliseconds(time), step)


_OUTCOMES: Final = {ExperimentStatus.INTERRUPTED: "KILLED", ExperimentStatus.FAILED: "FAILED"}


def _parts(every: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Parts of a sequence that one request may have."""
    return (every[begin : begin + size] for begin in range(0, len(every), size))


def _milliseconds(time: float) -> int:
    return round(1000 * time)


def _key(name: str) -> str:
    """A name with the characters that MLflow allows."""
    return re.sub(r"[^/\w.\- :]", "_", name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of a container
        return "unknown"
