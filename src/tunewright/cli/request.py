"""``tunewright request``: requests to the tuner of an experiment, also while it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from tunewright.cli.exits import say
from tunewright.cli.parsing import command_app
from tunewright.events import RequestEvent, decode_line
from tunewright.exceptions import SettingsError
from tunewright.experiments.remote_marker import RemoteMarker, live_marker
from tunewright.formatting import request_text, seconds_of
from tunewright.journal import is_locked
from tunewright.remote.launch import open_launch
from tunewright.remote.mirror import fetch_views, send_request
from tunewright.remote.mirror import withdraw_request as withdraw_stored
from tunewright.requests import (
    ChangeLimits,
    PauseTrial,
    Request,
    ResumeTrial,
    SetWorkers,
    StopExperiment,
    StopTrial,
    TryConfig,
    WriteNote,
    withdraw_request,
    write_request,
)
from tunewright.storage import ExperimentFolder, find_experiment

_LOOK: Final = 0.1  # seconds between two looks at the journal
_REMOTE_LOOK: Final = 2.0  # seconds between two looks at S3
_WAIT: Final = 10.0
_Experiment = Annotated[str, Parameter(help="The experiment.")]
_Trial = Annotated[NonNegativeInt, Parameter(help="Number of the trial.")]
_Reason = Annotated[str, Parameter(help="Remark that is stored.")]
_Wait = Annotated[NonNegativeFloat, Parameter(help="Seconds to wait for the answer.")]

app = command_app(
    "request",
    "Ask the tuner of an experiment to stop, pause or resume a trial, to try a configuration, or to change limits or workers. "
    "EXPERIMENT is a name, a unique beginning of one, the path of a folder, or @last.",
)


@app.command(name="stop", help="Stop a trial, or the experiment.")
def stop(
    experiment: _Experiment,
    trial: NonNegativeInt | None = None,
    /,
    *,
    reason: _Reason = "",
    wait: _Wait = _WAIT,
) -> int:
    """Stop a trial, or the experiment.

    Parameters
    ----------
    trial
        Number of a running trial (default: the whole experiment).
    """
    if trial is None:
        return _send(
            experiment, StopExperiment(reason=reason), "The experiment ends; resume continues it", wait
        )
    return _send(experiment, StopTrial(trial_id=trial, reason=reason), f"Trial {trial} ends for good", wait)


@app.command(name="pause", help="Pause a running trial; its checkpoint is kept.")
def pause(experiment: _Experiment, trial: _Trial, /, *, reason: _Reason = "", wait: _Wait = _WAIT) -> int:
    """Pause a running trial."""
    text = f"Trial {trial} pauses until a request resumes it; the method does without it meanwhile"
    return _send(experiment, PauseTrial(trial_id=trial, reason=reason), text, wait)


@app.command(name="resume", help="Resume a trial that a request has paused.")
def resume(experiment: _Experiment, trial: _Trial, /, *, reason: _Reason = "", wait: _Wait = _WAIT) -> int:
    """Resume a trial that a request has paused."""
    text = f"Trial {trial} goes on as soon as a worker is free"
    return _send(experiment, ResumeTrial(trial_id=trial, reason=reason), text, wait)


@app.command(name="try", help="Try a configuration before the method's own ones.")
def try_config(
    experiment: _Experiment,
    /,
    *values: Annotated[str, Parameter(name="NAME=VALUE")],
    reason: _Reason = "",
    wait: _Wait = _WAIT,
) -> int:
    """Try a configuration before the method's own ones.

    Parameters
    ----------
    values
        Hyperparameters; those that are not given have their defaults.
    """
    config: dict[str, str | int | float | bool] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"{text!r} is not NAME=VALUE, such as lr=0.1")
        config[name] = value
    request = TryConfig(config=config, reason=reason)
    return _send(experiment, request, "The configuration begins as soon as a worker is free", wait)


@app.command(name="limits", help="Change limits, for this session and later ones.")
def limits(
    experiment: _Experiment,
    /,
    *,
    max_wallclock_time: Annotated[str | None, Parameter(show_default=False)] = None,
    max_num_trials: PositiveInt | None = None,
    max_num_evaluations: PositiveInt | None = None,
    max_cost: PositiveFloat | None = None,
    reason: _Reason = "",
    wait: _Wait = _WAIT,
) -> int:
    """Change limits.

    Parameters
    ----------
    max_wallclock_time
        Seconds, or a time such as 10m or 2h, on the experiment's clock.
    max_num_trials
        Trials started.
    max_num_evaluations
        Number of reports.
    max_cost
        Dollars of all runs.
    """
    try:
        seconds = None if max_wallclock_time is None else seconds_of(max_wallclock_time)
    except ValueError as error:
        raise SettingsError(f"--max_wallclock_time: {error}") from None
    request = ChangeLimits(
        max_wallclock_time=seconds,
        max_num_trials=max_num_trials,
        max_num_evaluations=max_num_evaluations,
        max_cost=max_cost,
        reason=reason,
    )
    return _send(experiment, request, "The limits change; the others stay", wait)


@app.command(name="workers", help="Change the number of trials at the same time.")
def workers(
    experiment: _Experiment, n_workers: PositiveInt, /, *, reason: _Reason = "", wait: _Wait = _WAIT
) -> int:
    """Change the number of trials at the same time.

    Parameters
    ----------
    n_workers
        The new number; running trials go on.
    """
    text = f"Up to {n_workers} trials run at the same time; running ones go on"
    return _send(experiment, SetWorkers(n_workers=n_workers, reason=reason), text, wait)


@app.command(name="note", help="Write a note into the journal, on a trial or on the experiment.")
def note(
    experiment: _Experiment,
    text: str,
    /,
    *,
    trial: NonNegativeInt | None = None,
    wait: _Wait = _WAIT,
) -> int:
    """Write a note into the journal.

    Parameters
    ----------
    text
        The note.
    trial
        Number of the trial that it is on (default: the experiment).
    """
    return _send(experiment, WriteNote(text=text, trial_id=trial), "The note is stored", wait)


@app.command(name="cancel", help="Take back a request that no tuner has taken yet.")
def cancel(experiment: _Experiment, number: str, /) -> int:
    """Take back a request that no tuner has taken yet.

    Parameters
    ----------
    number
        Id of the request, as it was printed.
    """
    folder = find_experiment(experiment)
    if marker := live_marker(folder.path):
        with open_launch(marker.tag) as launch:
            is_withdrawn = withdraw_stored(launch, folder, marker.name, number)
    else:
        is_withdrawn = withdraw_request(folder, number)
    if not is_withdrawn:
        raise SettingsError(f"No request {number} waits in {folder.name}")
    say(f"Taken back: {number}")
    return 0


def _send(experiment: str, request: Request, effect: str, wait: float) -> int:
    """Write a request, say its effect, and print what the tuner has done or why it refuses."""
    folder = find_experiment(experiment)
    if marker := live_marker(folder.path):
        return _send_remotely(folder, marker, request, effect, wait)
    size = _size(folder.journal_path)
    number = write_request(folder, request)
    say(f"Request to {folder.name}: {effect}")
    if not is_locked(folder.journal_path):
        say(
            f"No tuner works on it: the request is taken when the experiment is resumed. {_choices(folder, number)}"
        )
        return 0
    deadline = time.monotonic() + wait
    while (event := _answer(folder.journal_path, size, number)) is None:
        if time.monotonic() >= deadline or not is_locked(folder.journal_path):
            say(f"The request waits: the tuner has not taken it yet. {_choices(folder, number)}")
            return 0
        time.sleep(_LOOK)
    return _say_done(event)


def _send_remotely(
    folder: ExperimentFolder, marker: RemoteMarker, request: Request, effect: str, wait: float
) -> int:
    """Put a request into S3 for the tuner in a tuning job, and fetch its journal until the request is in it."""
    journal = folder.journal_path
    size, deadline = _size(journal), time.monotonic() + wait
    with open_launch(marker.tag) as launch:
        number = send_request(launch, folder, marker.name, request)
        say(f"Request to {folder.name}, in the tuning job of {marker.name}: {effect}")
        while (event := _answer(journal, size, number)) is None:
            if time.monotonic() >= deadline:
                say(
                    f"The request waits in S3, where the tuner looks every few seconds while its job runs. Look again: tunewright "
                    f"remote fetch {marker.tag}; take back: tunewright request cancel {folder.name} {number}"
                )
                return 0
            time.sleep(_REMOTE_LOOK)
            fetch_views(launch, [one for one in launch.look() if one.slice.name == marker.name])
    return _say_done(event)


def _say_done(event: RequestEvent) -> int:
    if not event.done:
        raise SettingsError(f"Refused: {event.reason}")
    say(f"Done: {request_text(event)}")
    return 0


def _choices(folder: ExperimentFolder, number: str) -> str:
    return f"Continue: tunewright resume {folder.name}; take back: tunewright request cancel {folder.name} {number}"


def _size(journal: Path) -> int:
    return journal.stat().st_size if journal.exists() else 0


def _answer(journal: Path, begin: int, number: str) -> RequestEvent | None:
    """The event of a request among the lines of a journal from a byte on; None if there is none yet."""
    if not journal.exists():
        return None
    with journal.open("rb") as file:
        file.seek(begin)
        lines = file.read().splitlines(keepends=True)
    for line in lines:
        if number.encode() in line and line.endswith(b"\n"):
            event = decode_line(line)
            if isinstance(event, RequestEvent) and event.arguments.get("request") == number:
                return event
    return None
