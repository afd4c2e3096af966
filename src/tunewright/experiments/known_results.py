"""Configurations with known results: trials that are begun and judged as others, but not trained."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

from typing_extensions import override

from tunewright.backends.plugin import BenchmarkDefinition
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError, SpaceError, UnfitError
from tunewright.history import History
from tunewright.interfaces import Backend, BackendEvent, Scheduler
from tunewright.metric import Metric
from tunewright.space import SearchSpace, load_known_points
from tunewright.space.checks import as_float
from tunewright.trial import (
    KNOWN,
    BackendSummary,
    Checkpoint,
    Ended,
    OpenRun,
    Reported,
    Result,
    Resume,
    Run,
    ServiceNotice,
    Start,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config

Values: TypeAlias = Mapping[str, float]
Point: TypeAlias = Config | tuple[Config, Values | Sequence[Values]]
"""A configuration, or a configuration with its result, or with its results at several resources."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrial:
    """A configuration with known results.

    Raises
    ------
    SettingsError
        There is no result, or their resources are not strictly increasing from 1.
    """

    config: Config
    """Full or partial, as a point to evaluate."""
    results: tuple[tuple[int, Values], ...]
    """``(resource, reported values)``, by resource."""

    def __post_init__(self) -> None:
        resources = [resource for resource, _ in self.results]
        if not resources or resources[0] < 1 or resources != sorted(set(resources)):
            raise SettingsError(
                f"Known results of {dict(self.config)} need different resources >= 1, not {resources}"
            )

    @property
    def resource(self) -> int:
        """The highest resource with a result."""
        return self.results[-1][0]

    def of_run(self, after: int, until: int | None) -> tuple[tuple[int, Values], ...]:
        """Return the results that a run would report.

        Parameters
        ----------
        after
            Resource of the trial so far.
        until
            End of the run; None: the end of the training.

        Returns
        -------
        tuple of (resource, values)
            Those up to ``until``, else the first one beyond; empty if none is beyond ``after``.
        """
        later = [one for one in self.results if one[0] > after]
        return tuple(one for one in later if until is None or one[0] <= until) or tuple(later[:1])


def read_points(
    points: str | Path | Iterable[Point], benchmark: BenchmarkDefinition, also: Collection[str] = ()
) -> tuple[tuple[Config, ...], tuple[KnownTrial, ...]]:
    """Separate the first configurations of an experiment from their known results.

    Parameters
    ----------
    points
        Configurations, some with results, or a file of them (`load_known_points`); one that is given several times has results at
        several resources.
    benchmark
        Gives space, metrics and the key of the resource. A result without a resource is one of a full run.
    also
        Names of further values in a file that the method reads.

    Returns
    -------
    (tuple of Config, tuple of KnownTrial)
        All configurations, those with results first; and these with their results.

    Raises
    ------
    SpaceError
        A file cannot be read, or a configuration does not fit the space.
    SettingsError
        A result lacks a metric, or its resource cannot be.
    """
    space, attr = benchmark.space, benchmark.resource_attr
    if isinstance(points, str | Path):
        keys = {*(metric.name for metric in benchmark.metrics), *also, *([attr] if attr else [])}
        points = [
            (config, [result] if result else []) for config, result in load_known_points(points, space, keys)
        ]
    found: dict[object, tuple[Config, dict[int, Values]]] = {}
    for point in points:
        config, given = point if isinstance(point, tuple) else (point, ())
        _, results = found.setdefault(space.key(space.complete(config)), (config, {}))
        for values in [given] if isinstance(given, Mapping) else given:
            resource, numbers = _checked(config, values, benchmark)
            if results.setdefault(resource, numbers) is not numbers:
                raise SettingsError(
                    f"{dict(config)} has two results at the resource {resource}: give one of them"
                )
    known = tuple(
        KnownTrial(config=config, results=tuple(sorted(results.items())))
        for config, results in found.values()
        if results
    )
    others = tuple(config for config, results in found.values() if not results)
    return (*(trial.config for trial in known), *others), known


