"""The journal: an append-only file of flat JSON lines, the truth about an experiment.

The first line is the header (``kind`` ``"experiment"``, schema version, what the experiment is). Every other line has
``kind`` (``start``, ``result``, ``end``, ``session``), ``t`` (seconds on the experiment's clock) and ``wall`` (seconds
since 1970). Non-finite numbers are written as the strings ``"nan"``, ``"inf"``, ``"-inf"``, so that every line is JSON.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias, cast, final

from filelock import FileLock, Timeout

from tunewright.exceptions import JournalError
from tunewright.trial import ExperimentStatus

SCHEMA_VERSION = 1
LOCK_PATIENCE = 1.0
"""Seconds to wait for the lock: a look at the lock by another process lasts far less."""
_TAIL = 65536  # bytes in which the last line is looked for
_MOST_HELD = 512  # lines that are held back at most

Line: TypeAlias = Mapping[str, Any]
"""One decoded journal line."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_HEADER_START = b'{"kind":"experiment"'
_number = float.__repr__
_RESULT_KEYS = (
    *("kind", "t", "wall", "trial_id", "attempt", "retry", "seq"),
    *("resource", "metrics", "decision", "reason", "cost"),
)
"""The keys of a line that holds a report, in the ledger's order."""
_VOLATILE_KEYS = frozenset({"wall", "suggest_time", "experiment"})


class Journal(ABC):
    """Where an experiment's lines go."""

    @property
    @abstractmethod
    def header(self) -> Line:
        """The first line."""

    @abstractmethod
    def lines(self) -> Iterator[Line]:
        """The lines after the header that were there when the journal was opened, and since."""

    @abstractmethod
    def append(self, line: Line) -> None:
        """Write a line; when this returns, a killed process does not lose it, unless the journal was told to hold lines.

        Raises
        ------
        JournalError
            It cannot be written, for example because the disk is full. The lines before it are whole.
        """

    def flush(self) -> None:
        """Write the lines that are held back, if the journal does such a thing.

        Raises
        ------
        JournalError
            They cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the journal. Nothing may be appended afterwards."""


@final
class MemoryJournal(Journal):
    """A journal that lives as long as the process does."""

    def __init__(self, header: Line | None = None, lines: Sequence[Line] = ()) -> None:
        self._header = dict(header or {})
        self._lines = list(lines)

    @property
    def header(self) -> Line:
        """The header that was given."""
        return self._header

    def lines(self) -> Iterator[Line]:
        """All lines so far, decoded as from a file."""
        return (decode_line(encode_line(line)) for line in list(self._lines))

    def append(self, line: Line) -> None:
        """Keep the line."""
        self._lines.append(line)

    def close(self) -> None:
        """Nothing to release."""


@final
class FileJournal(Journal):
    """A journal in a file, locked against every other process.

    Parameters
    ----------
    path
        The file; created with its folder where it is missing, continued where it is there.
    header
        What stands in the first line of a new journal.
    hold
        Seconds for which lines may be held back, to be written in one piece: a killed process loses the last ones, and the
        file ends with an earlier line. For what repeats itself exactly, such as simulated experiments. 0: none is.

    Raises
    ------
    JournalError
        Another process works on it, it cannot be written, or it is not a journal.
    """

    def __init__(self, path: Path, header: Line | None = None, *, hold: float = 0.0) -> None:
        self._path = path
        self._hold = hold
        self._held: list[bytes] = []
        self._held_until = 0.0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(lock_path(path))
            self._lock.acquire(timeout=LOCK_PATIENCE)
        except Timeout:
            raise JournalError(
                f"{path} is in use: another process is working on this experiment. Wait for its end or stop it."
            ) from None
        except OSError as error:
            raise JournalError(f"{path} cannot be opened: {error}") from error
        try:
            self._open(header or {})
        except BaseException:
            self._lock.release()
            raise

    def _open(self, header: Line) -> None:
        found = _header_of(self._path)
        try:
            self._file = self._path.open("a+b", buffering=0)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be opened: {error}") from error
        self._size = _whole_size(self._path)
        self._file.truncate(self._size)
        self._header: Line = found or {"kind": "experiment", "schema": SCHEMA_VERSION, **header}
        if found is None:
            self.append(self._header)
            self.flush()

    @property
    def header(self) -> Line:
        """The first line, as it stands in the file."""
        return self._header

    def lines(self) -> Iterator[Line]:
        """All lines after the header."""
        self.flush()
        found = read_journal(self._path)
        next(found, None)
        return found

    def append(self, line: Line) -> None:
        """Write the line through to the operating system, or hold it back for a moment."""
        self._held.append(encode_line(line))
        if not self._hold:
            self.flush()
        elif len(self._held) == 1:
            self._held_until = monotonic() + self._hold
        elif len(self._held) >= _MOST_HELD or monotonic() >= self._held_until:
            self.flush()

    def flush(self) -> None:
        """Write the lines that are held back through to the operating system."""
        if not self._held:
            return
        data = b"".join(self._held)
        self._held.clear()
        try:
            self._write(data)
        except (OSError, ValueError) as error:
            self._drop_partial_line()
            raise JournalError(
                f"{self._path} cannot be written: {error}. All lines before are kept; "
                "make room and resume the experiment."
            ) from error
        self._size += len(data)

    def _write(self, data: bytes) -> None:
        if self._file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _drop_partial_line(self) -> None:
        if not self._file.closed:
            self._file.truncate(self._size)

    def close(self) -> None:
        """Write what is held back, close the file and release the lock."""
        try:
            if not self._file.closed:
                self.flush()
        finally:
            self._file.close()
            self._lock.release()


