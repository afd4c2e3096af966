"""``tunewright best``: the best configuration of an experiment, printed, with its checkpoint, or trained to the end."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from tunewright.cli.confirm import settle
from tunewright.cli.exits import say
from tunewright.cli.launch import report_failures
from tunewright.cli.output import print_table, set_up_logging, watch_progress
from tunewright.cli.parsing import command_app
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.experiments import (
    SEED_NAMES,
    Best,
    Experiment,
    ExperimentPlan,
    MethodSpec,
    Outcome,
    load_outcome,
    retrainings,
    run_plan,
)
from tunewright.formatting import arguments_text, config_text, number, plural, reached_text
from tunewright.storage import ExperimentFolder, find_experiment, replacing
from tunewright.trial import Result
from tunewright.types import Config

best_app = command_app(
    "best", "Print the best configuration of an experiment, to use it, or train it to the end."
)


@best_app.default
def best(
    experiment: str,
    /,
    *,
    format: Literal["table", "cli", "json", "yaml", "toml", "python"] = "table",  # noqa: A002 - the flag's name
    retrain: bool = False,
    resource: PositiveInt | None = None,
    n_seeds: PositiveInt | None = None,
    copy_checkpoint: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    yes: bool = False,
    verbose: bool = False,
) -> int:
    """Print the best configuration, copy its checkpoint, or train it to the end.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, path of the folder, or @last.
    format
        table: with what it reached; cli: arguments of the script; json, yaml, toml, python: the configuration.
    retrain
        Train it to the end with the experiment's backend, as a new experiment under the tag best-TAG.
    resource
        With --retrain: resource of a full run, such as the number of epochs (default: the experiment's).
    n_seeds
        With --retrain: number of runs with different seeds, for the mean and the standard deviation.
    copy_checkpoint
        Copy the checkpoint of its trial into this new folder, also from S3.
    yes
        Do not ask before something that costs money is created.
    verbose
        Print informational messages, and tracebacks of errors.
    """
    set_up_logging(is_verbose=verbose)
    if not retrain and (resource is not None or n_seeds is not None):
        raise SettingsError("--resource and --n_seeds are flags of --retrain: add it")
    if retrain and copy_checkpoint is not None:
        raise SettingsError(
            "--copy_checkpoint copies what is there: after --retrain it is "
            "tunewright best @last --copy_checkpoint DIR"
        )
    outcome = load_outcome(find_experiment(experiment))
    found = outcome.best
    if found is None:
        raise SettingsError(
            f"{outcome.folder.name} has no best result: tunewright show {outcome.folder.name}"
        )
    if retrain:
        cells = retrainings(
            _stored(outcome.folder), outcome.folder.name, found.config, resource=resource, n_seeds=n_seeds
        )
        return _retrain(outcome, found, cells, is_agreed=yes, is_verbose=verbose)
    if copy_checkpoint is not None:
        _copy_checkpoint(outcome, found, copy_checkpoint)
        return 0
    if format != "table":
        say(_config_as(format, found.config, outcome.metadata.benchmark.argument_style))
        return 0
    _print(outcome, found)
    return 0


def best_value(outcome: Outcome, found: Best) -> str:
    """Format the best value with its direction and place."""
    error = "" if found.standard_error is None else f" ± {found.standard_error:.2g}"
    return reached_text(
        outcome.metric, found.value, error, f"trial {found.trial_id}, {outcome.resource} {found.resource}"
    )


def _print(outcome: Outcome, found: Best) -> None:
    """Print a configuration with what it reached."""
    say(f"{best_value(outcome, found)} of {outcome.folder.name}")
    for name, value in found.config.items():
        mark = "" if name in outcome.space.names else "  (constant)"
        say(f"  {name} = {value}{mark}")
    last, full = outcome.history.last(found.trial_id), outcome.metadata.max_resource
    if last is not None and full is not None and last.resource < full:
        say(
            f"Trained to {outcome.resource} {last.resource} of {full}; to the end: "
            f"tunewright best {outcome.folder.name} --retrain"
        )
    if place := _checkpoint_place(outcome, found):
        say(place)


def _config_as(form: str, config: Config, style: str) -> str:
    """A configuration in a form of ``best``, as arguments in the style of its script."""
    if form == "json":
        return json.dumps(dict(config))
    if form == "python":
        return repr(dict(config))
    if form == "cli":
        return arguments_text(config, style)
    sign = " =" if form == "toml" else ":"
    keys = {name: name if re.fullmatch(r"[A-Za-z][\w-]*", name) else json.dumps(name) for name in config}
    return "\n".join(f"{keys[name]}{sign} {json.dumps(value)}" for name, value in config.items())


def _stored(folder: ExperimentFolder) -> Experiment:
    """A stored experiment; its method, which may be a function of the user, is replaced."""
    return Experiment.from_json({**folder.metadata(), "method": MethodSpec(name="RandomSearch").to_json()})


# --- its checkpoint


def _checkpoint_place(outcome: Outcome, found: Best) -> str:
    """Resource and place of the trial's newest checkpoint as a line; empty if there is none, or no backend that knows it."""
    checkpoint = outcome.history.checkpoint(found.trial_id)
    if checkpoint is None:
        return ""
    try:
        stored = _stored(outcome.folder)
        place = stored.plugin.checkpoint_place(stored.backend, stored.context(outcome.folder), checkpoint)
    except (SettingsError, MissingExtraError):  # of a backend or version that is not installed here
        return ""
    return f"Checkpoint of {outcome.resource} {checkpoint.resource}: {place}" if place else ""


def _copy_checkpoint(outcome: Outcome, found: Best, folder: Path) -> None:
    """Copy the trial's newest checkpoint; after an error or Ctrl-C there is no folder."""
    checkpoint = outcome.history.checkpoint(found.trial_id)
    if checkpoint is None:
        raise SettingsError(
            f"Trial {found.trial_id} of {outcome.folder.name} left no checkpoint: its script wrote nothing into the folder of its "
            "argument --checkpoint_dir"
        )
    target = folder.expanduser().absolute()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise SettingsError(f"{target} is not empty: give a new folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        stored = _stored(outcome.folder)
        with replacing(target) as unfinished:
            stored.plugin.copy_checkpoint(
                stored.backend, stored.context(outcome.folder), checkpoint, unfinished
            )
    except OSError as error:
        raise SettingsError(f"Cannot write {target}: {error}. Choose another folder") from None
    say(
        f"Copied the checkpoint of trial {found.trial_id}, {outcome.resource} {checkpoint.resource}, to {target}"
    )


# --- training to the end


def _retrain(
    outcome: Outcome, found: Best, cells: Sequence[Experiment], *, is_agreed: bool, is_verbose: bool
) -> int:
    """Run the experiments of :func:`retrainings`, and compare the end of their trials with the best result."""
    plan = ExperimentPlan(tuple(cells)).validated()
    settled = settle(plan[0], is_agreed=is_agreed).backend
    plan = plan.map(lambda cell: replace(cell, backend=settled))
    n_runs = sum(len(cell.benchmark.points_to_evaluate or ()) for cell in plan)
    say(
        f"Trains the configuration of trial {found.trial_id} of {outcome.folder.name} to the end, "
        f"{plural(n_runs, 'run')}: {config_text(found.config, outcome.space)}"
    )
    results = run_plan(plan, watch=watch_progress, say=say)
    code = report_failures(results, is_verbose=is_verbose)
    ends = [end for result in results if result.outcome for end in _ends(result.outcome)]
    if ends:
        _print_ends(outcome, found, ends, n_runs)
    return code


def _ends(outcome: Outcome) -> list[tuple[str, Config, Result]]:
    """Experiment, configuration and last result of each trial that has one."""
    return [
        (outcome.folder.name, trial.config, last)
        for trial in outcome.trials
        if (last := outcome.history.last(trial.id)) is not None
    ]


def _print_ends(
    outcome: Outcome, found: Best, ends: Sequence[tuple[str, Config, Result]], n_runs: int
) -> None:
    """Print the values at the end of the runs, and their mean and standard deviation."""
    metric = outcome.metric
    values = [last.metrics[metric.name] for _, _, last in ends]
    seed = next((name for name in SEED_NAMES if len({config.get(name) for _, config, _ in ends}) > 1), None)
    if len(values) > 1:
        rows = [
            (
                name,
                *([] if seed is None else [config[seed]]),
                last.resource,
                number(last.metrics[metric.name]),
            )
            for name, config, last in ends
        ]
        print_table(
            ("experiment", *([] if seed is None else [seed]), outcome.resource, f"{metric.name} at the end"),
            rows,
        )
    before = f"{number(found.value)} at {outcome.resource} {found.resource} in {outcome.folder.name}"
    mean = number(math.fsum(values) / len(values))
    if n_runs == 1:
        say(f"{metric.name} at the end: {mean} ({outcome.resource} {ends[0][2].resource}); {before}")
        return
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    of = plural(len(values), "run") if len(values) == n_runs else f"{len(values)} of {n_runs} runs"
    say(f"{metric.name} at the end: {mean}{spread} (mean and standard deviation of {of}); {before}")
