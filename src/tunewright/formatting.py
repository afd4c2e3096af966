"""Experiments as text: numbers, durations, results and counts, as progress, commands and reports print them."""

from __future__ import annotations

import math
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, cast, final

from tunewright.events import RequestAction, RequestEvent
from tunewright.history import History, Incumbent, KnownResults, known_resource
from tunewright.metadata import ExperimentMetadata
from tunewright.metric import Constraint, Goal, Metric
from tunewright.replicates import COUNT, error_key
from tunewright.runner.run_order import AS_HYDRA
from tunewright.runner.script_launch import hydra_overrides
from tunewright.schedulers.objectives import pareto_results
from tunewright.space import SearchSpace
from tunewright.trial import BackendSummary, ExperimentStatus, Result, TrialStatus
from tunewright.types import Config, Json, Note

_LEAST_SHARE: Final = 0.02
"""Part of an experiment before which nothing is said of the time to go."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_FACTS: Final[Mapping[str, str]] = {
    "max_wallclock_time": "max_time",
    "max_num_trials": "max_trials",
    "max_num_evaluations": "max_results",
    "max_cost": "max_cost",
    "n_workers": "n_workers",
}
"""Parameters of requests -> fields of `ProgressFacts`."""
FRONT_LINES: Final = 12
"""Results of a Pareto set that are shown with a line each."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressFacts:
    """Facts about an experiment that its History does not hold."""

    title: str
    """Such as ``ASHA on mlp_digits, seed 0``."""
    metric: Metric
    space: SearchSpace
    n_workers: int
    max_time: float | None = None
    """Seconds; None: no limit."""
    max_trials: int | None = None
    """Number of trials; None: no limit."""
    max_results: int | None = None
    """Number of results; None: no limit."""
    max_cost: float | None = None
    """Dollars; None: no limit."""
    resource: str = "resource"
    """Name of the resource."""
    max_resource: int | None = None
    """Resource of a full run; None: unknown."""
    path: str = ""
    """Folder of the experiment."""
    name: str = ""
    """The experiment's name."""
    is_estimate: bool = False
    """Costs are estimates of what AWS would charge; nothing is billed."""
    constraints: tuple[Constraint, ...] = ()
    """Bounds that the best result must keep."""
    others: tuple[Metric, ...] = ()
    """Further tuned metrics: the Pareto set replaces the best result."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All tuned metrics."""
        return (self.metric, *self.others)


def stored_facts(metadata: ExperimentMetadata, name: str, constraints: Sequence[Constraint]) -> ProgressFacts:
    """Return the facts about a stored experiment.

    Parameters
    ----------
    metadata
        Of the experiment.
    name
        Its unique name, which is also the title.
    constraints
        Bounds that the best result must keep.

    Raises
    ------
    SettingsError
        The metadata have no search space.
    """
    limits = metadata.limits
    return ProgressFacts(
        title=name,
        name=name,
        metric=metadata.metrics[0],
        others=metadata.metrics[1:],
        constraints=tuple(constraints),
        space=metadata.space,
        resource=metadata.resource,
        max_resource=metadata.max_resource,
        n_workers=metadata.benchmark.n_workers or 1,
        max_time=limits.max_wallclock_time,
        max_trials=limits.max_num_trials,
        max_results=limits.max_num_evaluations,
        max_cost=limits.max_cost,
    )


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence: ``A, B and C``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def number(value: float) -> str:
    """Format a number with five significant digits."""
    return f"{value:.5g}"


def plural(n: int, noun: str, several: str = "") -> str:
    """Format a count with its noun, as ``1 trial`` or ``2,000 trials``.

    Parameters
    ----------
    n
        Count.
    noun
        Singular.
    several
        Plural, if it is not the singular with an s.
    """
    return f"{n:,} {noun if n == 1 else several or noun + 's'}"


def percent(share: float) -> str:
    """Format a share as ``40 %``: whole percents, halves up."""
    return f"{math.floor(100.0 * share + 0.5)} %"


