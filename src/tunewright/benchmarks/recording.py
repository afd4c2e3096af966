"""Own experiments as a recorded table, and as a benchmark on it: the curves of their trials by configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import FAMILIES
from tunewright.blackbox import Description, SurrogateKind, Values, table_names
from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.repository import table_info, tables_home
from tunewright.blackbox.tables.stored import TableInfo, sha256, write_dataset, write_info
from tunewright.events import EndEvent, Event, PhaseEvent, ResultEvent, StartEvent
from tunewright.exceptions import SettingsError
from tunewright.formatting import plural
from tunewright.journal import read_events
from tunewright.metadata import ExperimentMetadata, read_metadata
from tunewright.space import SearchSpace
from tunewright.storage import ExperimentFolder, experiments, find_experiment, safe_name
from tunewright.trial import PhaseName, TrialStatus
from tunewright.types import Config

Floats = NDArray[np.float64]
ELAPSED: Final = "training_time"
"""Metric with the seconds of training; unless an experiment reports one of that name."""
_OWN: Final = "st_"
"""Beginning of the names of values that the reporter adds."""
_NEAREST: Final = 5
"""Number of curves from which the end of a shorter one is predicted."""


@final
@dataclass(slots=True, kw_only=True)
class _Curve:
    """Reports of one trial, and the seconds of its training before each."""

    config: Config
    reports: dict[int, Mapping[str, float]] = field(default_factory=dict[int, Mapping[str, float]])
    """By resource."""
    elapsed: list[float] = field(default_factory=list[float])
    status: TrialStatus = TrialStatus.RUNNING

    @property
    def is_whole(self) -> bool:
        """Whether the script came to its own end."""
        return self.status is TrialStatus.COMPLETED


def read_curves(events: Iterable[Event]) -> list[_Curve]:
    """Curves of all trials in a journal.

    The time of a report is the sum of the times between accepted reports, each from the report before it in the same run,
    or from the beginning of the run's training. Time of starting, and of repeated training, thus does not count.
    """
    curves: list[_Curve] = []
    since: dict[int, float] = {}
    for event in events:
        if isinstance(event, StartEvent):
            if event.trial_id == len(curves):
                curves.append(_Curve(config=event.config))
            since[event.trial_id] = event.t
        elif isinstance(event, PhaseEvent) and event.name is PhaseName.TRAINING:
            since[event.trial_id] = event.t
        elif isinstance(event, ResultEvent):
            curve = curves[event.trial_id]
            step = max(0.0, event.t - since[event.trial_id])
            since[event.trial_id] = event.t
            if event.is_accepted:
                curve.reports[event.resource] = event.metrics
                curve.elapsed.append((curve.elapsed[-1] if curve.elapsed else 0.0) + step)
        elif isinstance(event, EndEvent):
            curves[event.trial_id].status = event.status
    return curves


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A data set that was recorded."""

    benchmark: SurrogateBenchmarkDefinition
    description: Description
    n_configs: int


def record_table(sources: Sequence[str], name: str) -> list[Recording]:
    """Store experiments as the table ``name``, with a data set and a benchmark for each benchmark that they tuned.

    A data set is exact if its space is finite, every configuration was tried, and every trial came to its own end (or
    failed: then it fails in simulations too). Otherwise the ends of trials that were paused or stopped are predicted from
    trials with similar values, and configurations that were not tried by the nearest one.

    Parameters
    ----------
    sources
        Tags, names of experiments, or folders of experiments.
    name
        Of the table. An own table of this name keeps its other data sets.

    Raises
    ------
    UnknownNameError
        There is no such experiment.
    SettingsError
        The name is taken, the experiments of a benchmark differ in their spaces or metrics, or there is nothing to record.
    JournalError
        A journal is damaged.
    """
    folder = tables_home() / safe_name(name, "name of a table")
    old = _own_table(folder.name)
    groups: dict[str, list[ExperimentFolder]] = {}
    for source in dict.fromkeys(sources):
        for experiment in _folders(source):
            dataset = safe_name(read_metadata(experiment).benchmark.name)
            groups.setdefault(dataset, []).append(experiment)
    found = [_record(folder, dataset, group) for dataset, group in groups.items()]
    used = [experiment for group in groups.values() for experiment in group]
    info = TableInfo(
        name=folder.name,
        title=f"own experiments: {', '.join(sources)}",
        version=1,
        licence="your own data",
        sources={
            **(old.sources if old else {}),
            **{one.name: sha256(one.journal_path) for one in used},
        },
        datasets={**(old.datasets if old else {}), **{data: sums for data, sums, _ in found}},
        benchmarks={
            **(old.benchmarks if old else {}),
            **{data: recording.benchmark.to_json() for data, _, recording in found},
        },
    )
    write_info(folder, info)
    return [recording for _, _, recording in found]


