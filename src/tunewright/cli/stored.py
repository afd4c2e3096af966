"""``tunewright list``, ``show`` and ``logs``: stored experiments."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from cyclopts.types import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tunewright.advice import next_steps
from tunewright.backends.plugin import TrialLog
from tunewright.callbacks import results_csv
from tunewright.cli.best import best_value
from tunewright.cli.exits import say
from tunewright.cli.output import labelled, print_table
from tunewright.cli.parsing import command_app
from tunewright.exceptions import MissingExtraError, SettingsError, TunewrightError
from tunewright.experiments import Experiment, Outcome, load_outcome
from tunewright.experiments.remote_marker import live_marker
from tunewright.formatting import (
    ProgressFacts,
    action_text,
    config_text,
    constraint_text,
    duration,
    front_lines,
    messages,
    number,
    percent,
    plural,
    request_text,
    spot_text,
    starts_text,
    stored_facts,
    value_text,
)
from tunewright.history import History, KnownResults, known_resource
from tunewright.journal import read_events
from tunewright.requests import action_of, arguments_of, read_requests
from tunewright.storage import ExperimentFolder, experiments, find_experiment
from tunewright.trial import ExperimentStatus, TrialStatus

if TYPE_CHECKING:
    from tunewright.analysis.importance import Importance
    from tunewright.analysis.single import WorkerTime

_INTERVAL: Final = 1.0  # seconds between two looks at a running experiment
_LEAST_FOR_IMPORTANCE: Final = 20
"""Trials with results from which on their hyperparameters' importance is shown, which takes a second or two."""
_LEAST_SHARE: Final = 0.005
"""Share of the workers' time below which an activity is not shown."""
_MOST_IMPORTANT: Final = 5
"""Hyperparameters that are shown, the most important ones."""
_MOST_MESSAGES: Final = 5
"""Messages of a method that are shown, the newest ones."""

list_app = command_app("list", "List the stored experiments, oldest first.")
show_app = command_app("show", "Show an experiment: status, best configuration, trials.")
logs_app = command_app("logs", "Print the output of a trial, all of its runs in order.")


@list_app.default
def list_experiments(
    *,
    experiment_tag: str | None = None,
    format: Literal["table", "json"] = "table",  # noqa: A002 - the flag's name
) -> int:
    """List the experiments, oldest first.

    Parameters
    ----------
    experiment_tag
        Only experiments of this tag.
    format
        Of the output.
    """
    outcomes = list(_outcomes(experiment_tag))
    if format == "json":
        say(json.dumps([outcome.to_json() for outcome in outcomes], indent=2))
    elif outcomes:
        print_table(("experiment", "status", "trials", "results", "time", "best"), map(_list_row, outcomes))
    elif experiment_tag is not None:
        say(f"No experiments under the tag {experiment_tag!r}: tunewright list shows all")
    else:
        say(
            "No experiments yet. Begin one: tunewright init FOLDER --script SCRIPT, or tunewright tune --help"
        )
    return 0


@show_app.default
def show(
    experiment: str,
    /,
    *,
    format: Literal["table", "json", "csv"] = "table",  # noqa: A002 - the flag's name
    sort: Literal["trial", "value"] = "trial",
    top: PositiveInt | None = None,
    watch: bool = False,
) -> int:
    """Show an experiment as a table, as JSON, or its results as CSV.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, or path of the folder.
    format
        Of the output; csv has all results.
    sort
        Order of the trials: by number, or the best value first.
    top
        Number of trials to show, the best ones.
    watch
        Update every second until the experiment ends.
    """
    folder = find_experiment(experiment)
    if watch:
        _watch(folder)
    if format == "json":
        say(json.dumps(load_outcome(folder).to_json(), indent=2))
    elif format == "csv":
        sys.stdout.write(results_csv(read_events(folder.journal_path)))
    else:
        outcome = load_outcome(folder)
        _show_trials(outcome, by_value=sort == "value" or top is not None, top=top)
        _show_jobs(outcome)
        say(overview(outcome))
    return 0


