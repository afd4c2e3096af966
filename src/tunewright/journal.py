"""The journal: an append-only file of events, the truth about an experiment.

The first line is the header, every other line an event; `tunewright.events` has their form and their codec.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import TypeVar, final

import msgspec
from filelock import FileLock, Timeout
from typing_extensions import override

from tunewright.events import (
    SCHEMA_VERSION,
    Event,
    Header,
    SessionEvent,
    decode_line,
    decode_mapping,
    encode_event,
)
from tunewright.exceptions import JournalError
from tunewright.trial import ExperimentStatus

LOCK_PATIENCE = 1.0
"""Seconds to wait for the lock: another process that only tests it holds it far shorter."""
_MOST_HELD = 512  # lines that are held back at most
_TAIL = 65536  # bytes at the end of a file that hold its last line

_HEADER_START = b'{"kind":"experiment"'
_OUTSIDE_OF_HASH = frozenset({"session", "phase"})
_VOLATILE_KEYS = frozenset({"wall", "suggest_time", "experiment"})
_DERIVED_KEYS = frozenset({"effective_seed", "inner", "resolved", "table"})
"""Fields of the header that follow from the others, and that journals of version 0.1 lack."""


class Journal(ABC):
    """Stores an experiment's events."""

    @property
    @abstractmethod
    def header(self) -> Header:
        """The first line."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """The events after the header, as they are stored."""

    @abstractmethod
    def append(self, event: Event) -> None:
        """Write an event; afterwards a killed process does not lose it, unless the journal may hold lines back.

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

    def __init__(self, header: Header | None = None, events: Iterable[Event] = ()) -> None:
        self._header = header or Header()
        self._events = list(events)

    @property
    @override
    def header(self) -> Header:
        """The given header."""
        return self._header

    @override
    def events(self) -> Iterator[Event]:
        """All events so far, decoded as from a file."""
        return (_event(encode_event(event)) for event in list(self._events))

    @override
    def append(self, event: Event) -> None:
        self._events.append(event)

    @override
    def close(self) -> None:
        """Nothing to release."""


@final
class FileJournal(Journal):
    """A journal in a file, locked against every other process.

    Parameters
    ----------
    path
        The file; created with its folder if it is missing, otherwise continued.
    header
        First line of a new journal.
    hold
        Seconds for which lines may be held back, to be written in one piece: a killed process loses the last ones, and the
        file ends with an earlier line. For experiments that repeat exactly, such as simulated ones. 0: no line is held.

    Raises
    ------
    JournalError
        Another process works on it, it cannot be written, or it is not a journal.
    """

    def __init__(self, path: Path, header: Header | None = None, *, hold: float = 0.0) -> None:
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
            self._open(header or Header())
        except BaseException:
            self._lock.release()
            raise

    def _open(self, header: Header) -> None:
        found = read_header(self._path)
        try:
            self._file = self._path.open("a+b", buffering=0)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be opened: {error}") from error
        self._size = _whole_size(self._path)
        self._file.truncate(self._size)
        self._header = found or msgspec.structs.replace(header, schema=SCHEMA_VERSION)
        if found is None:
            self._add(self._header)
            self.flush()

    @property
    @override
    def header(self) -> Header:
        return self._header

    @override
    def events(self) -> Iterator[Event]:
        self.flush()
        return read_events(self._path)

    @override
    def append(self, event: Event) -> None:
        self._add(event)

    def _add(self, line: Header | Event) -> None:
        self._held.append(encode_event(line))
        if not self._hold:
            self.flush()
        elif len(self._held) == 1:
            self._held_until = monotonic() + self._hold
        elif len(self._held) >= _MOST_HELD or monotonic() >= self._held_until:
            self.flush()

    @override
    def flush(self) -> None:
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

    @override
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
    """Whether a process holds the journal's lock."""
    lock = lock_path(path)
    if not lock.exists() or not os.access(lock, os.W_OK):
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def read_header(path: Path) -> Header | None:
    """The header of a journal, without locking it; None if there is no file, or only a torn header.

    Raises
    ------
    JournalError
        The file is not a journal.
    """
    if not path.exists():
        return None
    for number, raw in _raw_lines(path):
        return _decode_numbered(path, number, raw, _header)
    if not path.read_bytes().startswith(_HEADER_START[: path.stat().st_size]):
        raise _not_a_journal(path)
    return None