def _own_table(name: str) -> TableInfo | None:
    """The table of this name, if experiments were recorded in it before; None if there is none.

    Raises
    ------
    SettingsError
        The name belongs to another table.
    """
    others = {*RECIPES, *(family.table for family in FAMILIES), *(family.prefix for family in FAMILIES)}
    old = table_info(name) if name in table_names() else None
    if name in others or (old is not None and not old.benchmarks):
        raise SettingsError(f"{name!r} is the name of another table: choose one with --name")
    return old


def _folders(source: str) -> list[ExperimentFolder]:
    """Experiments of a tag, or the one of a name, that have begun."""
    try:
        found = list(experiments(source))
    except SettingsError:  # no tag can have this name
        found = []
    begun = [one for one in found or [find_experiment(source)] if one.journal_path.is_file()]
    if not begun:
        raise SettingsError(f"{source}: nothing was recorded there yet")
    return begun


def _record(
    folder: Path, dataset: str, group: Sequence[ExperimentFolder]
) -> tuple[str, dict[str, str], Recording]:
    """Store one data set; its name, its files and its benchmark."""
    records = [read_metadata(experiment) for experiment in group]
    first = records[0]
    space = _common_space(dataset, records)
    curves = [curve for one in group for curve in read_curves(read_events(one.journal_path))]
    n_lacking = _complete(space, curves)
    chosen, n_seeds = _choose(dataset, space, [curve for curve in curves if curve.reports])
    names = _metric_names(first, chosen)
    elapsed = ELAPSED
    while elapsed in names:
        elapsed += "_"
    levels = sorted({resource for curve in chosen for resource in curve.reports})
    values, is_early = _arrays(chosen, names, levels)
    _predict_ends(values, is_early, names.index(first.metrics[0].name))
    n_early = int(is_early.any(axis=1).sum())
    configs = [curve.config for curve in chosen[::n_seeds]]
    description = Description(
        name=folder.name,
        dataset=dataset,
        space=space,
        metrics=(*names, elapsed),
        elapsed=elapsed,
        levels=tuple(levels),
        resource=first.resource,
        n_seeds=n_seeds,
        values=Values.SURROGATE if n_early else Values.RECORDED,
        note=_note(n_early, len(chosen), curves, n_lacking),
    )
    filled = [space.filled(config) for config in configs]  # conditional ones that are not active: defaults
    columns = {name: [config[name] for config in filled] for name in space.names}
    shape = (len(configs), n_seeds, *values.shape[1:])
    sums = write_dataset(folder, description, columns, values.reshape(shape), suffix=".npz")
    is_exact = space.size is not None and len({space.key(curve.config) for curve in curves}) >= space.size
    ends = [max((event.t for event in read_events(one.journal_path)), default=0.0) for one in group]
    benchmark = SurrogateBenchmarkDefinition(
        name=f"{folder.name}-{dataset}",
        table=folder.name,
        dataset=dataset,
        metrics=first.metrics,
        max_wallclock_time=max(ends),
        n_workers=first.benchmark.n_workers or 1,
        surrogate=None if is_exact else str(SurrogateKind.NEAREST),
    )
    return dataset, sums, Recording(benchmark=benchmark, description=description, n_configs=len(configs))


def _common_space(dataset: str, records: Sequence[ExperimentMetadata]) -> SearchSpace:
    """The tuned part of the space that all experiments share, and constants on which conditions depend.

    Raises
    ------
    SettingsError
        They differ in their spaces, metrics or resources.
    """
    space = records[0].space
    for record in records[1:]:
        for kind, mine, other in (
            ("search space", space.to_json(), record.space.to_json()),
            ("metrics", records[0].metrics, record.metrics),
            ("resource", records[0].resource, record.resource),
        ):
            if mine != other:
                raise SettingsError(
                    f"The experiments on {dataset} differ in their {kind}: record them as tables of their own"
                )
    parents = {name for domain in space.domains.values() for name in domain.active_if or ()}
    return SearchSpace({name: space[name] for name in space if name in space.domains or name in parents})


