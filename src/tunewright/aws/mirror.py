"""An experiment's folder and its copy in S3, from which another machine can continue.

Below the prefix of the copy::

    journal/{n}     the journal in pieces of whole lines, of which only the last one is replaced
    lease.json      the tuner that works on the experiment (not of a tuning job, which has a lease for its slice)
    lease.probe     written to read the clock of S3
    requests/{id}   requests of other machines to the tuner, until it has journaled them
    ...             other files, as in the folder

All pieces are written on the condition that the last one is as this tuner has left it, so that of two tuners only one can add
lines, whatever their clocks say. A line that has an effect is in S3 before the effect.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.aws.boto import ServiceError
from tunewright.aws.objects import S3Objects, StoredObject, in_parallel
from tunewright.events import (
    DropEvent,
    EndEvent,
    Event,
    Header,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    StartEvent,
    encode_event,
)
from tunewright.exceptions import JournalError, SettingsError
from tunewright.journal import FileJournal, Journal
from tunewright.requests import is_file_name, put_file
from tunewright.runner.local_run import WORKING
from tunewright.storage import PRIVATE, ExperimentFolder, leads_elsewhere, replacing, write_atomically

REQUESTS: Final = "requests/"
"""Beginning of the keys of requests to the tuner."""
JOURNAL: Final = "journal/"
"""Beginning of the keys of the journal's pieces."""
SEGMENT_BYTES: Final = 64 * 1024
"""Size at which a piece of a text is complete and the next one begins."""
LINES_SECONDS: Final = 3.0
"""Interval at which lines without an effect are sent."""
FILES_SECONDS: Final = 20.0
"""Interval at which other files of the experiment are copied, and a lease is renewed."""
LEASE_SECONDS: Final = 90.0
"""Age of a lease after which another tuner may take it, on the clock of S3."""

_METADATA: Final = "metadata.json"
_JOURNAL_FILE: Final = "journal.jsonl"
_WORKING: Final = f"/{WORKING}/"
_ETAGS: Final = ".remote.json"
"""File of a fetched folder with the ETag of each object."""
_LEASE: Final = "lease.json"
_PROBE: Final = "lease.probe"
_NAME_FILE: Final = ".lease"
"""File of a folder with the name under which its tuners take leases."""
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


# --- the journal


def segment_key(number: int, prefix: str = JOURNAL) -> str:
    """Return the key of a piece of a journal or a log."""
    return f"{prefix}{number:06d}"


@final
class Segments:
    """Sends a growing text to S3 in pieces, of which only the last one is replaced; thread-safe.

    Parameters
    ----------
    objects
        Of the experiment or the slice.
    content
        Present content, which begins with the text in S3; that part is not sent again.
    prefix
        Of the keys of the pieces.
    """

    def __init__(self, objects: S3Objects, content: bytes, prefix: str = JOURNAL) -> None:
        self._objects = objects
        self._prefix = prefix
        self._lock = threading.Lock()
        stored = list(objects.list(prefix))
        self._etag: str | None = None
        """Of the last piece; None: it is not in S3 yet."""
        n_complete = len(stored)
        if stored and stored[-1].size < SEGMENT_BYTES:
            self._etag = stored[-1].etag
            n_complete -= 1
        self._number = n_complete
        self._current = content[sum(part.size for part in stored[:n_complete]) :]
        self._is_sent = len(content) == sum(part.size for part in stored)

    def add(self, line: bytes) -> None:
        """Add text; the next :meth:`flush` sends it."""
        with self._lock:
            self._current += line
            self._is_sent = False

    def flush(self) -> None:
        """Send all text that was added, before this returns.

        Raises
        ------
        JournalError
            Another process has added text.
        ServiceError
            S3 refuses or does not answer; the next call sends the text.
        """
        with self._lock:
            if self._is_sent:
                return
            self._etag = self._put(segment_key(self._number, self._prefix))
            self._is_sent = True
            if len(self._current) >= SEGMENT_BYTES:
                self._number += 1
                self._current = b""
                self._etag = None

    def _put(self, key: str) -> str:
        """Write the last piece; return its new ETag."""
        etag = self._objects.put_if(key, self._current, self._etag)
        if etag is None:
            found = next((entry for entry in self._objects.page(key) if entry.key == key), None)
            body = self._objects.get(key)
            if found is not None and body is not None and self._current.startswith(body):
                # it is this process's own, written by a request whose answer was lost
                etag = self._objects.put_if(key, self._current, found.etag)
        if etag is None:
            raise JournalError(
                f"Another tuner has gone on with {self._objects.uri()}: this one ends, and leaves the experiment to it"
            )
        return etag


def read_segments(objects: S3Objects, prefix: str = JOURNAL) -> bytes:
    """Return the whole text in S3; empty if there is none."""
    return b"".join(objects.get(part.key) or b"" for part in objects.list(prefix))