def _checked(config: Config, values: Mapping[str, Any], benchmark: BenchmarkDefinition) -> tuple[int, Values]:
    """The resource of a result, and its numbers."""
    place, attr, full = f"The known result of {dict(config)}", benchmark.resource_attr, benchmark.max_resource
    if benchmark.replicates is not None:
        raise SettingsError(f"{place} is not one of replicates: give the configuration without it")
    try:
        numbers = {name: as_float(value) for name, value in values.items()}
    except SpaceError as error:
        raise SettingsError(f"{place}: {error}") from None
    for metric in benchmark.metrics:
        if metric.name not in numbers:
            raise SettingsError(f"{place} lacks {metric.name!r}: it has {', '.join(numbers) or 'nothing'}")
    resource = numbers.get(attr or "", full or 1)
    if resource != int(resource) or not 1 <= resource <= (full or resource):
        end = f" to {full}" if full else ""
        raise SettingsError(f"{place}: {attr} must be a whole number from 1{end}, not {resource:g}")
    return int(resource), numbers


def check_known(known: Iterable[KnownTrial], metrics: Iterable[Metric], method: str) -> None:
    """Check that known results hold the values that a method reads.

    Raises
    ------
    UnfitError
        One is missing.
    """
    names = [metric.name for metric in metrics]
    for trial in known:
        for _, values in trial.results:
            for name in names:
                if name not in values:
                    raise UnfitError(
                        method, f"also reads {name!r}, which the known result of {dict(trial.config)} lacks"
                    )


def tried_in_space(
    history: History, benchmark: BenchmarkDefinition, names: Collection[str]
) -> tuple[tuple[KnownTrial, ...], Mapping[str, int]]:
    """Trials of an earlier experiment whose configurations are legal in a changed space.

    A hyperparameter that is new there has its default in them; the argument for the resource of a full run may differ.

    Parameters
    ----------
    history
        Of the earlier experiment.
    benchmark
        With the changed space.
    names
        Names of the values that are kept.

    Returns
    -------
    (tuple of KnownTrial, mapping)
        Trials that neither failed nor were cut off; and the number of others with results by the reason.
    """
    space, full = benchmark.space, benchmark.max_resource
    length = benchmark.max_resource_attr if isinstance(benchmark, RealBenchmarkDefinition) else None
    found: dict[object, KnownTrial] = {}
    reasons: Counter[str] = Counter()
    for trial_id in range(history.n_trials):
        results = tuple(
            (result.resource, {name: result.metrics[name] for name in names if name in result.metrics})
            for result in history.results(trial_id)
            if full is None or result.resource <= full
        )
        if not results or history.status(trial_id) in {TrialStatus.FAILED, TrialStatus.RUNNING}:
            continue
        config = {name: value for name, value in history.trial(trial_id).config.items() if name != length}
        if reason := _misfit(config, space):
            reasons[reason] += 1
            continue
        trial = KnownTrial(config=config, results=results)
        before = found.get(key := space.key(space.complete(config)))
        if before is None or before.resource < trial.resource:
            found[key] = trial
    return tuple(found.values()), reasons


def _misfit(config: Config, space: SearchSpace) -> str:
    """Why a configuration is not one of the space; empty if it is."""
    for name, value in config.items():
        if name not in space:
            return f"{name} is no hyperparameter any more"
        if name in space.constants and value != space.constants[name]:
            return f"{name} is another constant"
        try:
            if name in space.domains:
                space.domains[name].cast(value)
        except SpaceError:
            return f"{name} is out of range"
    try:
        space.complete(config)
    except SpaceError:
        return "a condition or relation is broken"
    return ""