@logs_app.default
def logs(experiment: str, trial: NonNegativeInt, /, *, follow: bool = False) -> int:
    """Print the output of a trial.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, or path of the folder.
    trial
        Number of the trial.
    follow
        Continue until the trial's run ends.
    """
    folder = find_experiment(experiment)
    n_trials = load_outcome(folder).history.n_trials
    if trial >= n_trials:
        raise SettingsError(
            f"{folder.name} has the trials 0 to {n_trials - 1}"
            if n_trials
            else f"{folder.name} has no trials"
        )
    stored = Experiment.from_json(folder.metadata())
    log = stored.plugin.logs(stored.backend, stored.context(folder), trial)
    try:
        if follow:
            _follow(log, folder, trial)
        _print_new(log)
    finally:
        log.close()
    return 0


def overview(outcome: Outcome) -> str:
    """An experiment in a few lines."""
    data = outcome.to_json()
    lines = [
        ("experiment", data["experiment"]),
        *([("note", outcome.folder.note)] if outcome.folder.note else []),
        *([("origin", f"the best of {outcome.metadata.origin}")] if outcome.metadata.origin else []),
        ("status", _status_text(outcome)),
        *_request_lines(outcome),
        (
            "what",
            f"{data['method']} on {data['benchmark']}, seed {data['seed']}, {_place(outcome)}",
        ),
        ("trials", _counts_text(outcome)),
        ("results", data["num_results"]),
        ("time", f"{duration(outcome.wallclock_time)}, {outcome.suggest_time:.3f} s of it deciding"),
    ]
    if outcome.constraints:
        lines.append(("constraints", f"{', '.join(map(str, outcome.constraints))} (! marks broken ones)"))
    lines += _best_lines(outcome)
    if (table := outcome.metadata.table) and table.values == "surrogate":
        lines.append(("values", f"predicted, not recorded: {table.note}"))
    lines += _said_lines(outcome)
    backend = outcome.metadata.backend_name
    if backend in data:
        lines.append((backend, _service_text(data[backend])))
    if backend not in data and outcome.history.cost:
        lines.append(("cost", f"${outcome.history.cost:.2f}"))
    if outcome.status.is_finished and outcome.history.n_results:
        lines += _report_lines(outcome)
    lines += _next_lines(outcome)
    lines.append(("folder", str(outcome.path)))
    return "\n".join(labelled(label, value, width=12) for label, value in lines)


def _place(outcome: Outcome) -> str:
    """The backend, or the tool that an experiment was imported from."""
    imported = outcome.metadata.imported
    return outcome.metadata.backend_name if imported is None else f"imported from {imported['tool']}"


def _request_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """Requests from outside, each at its time, and the ones that no tuner has taken yet."""
    lines = [f"{duration(event.t)}: {request_text(event)}" for event in outcome.requests]
    taken = [event.arguments.get("request") for event in outcome.requests]
    for filed in read_requests(outcome.folder):
        if filed.id not in taken:
            trial_id = getattr(filed.request, "trial_id", None)
            text = action_text(action_of(filed.request), trial_id, arguments_of(filed.request))
            lines.append(f"waits: {text}")
    return [("" if place else "requests", line) for place, line in enumerate(lines)]


def _counts_text(outcome: Outcome) -> str:
    """Count trials by status, and those that began with known results."""
    counts = ", ".join(f"{n} {status}" for status, n in outcome.counts.items() if n) or "none"
    n_known = KnownResults().n_trials(outcome.history)
    return f"{counts}; {n_known} of them with known results" if n_known else counts


def _report_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """Shares of the workers' time; importance of the hyperparameters if there are enough trials."""
    spent = outcome.worker_time()
    lines = [("workers", _workers_text(spent)), *(("", text) for text in _starts_texts(spent))]
    if len(outcome.ranked()) >= _LEAST_FOR_IMPORTANCE:
        with suppress(MissingExtraError, SettingsError):
            lines += _importance_lines(outcome.importance())
    return lines