_RESUME: Final = "resume it; a remote launch with --resume"


@final
class RemoteJournal(Journal):
    """A `FileJournal` whose lines, and the files beside it, are copied to S3.

    Parameters
    ----------
    journal
        The file; closed with this object.
    segments
        Sends the lines.
    mirror
        Copies other files of the experiment's folder.
    on_close
        Called at the end of :meth:`close`.
    lease
        Renewed while the journal is open, and returned at its end; None: the experiment has none.
    requests
        Read while the journal is open; None: other machines send none.
    is_eager
        Whether lines that have an effect are sent before it; not needed in simulated time.
    """

    def __init__(
        self,
        journal: FileJournal,
        segments: Segments,
        mirror: FolderMirror,
        on_close: Callable[[], None],
        *,
        lease: Lease | None = None,
        requests: StoredRequests | None = None,
        is_eager: bool = True,
    ) -> None:
        self._journal = journal
        self._segments = segments
        self._mirror = mirror
        self._requests = requests
        self._on_close = on_close
        self._lease = lease
        self._lost: JournalError | None = None
        """Another tuner has the experiment."""
        self._is_eager = is_eager
        self._is_over = threading.Event()
        self._flush()
        self._sender = threading.Thread(target=self._send_regularly, name="journal-sender", daemon=True)
        self._sender.start()

    @property
    @override
    def header(self) -> Header:
        return self._journal.header

    @override
    def events(self) -> Iterator[Event]:
        return self._journal.events()

    @override
    def append(self, event: Event) -> None:
        """Write an event to the file and, if it has an effect, send it to S3 with all events before it.

        Raises
        ------
        JournalError
            The file cannot be written, S3 is not available for some time, or another tuner has gone on with the experiment.
        """
        if self._lost is not None:
            raise self._lost
        self._journal.append(event)
        if isinstance(event, EndEvent) and event.checkpoint is not None:
            self._copy_files()
        self._segments.add(encode_event(event))
        if self._is_eager and has_effect(event):
            self._flush()

    @override
    def close(self) -> None:
        """Send the remaining lines and files, then close the file."""
        self._is_over.set()
        self._sender.join()
        try:
            if self._lost is None:
                self._flush()
                self._mirror.copy()
            if self._lease is not None:
                self._lease.give_back()
        except ServiceError as error:
            raise JournalError(f"The results cannot be copied to S3 ({error}): {_RESUME}") from error
        finally:
            self._journal.close()
            self._on_close()

    def _copy_files(self) -> None:
        """Send checkpoints of this machine before the line that names them."""
        try:
            self._mirror.copy_checkpoints()
        except ServiceError as error:
            raise JournalError(f"A checkpoint cannot be copied to S3 ({error}): {_RESUME}") from error

    def _flush(self) -> None:
        """Send all lines, with retries."""
        for attempt in range(_ATTEMPTS):
            try:
                self._segments.flush()
            except ServiceError as error:
                if attempt == _ATTEMPTS - 1 or not error.is_transient:
                    raise JournalError(
                        f"The journal cannot be written to S3: {error}. All lines before are kept; {_RESUME}"
                    ) from error
                self._is_over.wait(_PAUSE_SECONDS)
            else:
                return

    def _send_regularly(self) -> None:
        """Send lines and files at their intervals until the end."""
        elapsed = 0.0
        while not self._is_over.wait(LINES_SECONDS):
            elapsed += LINES_SECONDS
            try:
                self._segments.flush()
                if self._requests is not None:
                    self._requests.fetch()
                if elapsed >= FILES_SECONDS:
                    elapsed = 0.0
                    if self._lease is not None:
                        self._lease.renew()
                    self._mirror.copy()
            except JournalError as error:
                self._lost = error
                return
            except (ServiceError, SettingsError, OSError) as error:
                _LOG.warning("Results could not be copied to S3, retrying: %s", error)


@final
class StoredRequests:
    """Requests to the tuner of a folder that other machines have put into S3.

    Each becomes a file of the folder (`tunewright.requests`). It leaves S3 after the tuner has journaled it, so that it is not lost
    with the machine; one that comes again is known to the tuner by its id.

    Parameters
    ----------
    objects
        The experiment's objects.
    folder
        The experiment's folder.
    """

    def __init__(self, objects: S3Objects, folder: ExperimentFolder) -> None:
        self._objects = objects
        self._folder = folder
        self._handed: set[str] = set()
        """Keys of objects whose file was written."""

    def fetch(self) -> None:
        """Write files of new requests, and remove those from S3 that the tuner has taken.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer.
        SettingsError
            The folder cannot be written.
        """
        taken: list[str] = []
        for entry in self._objects.list(REQUESTS):
            name = entry.key.removeprefix(REQUESTS)
            if entry.key in self._handed:
                taken += [] if (self._folder.requests_path / name).exists() else [entry.key]
            elif is_file_name(name) and (content := self._objects.get(entry.key)) is not None:
                put_file(self._folder, name, content)
                self._handed.add(entry.key)
        if taken:
            self._objects.delete(taken)
            self._handed.difference_update(taken)