def duration(seconds: float) -> str:
    """Format seconds as ``75 s``, ``12:05`` (minutes) or ``3:02:05`` (hours)."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.IGNORECASE)


def seconds_of(text: str) -> float:
    """Read a time: seconds as a number, or with units as ``90s``, ``10m``, ``1h30m`` or ``2d``.

    Raises
    ------
    ValueError
        The text is no time.
    """
    with suppress(ValueError):
        return float(text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{text!r} is no time: give seconds, or a time such as 90s, 10m, 1h30m or 2d")
    return sum(float(amount) * _UNITS[unit.lower()] for amount, unit in parts)


def arguments_text(config: Config, style: str) -> str:
    """Format a configuration as arguments of a script: ``--lr=0.013 --width=32``, or ``lr=0.013`` for Hydra scripts.

    Parameters
    ----------
    config
        A configuration.
    style
        The benchmark's ``argument_style``.
    """
    if style == AS_HYDRA:
        return shlex.join(hydra_overrides(config))
    return shlex.join(f"--{name}={value}" for name, value in config.items())


def config_text(config: Config, space: SearchSpace) -> str:
    """Format the tuned hyperparameters, as ``lr=0.013 width=32``."""
    return " ".join(f"{name}={_value(config[name])}" for name in space.names if name in config)


def messages(note: Note) -> list[str]:
    """Return the messages for the user in the note of a run: of the scheduler, and of its searcher."""
    searchers = note.get("searcher")
    parts = [note, searchers] if isinstance(searchers, Mapping) else [note]
    found = [cast("Mapping[str, object]", part).get("message") for part in parts]
    return [text for text in found if isinstance(text, str)]


def result_text(facts: ProgressFacts, result: Result) -> str:
    """Format a result, as ``epoch 3: accuracy 0.971``."""
    return f"{facts.resource} {result.resource}: {values_text(facts.metrics, result)}"


def values_text(metrics: Sequence[Metric], result: Result) -> str:
    """Format the tuned values of a result, as ``error 0.03, seconds 41``."""
    return ", ".join(f"{metric.name} {value_text(metric, result)}" for metric in metrics)


def value_text(metric: Metric, result: Result) -> str:
    """Format one value of a result; a dash if it is missing."""
    value = result.metrics.get(metric.name)
    return "-" if value is None else number(value)


def constraint_text(constraint: Constraint, result: Result) -> str:
    """Format the constrained value, with an exclamation mark if it breaks the constraint; a dash if it is missing."""
    value = result.metrics.get(constraint.name)
    mark = "" if constraint.is_met(result.metrics) else " !"
    return f"{'-' if value is None else number(value)}{mark}"


def front_lines(facts: ProgressFacts, history: History) -> tuple[str, list[str]]:
    """Format the Pareto set: its size, and a line for each of its first results."""
    found = pareto_results(history, facts.metrics, facts.constraints)
    lines = [
        f"{values_text(facts.metrics, result)} (trial {trial_id}, {facts.resource} {result.resource}): "
        f"{config_text(history.trial(trial_id).config, facts.space)}"
        for trial_id, result in found[:FRONT_LINES]
    ]
    if len(found) > FRONT_LINES:
        lines.append(f"and {len(found) - FRONT_LINES} more")
    text = (
        f"{plural(len(found), 'result')} that no other dominates" if found else _nothing_text(facts, history)
    )
    return text, lines


def best_text(facts: ProgressFacts, incumbent: Incumbent, history: History) -> str:
    """Format the best result, as ``accuracy 0.986 (trial 7, epoch 27)``, or the size of the Pareto set; a dash if empty."""
    if facts.others:
        return front_lines(facts, history)[0]
    if incumbent.result is None:
        return _nothing_text(facts, history)
    metric, result = facts.metric, incumbent.result
    error = error_text(metric, result)
    return reached_text(
        metric, incumbent.value, error, f"trial {incumbent.trial_id}, {facts.resource} {result.resource}"
    )


def reached_text(metric: Metric, value: float, error: str, place: str) -> str:
    """Format the best value with its direction and its place, as ``accuracy 0.986 ± 0.002 (highest; trial 7, epoch 27)``."""
    direction = "highest" if metric.goal is Goal.MAXIMIZE else "lowest"
    return f"{metric.name} {number(value)}{error} ({direction}; {place})"


def error_text(metric: Metric, result: Result) -> str:
    """Format the standard error of a mean over replicates, as `` ± 0.0021``; empty without replicates."""
    error = result.metrics.get(error_key(metric.name)) if COUNT in result.metrics else None
    return "" if error is None else f" ± {error:.2g}"


def _nothing_text(facts: ProgressFacts, history: History) -> str:
    """Format the absence of a best result, with the constraints that all results break."""
    if not facts.constraints or not history.n_results:
        return "-"
    return f"- (no result keeps to {', '.join(map(str, facts.constraints))})"


def share_done(facts: ProgressFacts, history: History, now: float, cost: float) -> float | None:
    """Return the part of an experiment that is done, from 0 to 1, by the limit that is nearest; None if there is no limit."""
    running = history.ids(TrialStatus.RUNNING)
    n_trained_now = sum(not known_resource(history, trial_id) for trial_id in running)
    n_ended = history.n_trials - KnownResults().n_trials(history) - n_trained_now
    spent = (
        (now, facts.max_time),
        (n_ended, facts.max_trials),
        (history.n_results - KnownResults().n_results(history), facts.max_results),
        (cost, facts.max_cost),
    )
    shares = [min(1.0, used / limit) for used, limit in spent if limit]
    return max(shares, default=None)


def remaining_text(facts: ProgressFacts, history: History, now: float, cost: float) -> str:
    """Format the part that is done and the time to go at the present pace, as ``40 %, about 1:20 to go``; empty without a limit."""
    share = share_done(facts, history, now, cost)
    if share is None or not history.n_trials:
        return ""
    to_go = f", about {duration(now * (1.0 - share) / share)} to go" if _LEAST_SHARE <= share < 1.0 else ""
    return f"{percent(share)}{to_go}"


def interrupt_text(history: History) -> str:
    """Format what an interrupted experiment waits for."""
    n_running = len(history.ids(TrialStatus.RUNNING))
    kept = "which keeps its checkpoint" if n_running == 1 else "which keep their checkpoints"
    waits = f"ending {plural(n_running, 'running trial')}, {kept}" if n_running else "ending"
    return f"Interrupted: {waits}. Ctrl-C again ends at once"


def status_text(facts: ProgressFacts, history: History, now: float, cost: float, prices: str = "") -> str:
    """Summarise an experiment in one line: time, workers, trials, results, cost with the origin of its prices."""
    limit = f" of {duration(facts.max_time)}" if facts.max_time is not None else ""
    parts = [
        f"{duration(now)}{limit}",
        f"{len(history.ids(TrialStatus.RUNNING))} of {plural(facts.n_workers, 'worker')} busy",
        counts_text(history, facts.max_trials),
        cost_text(facts, cost, prices) if cost > 0 else "",
    ]
    return ", ".join(filter(None, parts))


def counts_text(history: History, most: int | None = None) -> str:
    """Count trials by status, as ``31 of 50 trials (4 running, 20 paused, 7 completed)``; ``most`` is their limit.

    Trials with known results are counted apart: ``31 of 50 trials and 3 with known results (...)``.
    """
    counts = {status: len(history.ids(status)) for status in TrialStatus}
    some = ", ".join(f"{n:,} {status}" for status, n in counts.items() if n)
    n_known = KnownResults().n_trials(history)
    n_trained = history.n_trials - n_known
    trials = plural(n_trained, "trial") if most is None else f"{n_trained:,} of {plural(most, 'trial')}"
    known = f" and {n_known} with known results" if n_known else ""
    return f"{trials}{known} ({some})" if some else "no trials yet"


def cost_text(facts: ProgressFacts, cost: float, prices: str) -> str:
    """Format dollars, whether they are billed, and the origin of the prices."""
    text = f"on AWS it would cost ${cost:.2f}" if facts.is_estimate else f"${cost:.2f} estimated cost"
    return f"{text} ({prices})" if prices else text


def changed_facts(facts: ProgressFacts, request: RequestEvent) -> ProgressFacts:
    """Return the facts after a request: other limits, or another number of workers."""
    if request.done not in {RequestAction.CHANGE_LIMITS, RequestAction.SET_WORKERS}:
        return facts
    return replace(
        facts,
        **{
            _FACTS[name]: value
            for name, value in request.arguments.items()
            if name in _FACTS and isinstance(value, int | float)
        },
    )


def request_text(event: RequestEvent) -> str:
    """Format a journaled request from outside, with the reason if it was refused."""
    text = action_text(event.action, event.trial_id, event.arguments)
    reason = _one_line(event.reason)
    if not event.done:
        return f"{text}: refused. {reason}"
    return f"{text} ({reason})" if reason else text


def action_text(action: str, trial_id: int | None, arguments: Mapping[str, Json]) -> str:
    """Format a request from outside: its action, its trial and its parameters."""
    trial = "" if trial_id is None else f" {trial_id}"
    values = {name: value for name, value in arguments.items() if name != "request"}
    if action == RequestAction.NOTE:
        return f"note{trial and f' on trial{trial}'}: {_one_line(values.get('text', ''))}"
    config = values.get("config")
    if isinstance(config, dict):
        values = config
    shown = " ".join(f"{name}={_one_line(value)}" for name, value in values.items())
    return f"{action.replace('_', ' ')}{trial}{shown and f' {shown}'}"


def _one_line(value: object) -> str:
    """A text from outside without control characters."""
    return _CONTROL.sub(" ", str(value))


def failure_text(history: History, trial_id: int) -> str:
    """Format the failure of a trial with the last lines of its log."""
    error = history.error(trial_id) or "unknown reason"
    return f"Trial {trial_id} failed:\n{textwrap.indent(error.rstrip(), '    ')}"


def closing_text(
    facts: ProgressFacts, history: History, outcome: ExperimentStatus, summary: BackendSummary
) -> str:
    """Format the end of an experiment: best configuration, counts, folder, and the command that shows it.

    Of an experiment that failed before any of its runs began there is nothing else to tell.
    """
    if outcome is ExperimentStatus.FAILED and not summary.jobs and not history.n_results:
        return f"{facts.title}: {outcome}, nothing was begun"
    incumbent = Incumbent(facts.metric, facts.constraints)
    incumbent.update(history)
    lines = [f"{facts.title}: {outcome}", f"Best:    {best_text(facts, incumbent, history)}"]
    if facts.others:
        front = front_lines(facts, history)[1]
        lines += [f"         {line}" for line in front]
    elif incumbent.trial_id is not None:
        lines.append(f"         {config_text(history.trial(incumbent.trial_id).config, facts.space)}")
    lines.append(f"Trials:  {_end_counts(history)}, {plural(history.n_results, 'result')}")
    if outcome.is_finished and (text := unfinished_text(facts, history)):
        lines += [f"         {text}", f"Retrain: tunewright best {facts.name} --retrain"]
    if summary.calls:
        lines.append(f"Jobs:    {_jobs_text(facts, summary)}")
    lines += [f"Results: {facts.path}", f"Show:    tunewright show {facts.name}"]
    if not outcome.is_finished:
        lines.append(f"Go on:   tunewright resume {facts.name}")
    return "\n".join(lines)


def wrapped(line: str, columns: int, *, indent: int) -> str:
    """Wrap a line at its blanks; commands and paths, which are copied, stay whole.

    Parameters
    ----------
    line
        A label of ``indent`` columns, and a text.
    columns
        Of the terminal.
    indent
        Of the following lines.
    """
    text = line[indent:].lstrip()
    if len(line) <= columns or " " not in text or "\n" in text or text.startswith(("tunewright ", "/")):
        return line
    following = " " * indent
    return textwrap.fill(
        line, columns, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )


def unfinished_text(facts: ProgressFacts, history: History) -> str:
    """Say that no trial came to the end of its training; empty if one did, or if the end is unknown."""
    if facts.max_resource is None or not history.n_results:
        return ""
    if any(not known_resource(history, trial_id) for trial_id in history.ids(TrialStatus.COMPLETED)):
        return ""
    highest = max(result.resource for _, result in history.results_since(0))
    if highest >= facts.max_resource:
        return ""
    return f"No trial came to the end of its training: {facts.resource} {highest} of {facts.max_resource} at most"


def _jobs_text(facts: ProgressFacts, summary: BackendSummary) -> str:
    records = [asdict(record) for record in summary.job_records]
    warm = starts_text(records) if records else f"{summary.warm_starts} of them on warm instances"
    parts = [plural(summary.jobs, "training job"), warm, f"{summary.billable_seconds:,.0f} billed seconds"]
    if summary.pool_idle_seconds:
        parts.append(f"{summary.pool_idle_seconds:,.0f} idle seconds of warm pools")
    if saved := spot_text(summary.spot_saved_seconds, summary.billable_seconds, summary.interruptions):
        parts.append(saved)
    return ", ".join([*parts, cost_text(facts, summary.cost, summary.prices)])


def spot_text(saved: float, billed: float, interruptions: int) -> str:
    """Format the savings and interruptions of spot instances; empty if none was used.

    Parameters
    ----------
    saved, billed
        Instance seconds that were not billed, and that were.
    interruptions
        Of all jobs together.
    """
    if not saved and not interruptions:
        return ""
    share = saved / (saved + billed) if saved + billed else 0.0
    return f"spot instances saved {percent(share)} with {plural(interruptions, 'interruption')}"


def starts_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Format the start-up times of jobs, cold and warm, and the reasons why warm pools were not reused.

    Parameters
    ----------
    records
        Fields of `tunewright.trial.JobRecord`.
    """
    parts: list[str] = []
    for is_warm, word in ((False, "cold"), (True, "warm")):
        found = [record for record in records if record["is_warm"] is is_warm]
        times = [record["startup"] for record in found if record["startup"] is not None]
        if found:
            mean = f" ({math.fsum(times) / len(times):.0f} s to begin)" if times else ""
            parts.append(f"{plural(len(found), f'{word} start')}{mean}")
    causes = Counter(re.sub(r" for \d+ s$", " in time", record["why"]) for record in records if record["why"])
    if causes:
        parts.append("pools not reused: " + ", ".join(f"{n} {why}" for why, n in sorted(causes.items())))
    return ", ".join(parts)


def _end_counts(history: History) -> str:
    counts: Mapping[str, int] = {
        "completed": len(history.ids(TrialStatus.COMPLETED)),
        "paused": len(history.ids(TrialStatus.PAUSED)),
        "stopped": len(history.ids(TrialStatus.STOPPED)) + len(history.ids(TrialStatus.RUNNING)),
        "failed": len(history.ids(TrialStatus.FAILED)),
    }
    some = ", ".join(f"{n:,} {status}" for status, n in counts.items() if n)
    return f"{history.n_trials} ({some})" if some else "0"


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
