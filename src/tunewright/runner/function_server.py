"""The function server: it has imported the packages that a Python function needs, and forks a process for each trial.

PyTorch, say, is imported once. The user's own modules run in the process of each trial, as they would in a new interpreter: the server
reads in their source which installed packages they import, and imports those only. It imports nothing if they change the environment
(``os.environ[...] = ``), since packages may read that when they are imported.

A runner connects to the server's socket and sends one line of JSON (configuration file, environment, working directory), and with it the
ends of two pipes. The server forks a *keeper*, which forks the trial's process, kills what the trial leaves behind, and answers with two
lines: ``{"pid": ...}`` at the start and ``{"code": ...}`` at the end. Keepers outlive the server. A trial dies with its keeper, and
when its runner closes the connection.

A function that cannot be imported by name (of a notebook's cell, or nested in another one) arrives pickled on standard input, from the
process that started the server. It is never stored.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import IO, Any, NoReturn, final

from .call_function import call, load_function
from .contract import Mode
from .process import adopt_orphans, die_with_parent, kill_own_children
from .run_order import place_and_function
from .script_launch import entry, foreign_paths

_SIZE = struct.Struct("<Q")
_MAX_LINE = 1 << 22
"""Bytes of the longest request or answer."""
_LEFTOVER_SECONDS = 5.0
"""Longest time for killing what a trial leaves behind."""
_CALL = "call"
_OURS = ("tunewright", "syne_tune")
"""Modules of the trial's side, which are quickly imported."""
ANEW = "anew"
"""Argument of a server whose trials have a new interpreter each."""


def write_function(pipe: IO[bytes], pickled: bytes, packages: list[str]) -> None:
    """Send a pickled function to the server's standard input, and the packages that it needs.

    Parameters
    ----------
    pipe
        The server's standard input.
    pickled
        The function; empty: the server imports it by name, and finds its packages itself.
    packages
        Names of modules.
    """
    for part in (pickled, json.dumps(packages).encode()):
        pipe.write(_SIZE.pack(len(part)) + part)
    pipe.flush()


def _read_part(pipe: IO[bytes]) -> bytes:
    (size,) = _SIZE.unpack(pipe.read(_SIZE.size))
    return pipe.read(size)


def send_request(connection: socket.socket, request: dict[str, Any], outputs: list[int]) -> None:
    """Ask the server for a trial whose standard output and standard error are these descriptors."""
    line = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [line], outputs)
    connection.sendall(line[sent:])


def _receive_request(connection: socket.socket) -> tuple[bytes, list[int]]:
    """One line and the descriptors that came with it; no line if the runner has gone."""
    line, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 2)
    while line and not line.endswith(b"\n") and len(line) < _MAX_LINE:
        more = connection.recv(1 << 16)
        line = line + more if more else b""
    return line, list(descriptors)


def main(arguments: list[str]) -> int:
    """Serve a function, or call a pickled one once.

    Parameters
    ----------
    arguments
        ``FD SOCKET FUNCTION`` with the descriptor of the listening socket and its path, and ``anew`` if each trial needs a new interpreter; or ``call FD CONFIG_FILE`` with the descriptor of a pipe that brings the function.
    """
    sys.path[:] = foreign_paths()
    if arguments[0] == _CALL:
        with os.fdopen(int(arguments[1]), "rb") as pipe:
            function = _unpickled(pipe.read())
        return call(function, arguments[2])
    listener, address, spec, *rest = arguments
    pickled, packages = _read_part(sys.stdin.buffer), json.loads(_read_part(sys.stdin.buffer))
    server = _Server(int(listener), address, spec, pickled, packages, may_fork=rest != [ANEW])
    trial = server.serve()
    return 0 if trial is None else trial()


def _unpickled(pickled: bytes) -> Callable[..., Any]:
    """A function that the process which began this one has sent through a pipe."""
    return pickle.loads(pickled)  # noqa: S301 - from the parent process, by a pipe