def has_effect(event: Event) -> bool:
    """Return whether an event has an effect: a run is started or stopped, or a checkpoint is deleted."""
    if isinstance(event, ResultEvent):
        return event.decision in {ReportDecision.PAUSE, ReportDecision.STOP}
    return isinstance(event, StartEvent | DropEvent | RequestEvent)


# --- the lease


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """Content of a lease."""

    token: str
    """Of the folder whose tuner has it."""
    host: str
    pid: int
    n: int
    """Number of renewals: each one changes the ETag."""
    is_held: bool = True

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@final
class Lease:
    """The lease of an experiment: an object that one tuner holds and renews.

    A tuner takes it if its holder has returned it or has not renewed it for :data:`LEASE_SECONDS`, on the clock of S3; or if the
    holder was a tuner of the same folder, whose file lock shows that it is dead. It saves two tuners from each other's work;
    correctness does not depend on it, since :class:`Segments` lets only one of them add lines.

    Parameters
    ----------
    objects
        Of the experiment.
    folder
        Its folder on this machine, whose journal is locked by this process.

    Raises
    ------
    JournalError
        Another tuner holds it.
    ServiceError
        S3 refuses or does not answer.
    """

    def __init__(self, objects: S3Objects, folder: Path) -> None:
        self._objects = objects
        self._holder = _Holder(token=_token(folder), host=socket.gethostname(), pid=os.getpid(), n=0)
        self._etag = self._take()

    def _take(self) -> str:
        for _ in range(_ATTEMPTS):
            etag = self._objects.put_if(_LEASE, self._holder.to_bytes(), None)
            if etag is not None:
                return etag
            self._objects.put(_PROBE, b"")
            entries = {entry.key: entry for entry in self._objects.page(_LEASE.removesuffix(".json"))}
            found, body = entries.get(_LEASE), self._objects.get(_LEASE)
            if found is None or body is None:
                continue
            holder = _Holder(**json.loads(body))
            is_of_folder = (holder.token, holder.host) == (self._holder.token, self._holder.host)
            age = entries[_PROBE].modified - found.modified
            if holder.is_held and not is_of_folder and age < LEASE_SECONDS:
                raise JournalError(
                    f"A tuner works on {self._objects.uri()}: process {holder.pid} on {holder.host}, which gave a sign of life "
                    f"{max(age, 0.0):.0f} s ago. Wait for its end or stop it there; if that machine is gone, resume in "
                    f"{LEASE_SECONDS - age:.0f} s"
                )
            self._holder = replace(self._holder, n=holder.n + 1)
            etag = self._objects.put_if(_LEASE, self._holder.to_bytes(), found.etag)
            if etag is not None:
                return etag
        raise JournalError(f"Another tuner took {self._objects.uri()} at the same moment: this one ends")

    def renew(self) -> None:
        """Give a sign of life.

        Raises
        ------
        JournalError
            Another tuner has taken the lease.
        ServiceError
            S3 refuses or does not answer; the next call tries again.
        """
        self._put(replace(self._holder, n=self._holder.n + 1))

    def give_back(self) -> None:
        """Let another tuner take the lease at once; a lease that is lost is left alone."""
        try:
            self._put(replace(self._holder, n=self._holder.n + 1, is_held=False))
        except JournalError:
            return

    def _put(self, holder: _Holder) -> None:
        etag = self._objects.put_if(_LEASE, holder.to_bytes(), self._etag)
        if etag is None:
            found = next((entry for entry in self._objects.page(_LEASE) if entry.key == _LEASE), None)
            body = self._objects.get(_LEASE)
            if found is None or body is None or _Holder(**json.loads(body)).token != self._holder.token:
                raise JournalError(f"Another tuner has taken {self._objects.uri()}: this one ends")
            etag = found.etag  # written by a request whose answer was lost
        self._holder, self._etag = holder, etag


def _token(folder: Path) -> str:
    """Return the folder's name for leases, which is made once."""
    path = folder / _NAME_FILE
    if not path.exists():
        write_atomically(path, secrets.token_hex(8))
    return path.read_text(encoding="utf-8")