def _workers_text(time: WorkerTime) -> str:
    shares = {
        "training": time.training,
        "starting": time.starting,
        "uploading": time.uploading,
        "idle": time.idle,
    }
    spent = ", ".join(f"{percent(share)} {name}" for name, share in shares.items() if share >= _LEAST_SHARE)
    return f"{time.n_workers}: {spent}"


def _starts_texts(time: WorkerTime) -> list[str]:
    """Median durations of cold and warm starts, if they are known."""
    kinds = (("cold", time.n_cold, time.cold_start), ("warm", time.n_warm, time.warm_start))
    return [
        f"{plural(n, f'{kind} start')} of {seconds:.3g} s (median)"
        for kind, n, seconds in kinds
        if n and math.isfinite(seconds)
    ]


def _importance_lines(found: Importance) -> list[tuple[str, str]]:
    """The most important hyperparameters with the deviation over shuffles, and how far the model is to be trusted."""
    shown = list(found.mean)[:_MOST_IMPORTANT]
    width = max(map(len, shown))
    texts = [f"{name:<{width}} {found.mean[name]:5.2f} ± {found.spread[name]:.2f}" for name in shown]
    trust = "uncertain: " if found.is_weak else ""
    texts.append(
        f"{trust}{percent(max(0.0, found.explained))} of the variance of {found.n_trials:,} trials explained"
    )
    return [("importance" if number == 0 else "", text) for number, text in enumerate(texts)]


def _best_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """The best result, or those that no other dominates; only such that keep the constraints."""
    best = outcome.best
    if best is None and outcome.constraints and outcome.history.n_results:
        return [("best", "none: no result keeps the constraints")]
    if len(outcome.metrics) > 1:
        count, front = front_lines(_facts(outcome), outcome.history)
        return [("best", count), *(("", line) for line in front)]
    if best is None:
        return []
    return [
        ("best", best_value(outcome, best)),
        ("", config_text(best.config, outcome.space)),
        ("use it", f"tunewright best {outcome.folder.name} --format cli"),
    ]


def _next_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """What to do next, each with its command; nothing after an import."""
    if outcome.metadata.imported is not None:
        return []
    steps = next_steps(_facts(outcome), outcome.history, outcome.status)
    texts = [text for step in steps for text in (step.text, step.command and f"  {step.command}") if text]
    return [("next" if number == 0 else "", text) for number, text in enumerate(texts)]


def _said_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """The newest messages of the method, each with the trial before which it decided so."""
    history = outcome.history
    said = [
        (run.trial_id, text)
        for run in history.runs
        for text in messages(history.note(run.trial_id, run.attempt))
    ]
    labels = ("decisions", *[""] * (_MOST_MESSAGES - 1))
    return [
        (label, f"trial {trial}: {text}")
        for label, (trial, text) in zip(labels, said[-_MOST_MESSAGES:], strict=False)
    ]


def _facts(outcome: Outcome) -> ProgressFacts:
    return stored_facts(outcome.metadata, outcome.folder.name, outcome.constraints)


def _status_text(outcome: Outcome) -> str:
    note = live_marker(outcome.path) if outcome.status is ExperimentStatus.RUNNING_ELSEWHERE else None
    return outcome.status if note is None else f"running {note.text()}"


def _show_trials(outcome: Outcome, *, by_value: bool, top: int | None) -> None:
    resource = outcome.resource
    history, metrics, space = outcome.history, outcome.metrics, outcome.space
    bounds = outcome.constraints
    rows: list[Sequence[Any]] = []
    reached = dict(outcome.ranked())
    order = [*reached, *(trial.id for trial in outcome.trials if trial.id not in reached)]
    best = (
        {point.trial_id for point in outcome.pareto}
        if len(metrics) > 1
        else set(order[:1] if reached else ())
    )
    for trial in map(history.trial, (order if by_value else sorted(order))[:top]):
        last = reached.get(trial.id) if by_value else history.last(trial.id)
        is_left = history.status(trial.id) is TrialStatus.RUNNING and not outcome.is_running
        rows.append(
            (
                f"{trial.id} *" if trial.id in best else trial.id,
                TrialStatus.STOPPED if is_left else _trial_status(history, trial.id),
                "" if last is None else last.resource,
                *("" if last is None else value_text(metric, last) for metric in metrics),
                *("" if last is None else constraint_text(bound, last) for bound in bounds),
                config_text(trial.config, space),
            )
        )
    values = (*(f"{metric.name} ({metric.goal})" for metric in metrics), *map(str, bounds))
    print_table(("trial", "status", resource, *values, "configuration"), rows)
    if len(rows) < len(order):
        say(f"and {len(order) - len(rows)} more")
    for trial_id in (trial.id for trial in outcome.trials if history.error(trial.id)):
        say(f"Trial {trial_id} failed: {history.error(trial_id).strip()}")