def lock_path(path: Path) -> Path:
    """The lock file that belongs to a journal."""
    return path.with_name(path.name + ".lock")


def is_locked(path: Path) -> bool:
    """Whether a process is working on the journal right now."""
    lock = lock_path(path)
    if not lock.exists() or not os.access(lock, os.W_OK):
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def read_journal(path: Path) -> Iterator[Line]:
    """Read a journal without locking it; a torn last line is left out.

    Yields
    ------
    mapping
        The header first, then every line.

    Raises
    ------
    JournalError
        The file is missing or is not a journal, or a line that is not the last is broken (named by its number).
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    return
                line = _decode_numbered(path, number, raw)
                if number == 1 and line.get("kind") != "experiment":
                    raise JournalError(f"{path} is not a journal: its first line has no header")
                if number == 1 and line.get("schema") != SCHEMA_VERSION:
                    raise JournalError(
                        f"{path} has schema {line.get('schema')!r}, this version reads {SCHEMA_VERSION}: "
                        "use the version of Tunewright that wrote it"
                    )
                yield line
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error


def canonical_hash(path: Path) -> str:
    """SHA-256 of what happened in an experiment, whenever and wherever it ran.

    Left out are session and phase lines, the experiment's name, real times (``wall``) and decision times (``suggest_time``).
    """
    digest = hashlib.sha256()
    for line in read_journal(path):
        if line["kind"] not in {"session", "phase"}:
            kept = {key: value for key, value in line.items() if key not in _VOLATILE_KEYS}
            digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def encode_line(line: Line) -> bytes:
    """One line of JSON, its end included."""
    text = _result_text(line) if tuple(line) == _RESULT_KEYS else None
    if text is None:
        try:
            text = _encode(line)
        except ValueError:
            text = _encode(_without_non_finite(line))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _result_text(line: Line) -> str | None:
    """What ``_encode`` makes of a report's line, but for digits of ``wall``, in less time, as most lines are of that kind.

    None where a number is not finite or not a float.
    """
    _, t, wall, trial_id, attempt, retry, seq, resource, metrics, decision, reason, cost = line.values()
    values = metrics.values()
    try:
        if not math.isfinite(sum(values, t + wall + cost)):
            return None
        counts = trial_id, attempt, retry, seq, resource
        numbers = map(_number, values)
        template = _result_template(tuple(metrics), decision)
        return template % (_number(t), wall, *counts, *numbers, _quoted(reason), _number(cost))
    except (TypeError, ValueError):
        return None


@lru_cache(256)
def _result_template(names: tuple[str, ...], decision: str) -> str:
    """The line of a report, with places for what varies, in its order; ``wall`` to a millisecond."""
    items = ",".join(f"{_escaped(name)}:%s" for name in names)
    return (
        '{"kind":"result","t":%s,"wall":%.3f,"trial_id":%s,"attempt":%s,"retry":%s,"seq":%s,"resource":%s,'
        f'"metrics":{{{items}}},"decision":{_escaped(decision)},"reason":%s,"cost":%s}}'
    )


def _escaped(text: str) -> str:
    return _encode(text).replace("%", "%%")


@lru_cache(1024)
def _quoted(text: str) -> str:
    return _encode(text)


def decode_line(raw: bytes) -> Line:
    """The mapping that a line holds.

    Raises
    ------
    ValueError
        It is not a JSON object.
    """
    line = json.loads(raw.decode("utf-8", "surrogatepass"))
    if not isinstance(line, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the content is wrong, not the argument
    return cast("Line", line)


def _decode_numbered(path: Path, number: int, raw: bytes) -> Line:
    try:
        line = decode_line(raw)
        if number > 1:
            _check_line(line)
    except ValueError as error:
        raise JournalError(
            f"{path}, line {number}: {error}. The file was changed or damaged: restore it from a copy, or keep the "
            f"{number - 1} lines before this one and resume"
        ) from error
    return line


def _check_line(line: Line) -> None:
    if "kind" not in line or not isinstance(line.get("t"), int | float):
        raise ValueError("a line needs a kind and a time")


def _without_non_finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _without_non_finite(item) for key, item in cast("Line", value).items()}
    if isinstance(value, list | tuple):
        return [_without_non_finite(item) for item in cast("Sequence[object]", value)]
    return value


def _header_of(path: Path) -> Line | None:
    """The header of the journal at ``path``; None where there is nothing yet, or only a torn header."""
    if not path.exists():
        return None
    header = next(read_journal(path), None)
    if header is None and not path.read_bytes().startswith(_HEADER_START[: path.stat().st_size]):
        raise JournalError(f"{path} is not a journal: its first line has no header")
    return header


def _whole_size(path: Path) -> int:
    """Bytes up to the end of the last whole line that decodes."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    last = data[:end].rstrip(b"\n").rsplit(b"\n", 1)[-1] if end else b""
    if last:
        try:
            decode_line(last)
        except ValueError:
            return end - len(last) - 1
    return end


def last_outcome(path: Path) -> ExperimentStatus:
    """Return how the last session on a journal ended, from its last line; INTERRUPTED if it did not end.

    Raises
    ------
    JournalError
        The file cannot be read.
    """
    line = _last_line(path)
    is_end = line.get("kind") == "session" and line.get("event") == "end"
    return ExperimentStatus(line["outcome"]) if is_end else ExperimentStatus.INTERRUPTED


def _last_line(path: Path) -> Line:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error
    if not tail.endswith(b"\n"):
        return {}
    try:
        return decode_line(tail[:-1].rpartition(b"\n")[2])
    except ValueError:
        return {}
