"""Documents about experiments: the rows of the list, and an experiment in full.

They are made of the metadata, the journal's `ExperimentFeed`, the account of the backend and the files beside them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, cast, final

from msgspec import Struct

from tunewright.advice import NextStep
from tunewright.callbacks.account import read_account
from tunewright.dashboard.feed import ExperimentFeed, MetricBest, Number
from tunewright.exceptions import TunewrightError
from tunewright.experiments.outcome import stored_status
from tunewright.experiments.remote_marker import read_marker
from tunewright.formatting import arguments_text, duration, plural
from tunewright.metadata import ExperimentMetadata
from tunewright.space import Domain
from tunewright.space.domain import condition_to_json
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus
from tunewright.types import ConfigValue

_LEAST_SHARE: Final = 0.02
"""Part of an experiment before which nothing is said of the time to go."""
_PACES: Final = ("max_wallclock_time", "max_num_trials", "max_num_evaluations", "max_cost")
"""Limits of which the nearest one decides about the progress."""


class Row(TypedDict):
    """An experiment in the list."""

    id: str
    """``TAG/NAME``."""
    tag: str
    name: str
    status: str
    """running, completed, stopped, interrupted or failed."""
    method: str
    benchmark: str
    seed: int
    metric: str
    goal: str
    best: float | None
    best_trial: int | None
    progress: float | None
    """Part that is done, 0 to 1; None without a limit."""
    progress_text: str
    cost: float
    eta: float | None
    """Seconds to go at the present pace."""
    created: str
    updated: float
    """Seconds since 1970 of the last journal line; of the metadata before the first one."""
    n_trials: int
    n_running: int
    n_failed: int
    n_results: int
    clock: str
    note: str


class ExperimentList(TypedDict):
    """All experiments, or those that changed."""

    revision: str
    control: bool
    experiments: list[Row]
    removed: list[str]
    """Ids of experiments that are not there any more."""
    is_whole: bool
    """Whether all experiments were read; the stream sends the others as they are."""


class Limit(TypedDict):
    """A limit of an experiment, and how far it is used."""

    name: str
    value: float
    used: float


class Axis(TypedDict):
    """A hyperparameter or constant."""

    name: str
    type: str
    """float, int, choice, ordinal or constant."""
    low: float | None
    high: float | None
    log: bool
    values: list[ConfigValue] | None
    default: ConfigValue | None
    when: str | None
    """Condition under which it is active."""


class Best(TypedDict):
    """The best configuration, in the forms that are copied."""

    trial_id: int
    resource: int | None
    values: Mapping[str, Number | None]
    config: Mapping[str, ConfigValue]
    arguments: str
    json: str
    python: str


class Cost(TypedDict):
    """Dollars."""

    total: float
    per_hour: float | None
    prices: str


class DecisionTime(TypedDict):
    """Seconds of the method's decisions."""

    mean: float
    max: float


class Step(TypedDict):
    """A piece of advice."""

    text: str
    command: str


def steps_of(advice: Sequence[NextStep]) -> list[Step]:
    """Advice as documents have it."""
    return [{"text": step.text, "command": step.command} for step in advice]


class MetricText(TypedDict):
    """A tuned metric."""

    name: str
    goal: str


class Experiment(TypedDict):
    """An experiment in full; the fields of `Row` and more. ``best`` is an object here."""

    id: str
    tag: str
    name: str
    status: str
    method: str
    benchmark: str
    seed: int
    metric: str
    goal: str
    best: Best | None
    best_trial: int | None
    progress: float | None
    progress_text: str
    cost: Cost | None
    eta: float | None
    created: str
    updated: float
    n_trials: int
    n_running: int
    n_failed: int
    n_results: int
    clock: str
    note: str
    metrics: list[MetricText]
    resource: str
    max_resource: int | None
    rungs: list[int]
    space: list[Axis]
    limits: list[Limit]
    n_workers: int
    backend: str
    command: str
    folder: str
    constraints: list[str]
    versions: Mapping[str, str]
    surrogate: str
    bests: list[MetricBest]
    """Of each tuned metric that has a value."""
    decision_time: DecisionTime | None
    next_steps: list[Step]
    warnings: list[str]
    is_frozen: bool
    control: bool


@final
class Stored(Struct, frozen=True, kw_only=True):
    """The small files of an experiment's folder, as they were read together."""

    folder: ExperimentFolder
    metadata: ExperimentMetadata
    status: ExperimentStatus
    note: str


def read_stored(folder: ExperimentFolder, metadata: ExperimentMetadata) -> Stored:
    """Read status and note of an experiment.

    Raises
    ------
    JournalError
        The journal cannot be read.
    """
    return Stored(folder=folder, metadata=metadata, status=stored_status(folder), note=folder.note)