def _trial_status(history: History, trial_id: int) -> str:
    """The status of a trial; ``known`` if all of its results were known."""
    last = history.last(trial_id)
    is_known = last is not None and last.resource <= known_resource(history, trial_id)
    return "known" if is_known else history.status(trial_id)


def _watch(folder: ExperimentFolder) -> None:
    """Follow a running experiment until it ends; the last look is the caller's."""
    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        while (outcome := load_outcome(folder)).status is ExperimentStatus.RUNNING:
            live.update(Text(overview(outcome)), refresh=True)
            time.sleep(_INTERVAL)


def _show_jobs(outcome: Outcome) -> None:
    """The training jobs with their warm pools, as the console shows them; start-up times when the session has ended."""
    records = outcome.summary.get("job_records", [])
    if records:
        print_table(
            ("job", "start", "seconds to begin", "warm pool", "why not reused"), map(_job_row, records)
        )


def _job_row(record: dict[str, Any]) -> Sequence[Any]:
    startup = record["startup"]
    seconds = "" if startup is None else f"{startup:.0f}"
    return (
        record["name"],
        "warm" if record["is_warm"] else "cold",
        seconds,
        record["pool"] or "-",
        record["why"],
    )


def _service_text(data: dict[str, Any]) -> str:
    calls = ", ".join(f"{operation} {n}" for operation, n in sorted(data["calls"].items()))
    starts = starts_text(data["job_records"]) or plural(data["warm_starts"], "warm start")
    saved = spot_text(data["spot_saved_seconds"], data["billable_seconds"], data["interruptions"])
    phases = ", ".join(f"${spent:.2f} {phase}" for phase, spent in data["cost_phases"].items())
    prices = data.get("prices", "")
    return (
        f"{plural(data['jobs'], 'job')}, {starts}, {data['billable_seconds']:,.0f} billed seconds, "
        f"{data['pool_idle_seconds']:,.0f} idle, {saved + ', ' if saved else ''}${data['cost']:.2f}"
        f"{f' ({phases})' if phases else ''}{f', prices: {prices}' if prices else ''}; calls: {calls or 'none'}"
    )


def _outcomes(tag: str | None) -> Iterator[Outcome]:
    for folder in experiments(tag):
        try:
            yield load_outcome(folder)
        except TunewrightError as error:
            sys.stderr.write(f"Left out {folder.name}: {error}\n")


def _list_row(outcome: Outcome) -> Sequence[Any]:
    best = outcome.best
    return (
        outcome.folder.name,
        outcome.status,
        outcome.history.n_trials,
        outcome.history.n_results,
        duration(outcome.wallclock_time),
        "-" if best is None else f"{outcome.metric.name} {number(best.value)}",
    )


def _follow(log: TrialLog, folder: ExperimentFolder, trial_id: int) -> None:
    while _is_running(folder, trial_id):
        _print_new(log)
        time.sleep(_INTERVAL)


def _is_running(folder: ExperimentFolder, trial_id: int) -> bool:
    outcome = load_outcome(folder)
    return (
        outcome.status is ExperimentStatus.RUNNING and outcome.history.status(trial_id) is TrialStatus.RUNNING
    )


def _print_new(log: TrialLog) -> None:
    sys.stdout.write(log.new_text())
    sys.stdout.flush()
