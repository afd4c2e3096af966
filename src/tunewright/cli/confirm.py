"""Description and confirmation of an experiment before anything is created."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from tunewright.backends.plugin import BackendConfig, Description
from tunewright.cli.exits import say
from tunewright.cli.output import ask_user
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment
from tunewright.state import replay_history
from tunewright.trial import Start

C = TypeVar("C")


def settle(experiment: Experiment, *, is_agreed: bool, is_new: bool = True) -> Experiment:
    """Decide the backend's open settings, say what will be created, and have it confirmed if it costs money.

    Parameters
    ----------
    experiment
        The experiment.
    is_agreed
        Whether ``--yes`` was given.
    is_new
        Whether it begins; one that continues has its settings decided.

    Raises
    ------
    SettingsError
        A setting does not fit, or the user did not confirm; nothing was created.
    """
    if is_new:
        experiment.check_settings()
    description = experiment.plugin.describe(experiment.backend, experiment.context())
    return replace(experiment, backend=confirm(description, is_agreed=is_agreed, is_new=is_new))


def show_dry_run(experiment: Experiment) -> int:
    """Print the request that begins the first trial; create nothing. Return the exit code.

    Raises
    ------
    SettingsError
        The experiment cannot run, or its backend sends no requests.
    BackendError
        On AWS: there are no credentials, or no role.
    """
    known, points = experiment.known_results, experiment.benchmark.points_to_evaluate
    if known and points is not None:  # they come first, and need no request
        benchmark = experiment.benchmark.replace(points_to_evaluate=points[len(known) :])
        experiment = replace(experiment, benchmark=benchmark, known_results=())
    first = experiment.build_scheduler().suggest(replay_history(()))
    if not isinstance(first, Start):
        raise SettingsError(f"{experiment.label} has nothing to start: is the space empty?")
    experiment.check_settings()
    plugin, context = experiment.plugin, experiment.context()
    settled: BackendConfig = plugin.describe(experiment.backend, context).config
    say(plugin.dry_run(settled, context, first))
    return 0


def confirm(
    description: Description[C],
    *,
    is_agreed: bool,
    is_new: bool = True,
    ask: Callable[[str], str] | None = None,
) -> C:
    """Print a description, and have it confirmed if that is needed.

    Returns
    -------
    C
        The config with all settings decided.

    Raises
    ------
    SettingsError
        The user did not confirm, or there is no terminal to ask at; nothing was created.
    """
    for line in (*(description.advice if is_new else ()), *description.lines):
        say(line)
    if description.must_confirm and not is_agreed:
        if sys.stdin.isatty():
            if (ask or ask_user)("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
                raise SettingsError("Not confirmed: nothing was created")
        elif description.unattended_error:
            raise SettingsError(description.unattended_error)
    return description.config
