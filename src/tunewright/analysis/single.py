"""Report of one experiment as data: best configuration, trials, importance, workers, costs, failures, and next steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.advice import NextStep, next_steps
from tunewright.analysis.importance import Importance, importance
from tunewright.analysis.one_run import OneRun, RunRecord
from tunewright.callbacks.account import read_account
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.formatting import arguments_text, stored_facts
from tunewright.history import Incumbent, ranked_trials
from tunewright.journal import is_locked
from tunewright.replicates import error_key
from tunewright.schedulers.objectives import pareto_results
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, Result, TrialStatus
from tunewright.types import Config

TOP: Final = 10
"""Number of the best trials in a report."""
_LINES: Final = 6
"""Last lines of a failed trial's output."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TopTrial:
    """A trial with its best result that meets the constraints."""

    trial_id: int
    status: str
    resource: int
    """Of that result."""
    values: Mapping[str, float]
    """Of the tuned metrics."""
    standard_error: float | None
    """Of the first value, a mean over replicates; None without replicates."""
    config: Config


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTime:
    """Use of the workers; the four shares of their time add up to 1."""

    n_workers: int
    """At most, if a request changed their number."""
    starting: float
    training: float
    uploading: float
    idle: float
    n_cold: int
    """Runs whose worker had to be prepared; 0 if that is unknown."""
    n_warm: int
    """Runs on a worker that an earlier run had left prepared."""
    cold_start: float
    """Median seconds from the start of a run to its training; NaN without such runs."""
    warm_start: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Failed trials whose output ends with the same line."""

    trial_ids: Sequence[int]
    lines: str
    """The last lines of the first one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SingleReport:
    """Everything that a report of one experiment may say."""

    run: OneRun
    status: ExperimentStatus
    best: TopTrial | None
    """None without a result that meets the constraints."""
    arguments: str
    """The best configuration as arguments of a script; empty without one."""
    top: Sequence[TopTrial]
    """The ten best trials, the best first; with several metrics the Pareto set, by the first metric."""
    importance: Importance | None
    unknown_importance: str
    """Why the importance is None; else empty."""
    workers: WorkerTime
    account: Mapping[str, Any]
    """Jobs, calls, seconds and dollars of the backend, as `tunewright.callbacks.account.read_account`."""
    failures: Sequence[Failure]
    next_steps: Sequence[NextStep]


def single_report(run: OneRun, *, seed: int = 0) -> SingleReport:
    """Report of one experiment.

    Parameters
    ----------
    run
        The experiment, with results.
    seed
        Of the importance.
    """
    status = ExperimentStatus.RUNNING if _is_running(run) else run.info.totals.status
    best = _best(run)
    found, reason = _importance(run, seed)
    record, info = run.info.record, run.info
    style = "" if record is None else record.benchmark.argument_style
    steps: list[NextStep] = []
    if record is not None and run.space is not None:
        steps = next_steps(stored_facts(record, info.name, info.constraints), run.history, status)
    return SingleReport(
        run=run,
        status=status,
        best=best,
        arguments="" if best is None else arguments_text(best.config, style),
        top=_top(run),
        importance=found,
        unknown_importance=reason,
        workers=worker_time(run),
        account=read_account(ExperimentFolder(info.path).account_path),
        failures=_failures(run),
        next_steps=steps,
    )


def _is_running(run: OneRun) -> bool:
    return is_locked(ExperimentFolder(run.info.path).journal_path)


def _best(run: OneRun) -> TopTrial | None:
    incumbent = Incumbent(run.metric, run.info.constraints)
    incumbent.update(run.history)
    if incumbent.trial_id is None or incumbent.result is None:
        return None
    return _trial(run, incumbent.trial_id, incumbent.result)


def _top(run: OneRun) -> list[TopTrial]:
    info = run.info
    if len(info.metrics) > 1:
        shown = pareto_results(run.history, info.metrics, info.constraints)
    else:
        shown = ranked_trials(run.history, run.metric, info.constraints)[:TOP]
    return [_trial(run, trial_id, result) for trial_id, result in shown]


def _trial(run: OneRun, trial_id: int, result: Result) -> TopTrial:
    metrics = dict.fromkeys((run.metric, *run.info.metrics))
    return TopTrial(
        trial_id=trial_id,
        status=run.trials[trial_id].status,
        resource=result.resource,
        values={metric.name: result.metrics.get(metric.name, math.nan) for metric in metrics},
        standard_error=result.metrics.get(error_key(run.metric.name)),
        config=run.history.trial(trial_id).config,
    )


def _importance(run: OneRun, seed: int) -> tuple[Importance | None, str]:
    try:
        return importance(run, seed=seed), ""
    except (MissingExtraError, SettingsError) as error:
        return None, str(error)


def worker_time(run: OneRun) -> WorkerTime:
    """Shares of the workers' time, and cold and warm starts."""
    end = max([run.info.totals.end_time, *(record.end for record in run.runs)])
    spent = [(0.0, 0.0, 0.0), *map(_parts, run.runs)]
    seconds = [sum(parts) for parts in zip(*spent, strict=True)]
    # runs go on after the number of workers was lowered
    whole = max(run.worker_seconds(end), sum(seconds)) or 1.0
    starting, training, uploading = (one / whole for one in seconds)
    cold, warm = ([r for r in run.runs if r.is_warm is is_warm] for is_warm in (False, True))
    return WorkerTime(
        n_workers=run.n_workers,
        starting=starting,
        training=training,
        uploading=uploading,
        idle=max(0.0, 1.0 - starting - training - uploading),
        n_cold=len(cold),
        n_warm=len(warm),
        cold_start=_median_start(cold),
        warm_start=_median_start(warm),
    )


def _parts(record: RunRecord) -> tuple[float, float, float]:
    """Seconds of starting, training and uploading."""
    begin, end = record.training
    return begin - record.begin, end - begin, record.end - end


def _median_start(records: Sequence[RunRecord]) -> float:
    known = [_parts(record)[0] for record in records if record.ready is not None]
    return float(statistics.median(known)) if known else float("nan")


def _failures(run: OneRun) -> list[Failure]:
    groups: dict[str, list[int]] = {}
    for trial_id in sorted(run.history.ids(TrialStatus.FAILED)):
        lines = run.history.error(trial_id).strip().splitlines()
        groups.setdefault(lines[-1] if lines else "", []).append(trial_id)
    return [
        Failure(
            trial_ids=trial_ids,
            lines="\n".join(run.history.error(trial_ids[0]).strip().splitlines()[-_LINES:]),
        )
        for trial_ids in groups.values()
    ]