@final
class KnownRuns(Scheduler):
    """Any scheduler; the first runs of configurations with known results are marked, and answered by `AnsweringBackend`.

    A trial is begun and judged as any other, with its known results. A run is not trained if it would report one of them that is
    not counted yet. A trial that the scheduler takes further is trained from scratch.

    Parameters
    ----------
    scheduler
        Decides.
    known
        The configurations and their results.
    space
        Completes configurations.
    """

    def __init__(self, scheduler: Scheduler, known: Iterable[KnownTrial], space: SearchSpace) -> None:
        self._scheduler = scheduler
        self._space = space
        self._known = {space.key(space.complete(trial.config)): trial for trial in known}
        self.answers: dict[int, tuple[tuple[int, Values], ...]] = {}
        """Results of the running trials that are not trained."""

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The scheduler's suggestion; its note says if the run's results are known."""
        suggestion = self._scheduler.suggest(history)
        known, after = None, 0
        if isinstance(suggestion, Start):
            is_new = suggestion.from_checkpoint is None and not history.contains(suggestion.config)
            known = self._trial(suggestion.config) if is_new else None
        elif suggestion is not None:
            known = self._trial(history.trial(suggestion.trial_id).config)
            after = _reached(history, suggestion.trial_id)
        if suggestion is None or known is None or not known.of_run(after, suggestion.until):
            return suggestion
        return dataclasses.replace(suggestion, note={**suggestion.note, KNOWN: known.resource})

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Find the results of a marked run; pass it on."""
        known = self._trial(history.trial(run.trial_id).config)
        if known is not None and KNOWN in history.note(run.trial_id):
            self.answers[run.trial_id] = known.of_run(_reached(history, run.trial_id), run.until)
        self._scheduler.on_trial_start(history, run)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        return self._scheduler.on_trial_result(history, trial_id, result)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self.answers.pop(trial_id, None)
        self._scheduler.on_trial_end(history, trial_id, status)

    @override
    def resumable(self, history: History) -> Collection[int]:
        return self._scheduler.resumable(history)

    @override
    def start_requested(self, history: History, config: Config) -> Start | None:
        """As the inner scheduler, and trained: a user who adds a configuration with known results wants new ones."""
        return self._scheduler.start_requested(history, config)

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume | None:
        return self._scheduler.resume_requested(history, trial_id)

    def _trial(self, config: Config) -> KnownTrial | None:
        return self._known.get(self._space.key(config))


def _reached(history: History, trial_id: int) -> int:
    """Resource of a trial's last result; 0 before the first one."""
    last = history.last(trial_id)
    return 0 if last is None else last.resource


@final
class AnsweringBackend(Backend):
    """Any backend; runs with known results report them at once, one after the other, and need no worker.

    Parameters
    ----------
    backend
        Runs all others.
    runs
        Knows the results.
    """

    def __init__(self, backend: Backend, runs: KnownRuns) -> None:
        self.clock = backend.clock
        self._backend = backend
        self._runs = runs
        self._events: deque[BackendEvent] = deque()

    @override
    def start(self, run: Run, config: Config) -> None:
        if run.trial_id in self._runs.answers:
            self._answer(OpenRun(run=run, config=config, started_at=self.clock.now()))
        else:
            self._backend.start(run, config)

    @override
    def attach(self, runs: Sequence[OpenRun]) -> None:
        for open_run in runs:
            if open_run.run.trial_id in self._runs.answers:
                self._answer(open_run)
        self._backend.attach([one for one in runs if one.run.trial_id not in self._runs.answers])

    @override
    def pause(self, trial_id: int) -> None:
        if trial_id in self._runs.answers:
            self._cut(trial_id)
        else:
            self._backend.pause(trial_id)

    @override
    def stop(self, trial_id: int) -> None:
        if trial_id in self._runs.answers:
            self._cut(trial_id)
        else:
            self._backend.stop(trial_id)

    @override
    def free_workers(self) -> int:
        """None while known results are to be handled, so that the next suggestion knows them."""
        return 0 if self._events else self._backend.free_workers()

    @override
    def wait(self, timeout: float) -> Sequence[BackendEvent]:
        """The next known result, or the end of its run; else as the backend."""
        return (self._events.popleft(),) if self._events else self._backend.wait(timeout)

    @override
    def close(self) -> None:
        self._backend.close()

    @override
    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._backend.delete_checkpoint(checkpoint)

    @override
    def set_workers(self, n_workers: int) -> None:
        self._backend.set_workers(n_workers)

    @override
    def service_notices(self) -> Sequence[ServiceNotice]:
        return self._backend.service_notices()

    @override
    def summary(self) -> BackendSummary:
        return self._backend.summary()

    def _cut(self, trial_id: int) -> None:
        """Drop the reports of a run that come after a verdict."""
        self._events = deque(
            event for event in self._events if event.trial_id != trial_id or isinstance(event, Ended)
        )

    def _answer(self, open_run: OpenRun) -> None:
        """Queue the reports of a run that were not handled before, and its end."""
        run = open_run.run
        for seq, (resource, values) in enumerate(self._runs.answers[run.trial_id], 1):
            if seq > open_run.seen and open_run.verdict is None:
                self._events.append(
                    Reported(
                        trial_id=run.trial_id, attempt=run.attempt, seq=seq, resource=resource, metrics=values
                    )
                )
        self._events.append(Ended(trial_id=run.trial_id, attempt=run.attempt, exit=0))
