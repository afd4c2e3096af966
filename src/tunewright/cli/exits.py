"""Exit codes, errors in one line, and lines of output. Only the standard library: ``tunewright --help`` is quick."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from tunewright.exceptions import MissingExtraError, SettingsError, SpaceError, TableError, TunewrightError

FAILED: Final = 1
"""Exit code of a failed experiment."""
BAD_INPUT: Final = 2
"""Exit code for invalid input; nothing was started."""
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C; everything is saved."""

_BAD_INPUT: Final = (SettingsError, SpaceError, TableError, MissingExtraError)
_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES})
"""Errors of a disk that is full or not writable."""


def run_command(command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code.

    Errors of Tunewright are one line on stderr, with ``--verbose`` a traceback.

    Parameters
    ----------
    command
        Takes the arguments, returns the exit code.
    arguments
        Default: those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _make_writable()
    try:
        code = command(given)
        sys.stdout.flush()
    except TunewrightError as error:
        code = report_error(error, is_verbose="--verbose" in given)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        code = FAILED
    except OSError as error:
        if error.errno not in _UNWRITABLE or "--verbose" in given:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(
            f"Error: {place}{error.strerror}: free or unlock the disk, or set TUNEWRIGHT_HOME to another folder\n"
        )
        code = FAILED
    raise SystemExit(code)


def report_error(error: TunewrightError, *, is_verbose: bool = False) -> int:
    """Print an error to stderr and return its exit code."""
    if is_verbose:
        traceback.print_exception(error)
    else:
        sys.stderr.write(f"Error: {error}\n")
    return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED


def discard_stdout() -> None:
    """Discard all further output: its reader ended, such as ``head``, and later writes must not raise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_while_read(line: str) -> None:
    """Print a line; an experiment continues silently if the reader of its output ended, such as ``head``."""
    try:
        say(line)
    except BrokenPipeError:
        discard_stdout()


def _make_writable() -> None:
    """Replace a closed stream by the null device; print characters escaped that the encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the exit
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
