"""FunctionServer: the process that forks a process for each trial of a Python function; see `tunewright.runner.function_server`.

This is the only module that pickles. What it pickles goes through a pipe to its own child, and nowhere else.
"""

from __future__ import annotations

import contextlib
import pickletools
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import cloudpickle

from tunewright.exceptions import SettingsError
from tunewright.runner.contract import Mode
from tunewright.runner.function_server import ANEW, is_installed, write_function

_WAITING = 64
"""Runners that may wait for the server's answer."""
_PATIENCE = 5.0
"""Seconds for the server's end."""


@final
class FunctionServer:
    """A running server; it ends with :meth:`close`, or with this process.

    Parameters
    ----------
    runner
        The zipapp.
    python
        Its interpreter.
    spec
        ``module:name`` or ``path/file.py:name``.
    pickled
        The function as :func:`pickled_function` returns it; empty: trials import it.
    environment
        Of the server; trials have their own.
    log
        File for its messages.
    may_fork
        Whether trials are forks of it; False: each has a new interpreter.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(
        self,
        runner: Path,
        *,
        python: str,
        spec: str,
        pickled: bytes,
        environment: Mapping[str, str],
        log: Path,
        may_fork: bool,
    ) -> None:
        # not in the experiment's folder: paths of sockets have at most 107 characters
        self._folder = Path(tempfile.mkdtemp(prefix="tunewright-"))
        self.address = str(self._folder / "functions")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, log.open("ab") as file:
            listener.bind(self.address)
            listener.listen(_WAITING)  # from here on runners may connect, and wait for the server
            arguments = [str(listener.fileno()), self.address, spec, *([] if may_fork else [ANEW])]
            self._process = subprocess.Popen(
                [python, str(runner), Mode.FUNCTIONS.value, *arguments],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=dict(environment),
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        self._pipe = self._process.stdin
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                write_function(self._pipe, pickled, packages_in(pickled) if pickled else [])

    def close(self) -> None:
        """End the server; trials that still run are not touched."""
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                self._pipe.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:  # it still imports
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def pickled_function(function: Callable[..., Any]) -> bytes:
    """The function with all that it refers to, for a process of this program.

    Raises
    ------
    SettingsError
        It refers to something that has no copy, such as an open file.
    """
    try:
        return cloudpickle.dumps(function)  # pyright: ignore[reportUnknownMemberType] - it has no types
    except Exception as error:
        name = getattr(function, "__name__", repr(function))
        raise SettingsError(
            f"{name} cannot be given to another process ({error}): let it open files, connections and locks itself"
        ) from error


def packages_in(pickled: bytes) -> list[str]:
    """Modules of installed packages that a pickled function names and that are loaded here."""
    names = {text for _, text, _ in pickletools.genops(pickled) if isinstance(text, str)}
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in names}
    return sorted(name for name, file in files.items() if file and is_installed(Path(file)))