def new_feed(folder: ExperimentFolder, metadata: ExperimentMetadata) -> ExperimentFeed:
    """The feed of an experiment's journal, of which nothing is read yet."""
    n_workers = metadata.benchmark.n_workers or 0
    return ExperimentFeed(folder.journal_path, metadata.metrics, metadata.bounds, n_workers)


def experiment_row(stored: Stored, feed: ExperimentFeed) -> Row:
    """The row of an experiment."""
    metadata, totals, best = stored.metadata, feed.totals, feed.best
    limits = used_limits(stored, feed)
    share = _share(limits, _n_training(feed))
    is_running = stored.status.is_running
    to_go = None
    if is_running and share is not None and _LEAST_SHARE <= share < 1.0:
        to_go = feed.time * (1.0 - share) / share
    return {
        "id": f"{stored.folder.tag}/{stored.folder.name}",
        "tag": stored.folder.tag,
        "name": stored.folder.name,
        "status": str(ExperimentStatus.RUNNING if is_running else stored.status),
        "method": metadata.label,
        "benchmark": metadata.benchmark.name,
        "seed": metadata.seed,
        "metric": metadata.metrics[0].name,
        "goal": str(metadata.metrics[0].goal),
        "best": None if best is None else best["value"],
        "best_trial": None if best is None else best["trial_id"],
        "progress": _progress(stored.status, share),
        "progress_text": _progress_text(limits, totals["n_trials"], totals["n_results"]),
        "cost": totals["cost"],
        "eta": to_go,
        "created": metadata.created,
        "updated": feed.wall or _created(metadata),
        "n_trials": totals["n_trials"],
        "n_running": totals["n_running"] if is_running else 0,
        "n_failed": totals["n_failed"],
        "n_results": totals["n_results"],
        "clock": metadata.clock or "wall",
        "note": stored.note or feed.note,
    }


def experiment_document(
    stored: Stored,
    feed: ExperimentFeed,
    *,
    next_steps: Sequence[Step] = (),
    warnings: Sequence[str] = (),
    control: bool = False,
    is_frozen: bool = False,
) -> Experiment:
    """The document of an experiment.

    Parameters
    ----------
    stored, feed
        The experiment.
    next_steps
        Advice after its end, which takes longer to find.
    warnings
        Further warnings.
    control
        Whether requests are taken.
    is_frozen
        Whether the page is a file.
    """
    metadata, folder = stored.metadata, stored.folder
    table = metadata.table
    surrogate = (table.note or "surrogate values") if table and table.values == "surrogate" else ""
    times = feed.decision_times
    return {
        **experiment_row(stored, feed),
        "best": _best(metadata, feed),
        "cost": _cost(stored, feed),
        "metrics": [{"name": metric.name, "goal": str(metric.goal)} for metric in metadata.metrics],
        "resource": metadata.resource,
        "max_resource": metadata.max_resource,
        "rungs": feed.rungs,
        "space": _axes(metadata),
        "limits": used_limits(stored, feed),
        "n_workers": metadata.benchmark.n_workers or 1,
        "backend": metadata.backend_name,
        "command": f"tunewright {_command(stored.status)} {folder.name}",
        "folder": str(folder.path),
        "constraints": list(metadata.constraints),
        "versions": metadata.versions,
        "surrogate": surrogate,
        "bests": feed.bests,
        "decision_time": {"mean": math.fsum(times) / len(times), "max": max(times)} if times else None,
        "next_steps": list(next_steps),
        "warnings": [*_warnings(stored, feed), *warnings],
        "is_frozen": is_frozen,
        "control": control and not is_frozen,
    }


def _command(status: ExperimentStatus) -> str:
    """The next command of an experiment: one that runs cannot be resumed."""
    return "show" if status.is_finished or status.is_running else "resume"


def used_limits(stored: Stored, feed: ExperimentFeed) -> list[Limit]:
    """The limits of an experiment, and how far they are used, as its stopping criterion counts: trials from their start on."""
    totals, limits = feed.totals, stored.metadata.limits
    used: Mapping[str, tuple[float | None, float]] = {
        "max_wallclock_time": (limits.max_wallclock_time, _now(stored, feed)),
        "max_num_trials": (limits.max_num_trials, totals["n_trials"] - feed.n_known_trials),
        "max_num_evaluations": (
            limits.max_num_evaluations,
            totals["n_results"] - feed.n_known_results,
        ),
        "max_cost": (limits.max_cost, totals["cost"]),
    }
    return [
        {"name": name, "value": value, "used": amount}
        for name, (value, amount) in used.items()
        if value is not None
    ]


def _now(stored: Stored, feed: ExperimentFeed) -> float:
    """Time on the experiment's clock; of a running experiment on the wall clock it goes on between journal lines."""
    if stored.status is not ExperimentStatus.RUNNING or stored.metadata.clock == "simulated" or not feed.wall:
        return feed.time
    return feed.time + max(0.0, time.time() - feed.wall)


def _n_training(feed: ExperimentFeed) -> int:
    """Trials that run, without those whose results are known."""
    return feed.totals["n_running"] - feed.n_running_known


def _share(limits: Sequence[Limit], n_training: int) -> float | None:
    """Part of an experiment that is done; trials that run are not."""
    shares = [
        min(1.0, (limit["used"] - n_training * (limit["name"] == "max_num_trials")) / limit["value"])
        for limit in limits
        if limit["value"] and limit["name"] in _PACES
    ]
    return max(shares, default=None)


def _progress(status: ExperimentStatus, share: float | None) -> float | None:
    """Part that is done; an experiment that was stopped keeps the part that it reached."""
    if status is ExperimentStatus.COMPLETED or (share is None and status.is_finished):
        return 1.0
    return share


def _progress_text(limits: Sequence[Limit], n_trials: int, n_results: int) -> str:
    """Such as ``12:05 of 30:00, 31 trials, 240 results``."""
    spent = next((limit for limit in limits if limit["name"] == "max_wallclock_time"), None)
    begin = [f"{duration(spent['used'])} of {duration(spent['value'])}"] if spent else []
    most = next((limit for limit in limits if limit["name"] == "max_num_trials"), None)
    trials = (
        f"{int(most['used']):,} of {plural(int(most['value']), 'trial')}"
        if most
        else plural(n_trials, "trial")
    )
    return ", ".join([*begin, trials, plural(n_results, "result")])


def _created(metadata: ExperimentMetadata) -> float:
    try:
        return datetime.fromisoformat(metadata.created).timestamp()
    except ValueError:
        return 0.0


def _best(metadata: ExperimentMetadata, feed: ExperimentFeed) -> Best | None:
    found = feed.best
    if found is None:
        return None
    trial = feed.trials[found["trial_id"]]
    config = dict(trial.config)
    curve = feed.curves([trial.id])[str(trial.id)]
    place = curve["resource"].index(trial.best_resource) if trial.best_resource in curve["resource"] else -1
    return {
        "trial_id": trial.id,
        "resource": trial.best_resource,
        "values": {name: values[place] for name, values in curve["values"].items()},
        "config": config,
        "arguments": arguments_text(config, metadata.benchmark.argument_style),
        "json": json.dumps(config, indent=2, ensure_ascii=False),
        "python": f"config = {config!r}",
    }


def _cost(stored: Stored, feed: ExperimentFeed) -> Cost | None:
    account = read_account(stored.folder.account_path)
    total = max(feed.totals["cost"], float(account.get("cost", 0.0)))
    if not total:
        return None
    hours = feed.time / 3600.0
    return {
        "total": total,
        "per_hour": total / hours if hours else None,
        "prices": str(account.get("prices", "")),
    }


def _warnings(stored: Stored, feed: ExperimentFeed) -> list[str]:
    found = [feed.problem] if feed.problem else []
    if stored.status is ExperimentStatus.RUNNING_ELSEWHERE and (marker := read_marker(stored.folder.path)):
        found.append(f"The experiment runs {marker.text()}")
    if not stored.metadata.has_space:
        found.append("The metadata hold no search space: views of hyperparameters are empty")
    return found


def _axes(metadata: ExperimentMetadata) -> list[Axis]:
    try:
        space = metadata.space
    except TunewrightError:
        return []
    return [_axis(name, entry) for name, entry in space.items()]


def _axis(name: str, entry: Domain | ConfigValue) -> Axis:
    if not isinstance(entry, Domain):
        return _plain_axis(name, "constant", values=[entry])
    spec = cast("Mapping[str, Any]", entry.to_json())
    kind = str(spec["type"])
    when = _condition_text(entry)
    if kind in {"float", "integer"}:
        return {
            **_plain_axis(name, "float" if kind == "float" else "int"),
            "low": spec["low"],
            "high": spec["high"],
            "log": bool(spec.get("log", False)),
            "default": entry.default,
            "when": when,
        }
    values = [entry.at(index) for index in range(entry.size or 0)]
    axis = _plain_axis(name, "choice" if kind == "categorical" else "ordinal", values=values)
    return {**axis, "default": entry.default, "when": when}


def _condition_text(domain: Domain) -> str | None:
    """Such as ``optimizer is adam or sgd``; None without a condition."""
    if domain.active_if is None:
        return None
    parts: list[str] = []
    for name, given in condition_to_json(domain.active_if).items():
        values = given if isinstance(given, list) else [given]
        parts.append(f"{name} is {' or '.join(map(str, values))}")
    return " and ".join(parts)


def _plain_axis(name: str, kind: str, values: list[ConfigValue] | None = None) -> Axis:
    return {
        "name": name,
        "type": kind,
        "low": None,
        "high": None,
        "log": False,
        "values": values,
        "default": None,
        "when": None,
    }