def read_events(path: Path) -> Iterator[Event]:
    """Read a journal without locking it; a torn last line is left out.

    Yields
    ------
    Event
        All events after the header; nothing if the file is empty.

    Raises
    ------
    JournalError
        The file is missing or is not a journal, or a line that is not the last is broken (named by its number).
    """
    for number, raw in _raw_lines(path):
        if number > 1:
            yield _decode_numbered(path, number, raw, _event)
        else:
            _decode_numbered(path, number, raw, _header)


def last_outcome(path: Path) -> ExperimentStatus:
    """How the last session on an experiment ended, from the last line of its journal; INTERRUPTED if it did not end.

    Raises
    ------
    JournalError
        The file is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except FileNotFoundError:
        return ExperimentStatus.INTERRUPTED
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error
    return outcome_of(tail)


def outcome_of(tail: bytes) -> ExperimentStatus:
    """The outcome of the session that the last line of a journal ends; INTERRUPTED if it does not end one."""
    last = tail[:-1].rpartition(b"\n")[2] if tail.endswith(b"\n") else b""
    try:
        event = decode_line(last)
    except ValueError:
        return ExperimentStatus.INTERRUPTED
    outcome = event.outcome if isinstance(event, SessionEvent) else None
    return outcome or ExperimentStatus.INTERRUPTED


def canonical_hash(path: Path) -> str:
    """SHA-256 of an experiment's events, independent of when and where it ran.

    Left out are session and phase lines, the experiment's name, real times (``wall``), decision times
    (``suggest_time``), and the fields of the header that follow from its other fields.
    """
    digest = hashlib.sha256()
    for number, raw in _raw_lines(path):
        line = _decode_numbered(path, number, raw, decode_mapping)
        if line.get("kind") not in _OUTSIDE_OF_HASH:
            left_out = _VOLATILE_KEYS if number > 1 else _VOLATILE_KEYS | _DERIVED_KEYS
            kept = {key: value for key, value in line.items() if key not in left_out}
            digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """All whole lines with their numbers from 1; the header's form is checked."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    return
                if number == 1:
                    _check_header(path, raw)
                yield number, raw
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error


def _check_header(path: Path, raw: bytes) -> None:
    line = _decode_numbered(path, 1, raw, decode_mapping)
    if line.get("kind") != "experiment":
        raise _not_a_journal(path)
    if line.get("schema") != SCHEMA_VERSION:
        raise JournalError(
            f"{path} has schema {line.get('schema')!r}, this version reads {SCHEMA_VERSION}: "
            "use the version of Tunewright that wrote it"
        )


def _not_a_journal(path: Path) -> JournalError:
    return JournalError(f"{path} is not a journal: its first line has no header")


def _header(raw: bytes) -> Header:
    line = decode_line(raw)
    if not isinstance(line, Header):
        raise ValueError("the first line is not a header")  # noqa: TRY004 - the content is wrong, not the argument
    return line


def _event(raw: bytes) -> Event:
    line = decode_line(raw)
    if isinstance(line, Header):
        raise ValueError("a second header")  # noqa: TRY004 - the content is wrong, not the argument
    return line


_T = TypeVar("_T")


def _decode_numbered(path: Path, number: int, raw: bytes, decode: Callable[[bytes], _T]) -> _T:
    try:
        return decode(raw)
    except ValueError as error:
        raise JournalError(
            f"{path}, line {number}: {error}. The file was changed or damaged: restore it from a copy, or keep the "
            f"{number - 1} lines before this one and resume (tunewright repair)"
        ) from error


def _whole_size(path: Path) -> int:
    """Bytes up to the end of the last whole line that decodes."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    last = data[:end].rstrip(b"\n").rsplit(b"\n", 1)[-1] if end else b""
    if last:
        try:
            decode_mapping(last)
        except ValueError:
            return end - len(last) - 1
    return end
