"""``--on_end``: a command of the user that gets the summary of an experiment when a session on it has ended."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import Final

from tunewright.exceptions import SettingsError, TunewrightError
from tunewright.experiments.outcome import load_outcome
from tunewright.storage import ExperimentFolder

TIME_LIMIT: Final = 60.0
"""Seconds after which the command is killed."""
_log = logging.getLogger(__name__)


def words_of(command: str) -> list[str]:
    """The program of a command and its arguments, as a shell separates them.

    Raises
    ------
    SettingsError
        There is no program, or a quote is open.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"--on_end {command!r} cannot be read: {error}") from None
    if not words:
        raise SettingsError("--on_end needs a command")
    return words


def check_command(command: str) -> None:
    """Make sure that the program of a command is on this machine.

    Raises
    ------
    SettingsError
        It is not.
    """
    program = words_of(command)[0]
    if shutil.which(program) is None:
        raise SettingsError(f"--on_end: there is no program {program} on this machine that can be run")


def run_on_end(command: str, folder: ExperimentFolder) -> None:
    """Run a command with the data of ``tunewright show --format json`` on its standard input.

    A command that fails, or takes longer than a minute, leads to a warning. Ctrl-C ends it.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        The experiment's folder.
    """
    try:
        summary = {**load_outcome(folder).to_json(), "folder": str(folder.path)}
        process = subprocess.Popen(words_of(command), stdin=subprocess.PIPE, start_new_session=True)
    except (OSError, TunewrightError) as error:
        _log.warning("--on_end %s was not run: %s", command, error)
        return
    try:
        process.communicate(json.dumps(summary).encode() + b"\n", TIME_LIMIT)
    except subprocess.TimeoutExpired:
        _log.warning("--on_end %s took longer than %g s and was ended", command, TIME_LIMIT)
        return
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode:
        _log.warning("--on_end %s failed with exit code %d", command, process.returncode)