def _choose(dataset: str, space: SearchSpace, curves: Sequence[_Curve]) -> tuple[list[_Curve], int]:
    """Curves to store, configuration by configuration, and the number of them for each.

    Of each configuration the longest curves are taken, as many as the configuration with the fewest has; curves that were
    cut off count only for configurations that have no others.
    """
    found: dict[object, list[_Curve]] = {}
    for curve in curves:
        if curve.status is not TrialStatus.FAILED:
            found.setdefault(space.key(curve.config), []).append(curve)
    if not found:
        raise SettingsError(f"No trial on {dataset} has a result to record")
    longest = max(max(curve.reports) for group in found.values() for curve in group)
    kept: list[list[_Curve]] = []
    for group in found.values():
        whole = [curve for curve in group if curve.is_whole or max(curve.reports) == longest]
        kept.append(whole or [max(group, key=lambda curve: max(curve.reports))])
    n_seeds = min(map(len, kept))
    return [curve for group in kept for curve in group[:n_seeds]], n_seeds


def _metric_names(record: ExperimentMetadata, curves: Sequence[_Curve]) -> list[str]:
    """Reported values, the tuned ones first; without those of the reporter, the resource, and values that are never finite."""
    finite = {
        name: None
        for curve in curves
        for metrics in curve.reports.values()
        for name, value in metrics.items()
        if np.isfinite(value)
    }
    tuned = [metric.name for metric in record.metrics]
    for name in tuned:
        if name not in finite:
            raise SettingsError(f"No trial on {record.benchmark.name} has a finite {name!r} to record")
    others = [
        name
        for name in finite
        if name not in tuned and name != record.benchmark.resource_attr and not name.startswith(_OWN)
    ]
    return [*tuned, *others]


def _arrays(
    curves: Sequence[_Curve], names: Sequence[str], levels: Sequence[int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Values of shape (curves, levels, metrics and elapsed time), and which levels were not reached as a trial was cut off.

    Levels between two reports are interpolated. Beyond the end of a curve the values are NaN.
    """
    values = np.full((len(curves), len(levels), len(names) + 1), np.nan)
    is_early = np.zeros((len(curves), len(levels)), dtype=np.bool_)
    for row, curve in enumerate(curves):
        resources = list(curve.reports)
        n_reached = sum(level <= resources[-1] for level in levels)
        for column, name in enumerate(names):
            series = [metrics.get(name, np.nan) for metrics in curve.reports.values()]
            values[row, :n_reached, column] = np.interp(levels[:n_reached], resources, series)
        values[row, :n_reached, -1] = np.interp(levels[:n_reached], resources, curve.elapsed)
        is_early[row, n_reached:] = not curve.is_whole
    return values, is_early


def _predict_ends(values: Floats, is_early: NDArray[np.bool_], metric: int) -> None:
    """Fill in the levels that trials did not reach because they were cut off, in place.

    Level by level: the change of each metric is the mean change of the five curves that were recorded there and are nearest
    in the tuned metric at the level before; the times of training grow by the same factor as theirs.
    """
    recorded = np.isfinite(values[..., -1])
    for level in range(1, values.shape[1]):
        known = np.flatnonzero(recorded[:, level] & np.isfinite(values[:, level - 1, metric]))
        for row in np.flatnonzero(is_early[:, level]).tolist():
            before = values[row, level - 1]
            distances = np.abs(values[known, level - 1, metric] - before[metric])
            nearest = known[np.argsort(distances, kind="stable")[:_NEAREST]]
            if not len(nearest):
                continue
            changes = values[nearest, level] - values[nearest, level - 1]
            values[row, level] = before + np.nanmean(changes, axis=0)
            growth: Floats = values[nearest, level, -1] / np.maximum(values[nearest, level - 1, -1], 1e-9)
            values[row, level, -1] = before[-1] * float(growth.mean())


def _complete(space: SearchSpace, curves: Sequence[_Curve]) -> int:
    """Give configurations the defaults of active hyperparameters that they lack, and return the number of such curves.

    Trials of an imported study may lack hyperparameters although no condition is known.
    """
    n_lacking = 0
    for curve in curves:
        whole = space.active(space.filled(curve.config))
        n_lacking += any(name not in curve.config for name in whole)
        curve.config = whole
    return n_lacking


def _note(n_early: int, n_curves: int, curves: Sequence[_Curve], n_lacking: int) -> str:
    parts: list[str] = []
    if n_lacking:
        parts.append(f"{plural(n_lacking, 'trial')} lacked hyperparameters and got their defaults")
    if n_early:
        parts.append(
            f"the ends of {n_early} of {plural(n_curves, 'curve')} are predicted, as their trials were cut off"
        )
    n_failed = sum(curve.status is TrialStatus.FAILED for curve in curves)
    if n_failed:
        parts.append(f"{plural(n_failed, 'failed trial')} left out")
    return "; ".join(parts)