def open_mirrored(
    folder: ExperimentFolder, header: Header, objects: S3Objects, on_close: Callable[[], None]
) -> Journal:
    """Open the journal of an experiment as a file that is copied to S3 with the other files of its folder.

    If another machine has gone on with the experiment, its journal and files replace those of the folder first, except for
    the metadata.

    Parameters
    ----------
    folder
        The experiment's folder.
    header
        First line of a new journal.
    objects
        The experiment's objects.
    on_close
        Called when the journal is closed.

    Raises
    ------
    JournalError
        The journal is in use here or elsewhere, cannot be read, or cannot be written.
    ServiceError
        S3 refuses or does not answer.
    """
    path = folder.journal_path
    journal = FileJournal(path, header)
    lease: Lease | None = None
    try:
        lease = Lease(objects, folder.path)
        if not path.read_bytes().startswith(read_segments(objects)):
            journal.close()
            stored = [entry for entry in objects.list() if entry.key != _METADATA]
            fetch_experiment(objects, stored, folder.path)
            journal = FileJournal(path, header)
        mirror = FolderMirror(folder.path, objects)
        mirror.copy()
        segments = Segments(objects, path.read_bytes())
        return RemoteJournal(journal, segments, mirror, on_close, lease=lease)
    except BaseException:
        journal.close()
        if lease is not None:
            lease.give_back()
        raise


# --- the other files


@final
class FolderMirror:
    """Copies changed files of a folder to S3, except for the journal and locks.

    Parameters
    ----------
    folder
        The experiment's folder.
    objects
        The experiment's objects.
    """

    def __init__(self, folder: Path, objects: S3Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    def copy(self) -> None:
        """Copy files that are new or have changed since the last call.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer; the next call copies the other files.
        """
        self._copy("*")

    def copy_checkpoints(self) -> None:
        """Copy new frozen checkpoints of trials.

        Raises
        ------
        ServiceError
            As :meth:`copy`.
        """
        self._copy("trials/*/checkpoints/*")

    def _copy(self, pattern: str) -> None:
        with self._lock:
            for name, path in self._files():
                if fnmatchcase(name, pattern):
                    self._copy_file(name, path)

    def _copy_file(self, name: str, path: Path) -> None:
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if self._seen.get(name) != state:
                self._objects.put_file(name, path)
                self._seen[name] = state
        except FileNotFoundError:
            return  # replaced or removed in the meantime

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            is_ours = (
                path.name.startswith(".")
                or name.startswith(_JOURNAL_FILE)
                or path.suffix == ".lock"
                or _WORKING in name  # a script writes there; the frozen copy counts
            )
            if not is_ours and path.is_file() and not path.is_symlink():
                yield name, path


def fetch_experiment(objects: S3Objects, stored: Sequence[StoredObject], folder: Path) -> int:
    """Download the files of an experiment that have changed in S3.

    Parameters
    ----------
    objects
        The experiment's objects.
    stored
        A listing of them, keys relative to the experiment.
    folder
        Folder of the files; created if it is missing.

    Returns
    -------
    int
        Number of objects that were downloaded.

    Raises
    ------
    SettingsError
        A key leads out of the folder; then nothing is downloaded.
    """
    stored = [entry for entry in stored if entry.key not in {_LEASE, _PROBE}]
    stored = [entry for entry in stored if not entry.key.endswith("/")]  # folders of the AWS console
    for entry in stored:
        check_below(entry.key, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_etags(folder)
    changed = [entry for entry in stored if known.get(entry.key) != entry.etag]
    files = [entry for entry in changed if not entry.key.startswith(JOURNAL)]

    def get(entry: StoredObject) -> None:
        mode = PRIVATE if entry.key == "metadata.json" else 0o666
        _write(folder / entry.key, objects.get(entry.key) or b"", mode)

    in_parallel(get, files)
    segments = [entry for entry in stored if entry.key.startswith(JOURNAL)]
    if len(changed) > len(files):
        _fetch_journal(objects, segments, known, folder / _JOURNAL_FILE)
    etags = {entry.key: entry.etag for entry in stored}
    if changed:
        write_atomically(folder / _ETAGS, json.dumps({"etags": etags}))
    return len(changed)


def check_below(key: str, place: str) -> None:
    """Refuse a key that leads out of a folder.

    Raises
    ------
    SettingsError
        It does.
    """
    if leads_elsewhere(key):
        raise SettingsError(f"In S3 {place} holds {key!r}, which would be written elsewhere: remove it there")


def _fetch_journal(
    objects: S3Objects, segments: Sequence[StoredObject], known: Mapping[str, str], path: Path
) -> None:
    """Read the pieces that have changed, and join all of them."""
    old = path.read_bytes() if path.exists() else b""
    content = b""
    for segment in segments:
        part = old[len(content) : len(content) + segment.size]
        is_there = (
            known.get(segment.key) == segment.etag == hashlib.md5(part, usedforsecurity=False).hexdigest()
        )
        content += part if is_there else objects.get(segment.key) or b""
    _write(path, content)


def _write(path: Path, content: bytes, mode: int = 0o666) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.touch(mode)
        unfinished.write_bytes(content)


def _read_etags(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _ETAGS).read_text(encoding="utf-8"))["etags"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return {}