@final
class _Server:
    """Accepts connections until its standard input ends, which its tuner holds open."""

    def __init__(
        self, listener: int, address: str, spec: str, pickled: bytes, packages: list[str], *, may_fork: bool
    ) -> None:
        self._listener = listener
        self._address = address
        self._spec = spec
        self._pickled = pickled
        self._packages = packages
        self._may_fork = may_fork

    def serve(self) -> Callable[[], int] | None:
        """Serve; return None at the end, and in the process of a trial its work."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tuner ends the trials at Ctrl-C
        with socket.socket(fileno=self._listener) as listener:
            can_fork = self._may_fork and self._import_packages()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
            with selectors.DefaultSelector() as selector:
                selector.register(listener, selectors.EVENT_READ)
                selector.register(sys.stdin, selectors.EVENT_READ)
                while True:
                    ready = [key.fileobj for key, _ in selector.select()]
                    if listener not in ready:
                        Path(self._address).unlink()
                        return None
                    connection, _ = listener.accept()
                    if os.fork() == 0:
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        selector.close()
                        listener.close()  # else runners would wait for a server that was killed
                        return _Keeper(connection, self._spec, self._pickled, can_fork).keep()
                    connection.close()

    def _import_packages(self) -> bool:
        """Import what trials need, and return whether this process can be forked then: no threads, no GPU in use."""
        for name in self._packages if self._pickled else packages_of(self._spec):
            try:
                importlib.import_module(name)
            except BaseException as error:
                sys.stderr.write(f"{name} cannot be imported: {error!r}\n")
        return threading.active_count() == 1 and not _uses_cuda()


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


@final
class _Keeper:
    """Starts the process of one trial, and answers its runner."""

    def __init__(self, connection: socket.socket, spec: str, pickled: bytes, can_fork: bool) -> None:
        self._connection = connection
        self._spec = spec
        self._pickled = pickled
        self._can_fork = can_fork

    def keep(self) -> Callable[[], int]:
        """Return the trial's work in its process; in this one, do not return."""
        os.setsid()
        line, outputs = _receive_request(self._connection)
        if not line:
            os._exit(0)
        adopt_orphans()
        pid = os.fork()
        if pid == 0:
            return self._trial(json.loads(line), outputs)
        for descriptor in outputs:
            os.close(descriptor)
        self._answer("pid", pid)
        threading.Thread(target=self._end_with_runner, args=(pid,), daemon=True).start()
        _, status = os.waitpid(pid, 0)
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while kill_own_children() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._answer("code", os.waitstatus_to_exitcode(status))
        os._exit(0)

    def _answer(self, name: str, value: int) -> None:
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps({name: value}).encode() + b"\n")

    def _end_with_runner(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            self._connection.recv(1)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def _trial(self, request: dict[str, Any], outputs: list[int]) -> Callable[[], int]:
        """Become the process of a trial: its session, output, folder, environment and import path."""
        die_with_parent()
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._connection.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in enumerate((nothing, *outputs)):
            os.dup2(source, target)
            os.close(source)
        os.chdir(request["cwd"] or ".")
        os.environ.clear()
        os.environ.update(request["environment"])
        config_file = request["config_file"]
        if not self._can_fork:
            self._begin_anew(config_file)
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [path for path in paths if path and path not in sys.path]
        sys.argv[:] = [place_and_function(self._spec)[0]]
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()  # as in a new interpreter; Python's own generator does it by itself
        pickled, spec = self._pickled, self._spec
        return lambda: call(_unpickled(pickled) if pickled else load_function(spec), config_file)

    def _begin_anew(self, config_file: str) -> NoReturn:
        """Become a new interpreter that calls the function."""
        start = [sys.executable, *entry()]
        if not self._pickled:
            os.execv(sys.executable, [*start, Mode.CALL.value, self._spec, config_file])  # noqa: S606
        reader, writer = os.pipe()
        if os.fork() == 0:  # a pipe holds less than a function may have
            os.close(reader)
            with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as pipe:
                pipe.write(self._pickled)
            os._exit(0)
        os.close(writer)
        os.set_inheritable(reader, True)
        os.execv(sys.executable, [*start, Mode.FUNCTIONS.value, _CALL, str(reader), config_file])  # noqa: S606


# --- packages


def packages_of(spec: str) -> list[str]:
    """Installed packages that a function's module and the user's modules below it import, read in their source.

    No package if one of them changes the environment.

    Parameters
    ----------
    spec
        ``module:name`` or ``path/file.py:name``.
    """
    place, _ = place_and_function(spec)
    paths = [str(Path(place).absolute().parent), *sys.path] if place.endswith(".py") else sys.path
    found: dict[str, None] = {}
    sources = [Path(place)] if place.endswith(".py") else [path for _, path in _modules_on_way(place, paths)]
    seen: set[Path] = set()
    while sources:
        path = sources.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in _executed(tree):
            if _changes_environment(node):
                return []
            for name in _imported(node):
                ways = [] if name.partition(".")[0] in _OURS else _modules_on_way(name, paths)
                if ways and is_installed(ways[0][1]):
                    found[ways[-1][0]] = None
                elif not ways or not _is_standard(ways[0][1]):
                    sources += [way for _, way in ways]
    return list(found)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, except for imports that only type checkers follow."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _executed(node)


def _imported(node: ast.AST) -> Iterator[str]:
    """Modules that a statement imports, or may import: a name of ``from a import b`` can be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _changes_environment(node: ast.AST) -> bool:
    """Whether a statement writes to ``os.environ``, or has a name of what does."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return _is_environment(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        writes = ("setdefault", "update", "pop", "clear", "popitem")
        return node.func.attr == "putenv" or (node.func.attr in writes and _is_environment(node.func.value))
    return False


def _is_environment(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "environ") or (
        isinstance(node, ast.Name) and node.id == "environ"
    )


def _modules_on_way(name: str, paths: list[str]) -> list[tuple[str, Path]]:
    """The packages from the top down to a module, and the module: names and files, as far as they exist.

    Nothing is imported: `importlib.util.find_spec` would import the packages above it.
    """
    ways: list[tuple[str, Path]] = []
    search: list[str] | None = paths
    parts = name.split(".")
    for number in range(len(parts)):
        whole = ".".join(parts[: number + 1])
        spec: ModuleSpec | None = PathFinder.find_spec(whole, search) if search else None
        if spec is None:
            break
        if spec.origin:
            ways.append((whole, Path(spec.origin)))
        search = list(spec.submodule_search_locations or ())
    return ways


def is_installed(path: Path) -> bool:
    """Whether a file belongs to an installed package."""
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _is_standard(path: Path) -> bool:
    return path.is_relative_to(Path(os.__file__).parent)


# --- the runner's side


@final
class ServedFunction:
    """The process of a trial that a function server forks, with the part of Popen's interface that a script needs.

    Parameters
    ----------
    address
        Path of the server's socket; ``OSError`` if there is no server.
    config_file
        JSON file of the configuration.
    environment, cwd
        Of the trial.
    """

    def __init__(self, address: str, config_file: str, environment: dict[str, str], cwd: str) -> None:
        request = {"config_file": config_file, "environment": environment, "cwd": cwd}
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        outputs: list[tuple[int, int]] = []
        try:
            self._connection.connect(address)
            outputs = [os.pipe(), os.pipe()]
            send_request(self._connection, request, [writer for _, writer in outputs])
        except OSError:
            self._connection.close()
            for reader, _ in outputs:
                os.close(reader)
            raise
        finally:
            for _, writer in outputs:
                os.close(writer)
        self.stdout, self.stderr = (os.fdopen(reader, "rb", buffering=0) for reader, _ in outputs)
        self._connection.setblocking(False)
        self._received = b""
        self._pid: int | None = None
        self._code: int | None = None

    @property
    def pid(self) -> int | None:
        """The process, which leads a group of its own; None before it has begun."""
        self.poll()
        return self._pid

    def poll(self) -> int | None:
        """The exit code (-n for signal n); None while it runs."""
        if self._code is not None:
            return self._code
        try:
            while data := self._connection.recv(1 << 12):
                self._received += data
            self._code = -int(signal.SIGKILL)  # its keeper has died, and it with it
        except BlockingIOError:
            pass
        except OSError:
            self._code = -int(signal.SIGKILL)
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._pid = answer.get("pid", self._pid)
            self._code = answer.get("code", self._code)
        if self._code is not None:
            self._connection.close()
        return self._code

    def signal_group(self, number: int) -> None:
        """Send a signal to it and its children; if it has not begun, it never does after one that ends it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
        elif number in (signal.SIGTERM, signal.SIGKILL) and self._code is None:
            self._code = -int(number)
            self._connection.close()
