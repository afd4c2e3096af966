"""Outcome: a stored experiment, read from its folder, also while it runs."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from tunewright.asktell import Best, ParetoResult
from tunewright.callbacks.account import read_account
from tunewright.callbacks.notebook import in_notebook
from tunewright.codec import to_json
from tunewright.events import RequestEvent, StartEvent
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.experiments.remote_marker import live_marker
from tunewright.formatting import number, plural
from tunewright.history import History, Incumbent, ranked_trials
from tunewright.journal import is_locked, last_outcome, read_events
from tunewright.metadata import ExperimentMetadata, read_metadata
from tunewright.methods import MethodSpec, constraints_of, method_names
from tunewright.metric import Constraint, Goal, Metric
from tunewright.plugins import VIEWS, load_plugin
from tunewright.replicates import error_key
from tunewright.schedulers.objectives import pareto_results
from tunewright.space import SearchSpace
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, Result, Trial, TrialStatus
from tunewright.types import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from tunewright.analysis.importance import Importance
    from tunewright.analysis.single import WorkerTime

_ENDED = (TrialStatus.COMPLETED, TrialStatus.STOPPED, TrialStatus.PAUSED, TrialStatus.FAILED)


_SHOWN: Final = 5
"""Trials on the card of a notebook."""


class CellDashboard(Protocol):
    """A running dashboard; a notebook shows it as the value of a cell."""

    @property
    def url(self) -> str:
        """Address of the page; behind a proxy without the name of its host."""
        ...

    def stop(self) -> None:
        """End the server; the experiment goes on."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outcome:
    """State and results of a stored experiment; a notebook shows it as a card."""

    folder: ExperimentFolder
    metadata: ExperimentMetadata
    status: ExperimentStatus
    history: History
    wallclock_time: float
    """Seconds on the experiment's clock."""
    suggest_time: float
    """Seconds of the method's decisions."""
    requests: tuple[RequestEvent, ...] = ()
    """Requests from outside that the tuner has taken, and the actions."""
    summary: Mapping[str, Any]
    """Jobs, calls, seconds and cost of the backend; empty before they are written."""

    def __repr__(self) -> str:
        """Name, status, trials and best result, in one line."""
        best = self.best
        reached = (
            "no result"
            if best is None
            else f"best {self.metric.name}={number(best.value)} ({self.metric.goal})"
        )
        n_trials = plural(self.history.n_trials, "trial")
        return f"<Outcome {self.folder.name}: {self.status}, {n_trials}, {reached}>"

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction] - notebooks call it
        """The card of a notebook: the best configuration, and the trials that come after it."""
        best, metric = self.best, self.metric
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items() if n) or "no trials yet"
        parts = [f"<b>{escape(self.folder.name)}</b>: {self.status}, {counts}"]
        if best is not None:
            place = f"trial {best.trial_id}, {escape(self.resource)} {best.resource}"
            goal = "maximised" if metric.goal is Goal.MAXIMIZE else "minimised"
            parts.append(f"best {escape(metric.name)} ({goal}): <b>{number(best.value)}</b> ({place})")
        heads = ("trial", "status", self.resource, metric.name, *self.space.names)
        rows = [
            (
                trial_id,
                self.history.status(trial_id),
                result.resource,
                number(result.metrics[metric.name]),
                *(self.history.trial(trial_id).config.get(name, "") for name in self.space.names),
            )
            for trial_id, result in self.ranked()[:_SHOWN]
        ]
        lines = [("th", heads), *(("td", row) for row in rows)] if rows else []
        table = "".join(
            "<tr>"
            + "".join(
                f"<{tag}>{escape(f'{cell:.5g}' if isinstance(cell, float) else str(cell))}</{tag}>"
                for cell in row
            )
            + "</tr>"
            for tag, row in lines
        )
        return "<br>".join(parts) + (f"<table>{table}</table>" if table else "")

    def ranked(self) -> list[tuple[int, Result]]:
        """Trials with a result that is finite and meets the constraints, each with its best one; the best trial first."""
        return ranked_trials(self.history, self.metric, self.constraints)

    def trials_dataframe(self) -> DataFrame:
        """All trials as a pandas DataFrame, one row each, in the order of their numbers.

        Columns: ``trial_id``, ``status``, ``resource`` and the metrics of the trial's best result (that of its last one, if
        it has no valid one), then the configuration (``config_NAME`` if a name is taken).

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        best = dict(self.ranked())
        rows: list[dict[str, Any]] = []
        for trial in self.trials:
            result = best.get(trial.id) or self.history.last(trial.id)
            row: dict[str, Any] = {
                "trial_id": trial.id,
                "status": str(self.history.status(trial.id)),
                "resource": None if result is None else result.resource,
                **{m.name: None if result is None else result.metrics.get(m.name) for m in self.metrics},
            }
            for name, value in trial.config.items():
                row[f"config_{name}" if name in row else name] = value
            rows.append(row)
        frame: DataFrame = _analysis("extras").need("pandas", "A data frame").DataFrame(rows)
        return frame

    def results_dataframe(self) -> DataFrame:
        """All reports as a pandas DataFrame, one row each, in the order of their arrival.

        Columns: ``trial_id``, ``resource``, ``time`` (seconds on the experiment's clock), ``decision`` and every reported metric.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        frame: Any = _analysis("load").load(self.folder).frame()
        results: DataFrame = frame.drop(columns=["experiment", "tag", "method", "benchmark", "seed"])
        return results

    def plot_history(self) -> Figure:
        """The best value of each trial by its number, and the best one so far, as a matplotlib figure."""
        return self._plot("plot_history")

    def plot_learning_curves(self) -> Figure:
        """The metric over the resource, a line per trial, as a matplotlib figure."""
        return self._plot("plot_learning_curves")

    def plot_slices(self) -> Figure:
        """The best value of each trial over each hyperparameter, as a matplotlib figure."""
        return self._plot("plot_slices")

    def plot_importance(self) -> Figure:
        """The importance of each hyperparameter, as a matplotlib figure; it needs ten trials with results."""
        run = self._run()
        return _shown(_analysis("figures").plot_importance(_analysis("importance").importance(run), run))

    def plot_parallel(self) -> Figure:
        """Parallel coordinates of all configurations, as a matplotlib figure."""
        return self._plot("plot_parallel")

    def plot_workers(self) -> Figure:
        """What each worker did when, as a matplotlib figure."""
        return self._plot("plot_workers")

    def plot_pareto(self) -> Figure:
        """The results in the plane of the first two metrics, as a matplotlib figure."""
        return self._plot("plot_pareto")

    def importance(self) -> Importance:
        """Return how much each hyperparameter matters (`tunewright.analysis.importance.importance`).

        Raises
        ------
        SettingsError
            There are fewer than ten trials with results.
        MissingExtraError
            scikit-learn is not installed.
        """
        found: Importance = _analysis("importance").importance(self._run())
        return found

    def worker_time(self) -> WorkerTime:
        """Return the use of the workers: shares of their time, and durations of starts.

        Raises
        ------
        SettingsError
            There are no results.
        """
        found: WorkerTime = _analysis("single").worker_time(self._run())
        return found

    def dashboard(
        self, *, control: bool = False, base_path: str | None = None, height: int = 760
    ) -> CellDashboard:
        """Show the experiment live in the cell of a notebook, as the value of the cell.

        Parameters
        ----------
        control
            Whether the page can stop and pause trials, change limits and add configurations.
        base_path
            Path at which a proxy offers ports of this machine, such as ``"/user/me/proxy/{port}"``; None: that of JupyterHub
            or SageMaker Studio, if the notebook is there.
        height
            Height in pixels.

        Raises
        ------
        MissingExtraError
            The extra ``dashboard`` is not installed.
        SettingsError
            The experiment is not stored in ``$TUNEWRIGHT_HOME``.
        """
        try:
            view = load_plugin(VIEWS, "notebook", type)
        except SettingsError as error:
            if isinstance(error.__cause__, ModuleNotFoundError):
                raise MissingExtraError("dashboard", "The dashboard") from None
            raise
        found: CellDashboard = view(self.folder, control=control, base_path=base_path, height=height)
        return found

    def _plot(self, name: str) -> Figure:
        return _shown(getattr(_analysis("figures"), name)(self._run()))

    def _run(self) -> Any:
        return _analysis("one_run").one_run(self.folder)

    @property
    def metric(self) -> Metric:
        """The tuned metric; the first of several."""
        return self.metadata.metrics[0]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All tuned metrics."""
        return self.metadata.metrics

    @property
    def pareto(self) -> list[ParetoResult]:
        """Non-dominated results among those that meet the constraints, ordered by the first metric."""
        return [
            ParetoResult(
                trial_id=trial_id,
                values={metric.name: result.metrics[metric.name] for metric in self.metrics},
                resource=result.resource,
                config=self.history.trial(trial_id).config,
            )
            for trial_id, result in pareto_results(self.history, self.metrics, self.constraints)
        ]

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints on the best result: of the method, if it is installed here, and that it has all replicates."""
        replicates = self.metadata.benchmark.replicates
        return (*self._bounds_of_method(), *([] if replicates is None else [replicates.constraint]))

    def _bounds_of_method(self) -> tuple[Constraint, ...]:
        stored = self.metadata.method
        if not isinstance(stored, Mapping) or stored.get("name") not in method_names():
            return ()  # a function of the user, or a method of a package that is not installed
        return constraints_of(MethodSpec.from_json(stored), self.metadata.settings)

    @property
    def resource(self) -> str:
        """Unit of the resource."""
        return self.metadata.resource

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.metadata.space

    @property
    def best(self) -> Best | None:
        """The best result that meets the constraints; None if there is none yet."""
        incumbent = Incumbent(self.metric, self.constraints)
        incumbent.update(self.history)
        if incumbent.trial_id is None or incumbent.result is None:
            return None
        return Best(
            trial_id=incumbent.trial_id,
            value=incumbent.value,
            resource=incumbent.result.resource,
            config=self.history.trial(incumbent.trial_id).config,
            standard_error=incumbent.result.metrics.get(error_key(self.metric.name))
            if self.metadata.benchmark.replicates
            else None,
        )

    @property
    def best_value(self) -> float | None:
        """The best result's value of the (first) metric; None if there is none yet."""
        best = self.best
        return None if best is None else best.value

    @property
    def best_config(self) -> Config | None:
        """The configuration of the best result; None if there is none yet."""
        best = self.best
        return None if best is None else best.config

    @property
    def best_params(self) -> Config | None:
        """`best_config` by the name that Optuna's studies have."""
        return self.best_config

    @property
    def is_running(self) -> bool:
        """Whether a process works on it, on this machine or in a tuning job."""
        return self.status.is_running

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by status; trials that the last session left running count as stopped."""
        counts = {str(status): len(self.history.ids(status)) for status in _ENDED}
        n_running = len(self.history.ids(TrialStatus.RUNNING))
        if self.is_running:
            return counts | {"running": n_running}
        return counts | {"stopped": counts["stopped"] + n_running}

    @property
    def path(self) -> Path:
        """The experiment's folder."""
        return self.folder.path

    @property
    def trials(self) -> list[Trial]:
        """All trials; ``history.results(trial.id)`` has the results of each."""
        return [self.history.trial(trial_id) for trial_id in range(self.history.n_trials)]

    def to_json(self) -> dict[str, Any]:
        """Return the data of ``tunewright show --format json``."""
        best = self.best
        data: dict[str, Any] = {
            "experiment": self.folder.name,
            "status": str(self.status),
            "benchmark": self.metadata.benchmark.name,
            "method": self.metadata.label,
            "seed": self.metadata.seed,
            "metric": self.metric.name,
            "goal": str(self.metric.goal),
            "best": None
            if best is None
            else {
                "trial_id": best.trial_id,
                "value": best.value,
                "resource": best.resource,
                "config": dict(best.config),
                **({} if best.standard_error is None else {"standard_error": best.standard_error}),
            },
            "trials": {str(status): self.counts[str(status)] for status in _ENDED},
            "num_results": self.history.n_results,
            "wallclock_time": self.wallclock_time,
            "suggest_time": self.suggest_time,
        }
        if self.requests:
            data["requests"] = [
                {
                    "action": event.action,
                    "trial_id": event.trial_id,
                    "arguments": dict(event.arguments),
                    "done": event.done,
                    "reason": event.reason,
                    "time": event.t,
                }
                for event in self.requests
            ]
        if self.metadata.origin:
            data["origin"] = self.metadata.origin
        if self.constraints:
            data["constraints"] = [str(constraint) for constraint in self.constraints]
        if len(self.metrics) > 1:
            data["metrics"] = [to_json(metric) for metric in self.metrics]
            data["pareto"] = [
                {
                    "trial_id": point.trial_id,
                    "values": dict(point.values),
                    "resource": point.resource,
                    "config": dict(point.config),
                }
                for point in self.pareto
            ]
        if self.summary.get("calls") or self.summary.get("job_records"):
            data[self.metadata.backend_name] = self._service()
        return data

    def _service(self) -> dict[str, Any]:
        keys = ("jobs", "warm_starts", "calls", "billable_seconds", "pool_idle_seconds")
        keys += ("spot_saved_seconds", "interruptions", "cost")
        numbers = {key: self.summary.get(key, {} if key == "calls" else 0) for key in keys}
        phases = {"cost_phases": self.summary.get("cost_phases", {})}
        return {**numbers, **phases, "job_records": self.summary.get("job_records", [])}


def _analysis(name: str) -> Any:
    """A module of the package that draws, loaded late: it takes longer to import than everything that runs experiments.

    Raises
    ------
    MissingExtraError
        Its packages are not installed.
    """
    return importlib.import_module(f"tunewright.analysis.{name}")


def _shown(figure: Figure) -> Figure:
    """The figure; a notebook draws it where it is the value of a cell."""
    if in_notebook():
        tools = importlib.import_module("IPython.core.pylabtools")
        tools.select_figure_formats(sys.modules["IPython"].get_ipython(), {"retina"})
    return figure


def load_outcome(folder: ExperimentFolder) -> Outcome:
    """Read a stored experiment, also while it runs. Nothing is changed.

    Raises
    ------
    SettingsError
        The folder is not of an experiment.
    JournalError
        The journal is damaged.
    """
    metadata = read_metadata(folder)
    status = stored_status(folder)
    events = list(read_events(folder.journal_path)) if folder.journal_path.exists() else []
    return Outcome(
        folder=folder,
        metadata=metadata,
        status=status,
        history=replay_history(events),
        wallclock_time=max((event.t for event in events), default=0.0),
        suggest_time=math.fsum(e.suggest_time or 0.0 for e in events if isinstance(e, StartEvent)),
        requests=tuple(event for event in events if isinstance(event, RequestEvent)),
        summary=read_account(folder.account_path),
    )


def stored_status(folder: ExperimentFolder) -> ExperimentStatus:
    """Return the status of a stored experiment, from its lock, the last line of its journal, and its remote marker.

    Raises
    ------
    JournalError
        The journal cannot be read.
    """
    if is_locked(folder.journal_path):
        return ExperimentStatus.RUNNING
    status = last_outcome(folder.journal_path)
    if status is ExperimentStatus.INTERRUPTED and live_marker(folder.path):
        return ExperimentStatus.RUNNING_ELSEWHERE
    return status
