"""Exit codes, and errors in one line."""

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
"""Exit code where an experiment failed."""
BAD_INPUT: Final = 2
"""Exit code where what the user gave cannot work; nothing was started."""
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C; everything is saved."""

_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES})
"""What the disk of the user's results may say."""

_BAD_INPUT: Final = (SettingsError, SpaceError, TableError, MissingExtraError)


def run_command(command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code.

    Errors that Tunewright raises on purpose are one line on stderr; with ``--verbose`` their traceback is shown.

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
        forsake_stdout()
        code = FAILED
    except OSError as error:
        if error.errno not in _UNWRITABLE or "--verbose" in given:
            raise
        sys.stderr.write(
            f"Error: {error}: free or unlock the disk, or set TUNEWRIGHT_HOME to another folder\n"
        )
        code = FAILED
    raise SystemExit(code)


def forsake_stdout() -> None:
    """Throw away what is printed from now on: the reader went away, such as head, and no later write must raise."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_writable() -> None:
    """Where a stream is closed, take the null device; what its encoding has not, print escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the exit
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def report_error(error: TunewrightError, *, is_verbose: bool = False) -> int:
    """Print an error to stderr; return the exit code that belongs to it."""
    if is_verbose:
        traceback.print_exception(error)
    else:
        sys.stderr.write(f"Error: {error}\n")
    return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED
