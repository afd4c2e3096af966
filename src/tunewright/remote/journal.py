"""Growing texts in S3: the journals and the log of a tuning job."""

from __future__ import annotations

import codecs
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.aws import S3Objects, ServiceError, StoredObject
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
from tunewright.exceptions import JournalError
from tunewright.journal import FileJournal, Journal
from tunewright.remote.layout import JOURNAL, LOGS, segment_key
from tunewright.remote.mirror import FolderMirror

SEGMENT_BYTES: Final = 64 * 1024
"""Size at which a piece of a text is complete and the next one begins."""

_LOG: Final = logging.getLogger(__name__)

LINES_SECONDS: Final = 3.0
"""Interval at which lines without an effect are sent."""
FILES_SECONDS: Final = 20.0
"""Interval at which other files of the experiment are copied."""
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 2.0
_LOG_SECONDS: Final = 5.0


@final
class Segments:
    """Sends a growing text to S3 in pieces, of which only the last one is replaced; thread-safe.

    Parameters
    ----------
    objects
        Of the experiment or the slice.
    content
        Present content; the part that S3 has is not sent again.
    prefix
        Of the keys of the pieces.
    """

    def __init__(self, objects: S3Objects, content: bytes, prefix: str = JOURNAL) -> None:
        self._objects = objects
        self._prefix = prefix
        self._lock = threading.Lock()
        stored = list(objects.list(prefix))
        self._number = len(stored)
        self._current = content[sum(part.size for part in stored) :]
        self._is_sent = not self._current

    def add(self, line: bytes) -> None:
        """Add text; the next :meth:`flush` sends it."""
        with self._lock:
            self._current += line
            self._is_sent = False

    def flush(self) -> None:
        """Send all text that was added, before this returns.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer; the next call sends the text.
        """
        with self._lock:
            if self._is_sent:
                return
            self._objects.put(segment_key(self._number, self._prefix), self._current)
            self._is_sent = True
            if len(self._current) >= SEGMENT_BYTES:
                self._number += 1
                self._current = b""


def read_segments(objects: S3Objects, prefix: str = JOURNAL) -> bytes:
    """Return the whole text in S3; empty if there is none."""
    return b"".join(objects.get(part.key) or b"" for part in objects.list(prefix))


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
        is_eager: bool = True,
    ) -> None:
        self._journal = journal
        self._segments = segments
        self._mirror = mirror
        self._on_close = on_close
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
            The file cannot be written, or S3 is not available for some time.
        """
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
            self._flush()
            self._mirror.copy()
        except ServiceError as error:
            raise JournalError(
                f"The results cannot be copied to S3 ({error}): launch with --resume"
            ) from error
        finally:
            self._journal.close()
            self._on_close()

    def _copy_files(self) -> None:
        """Send checkpoints of this machine before the line that names them."""
        try:
            self._mirror.copy_checkpoints()
        except ServiceError as error:
            raise JournalError(
                f"A checkpoint cannot be copied to S3 ({error}): launch with --resume"
            ) from error

    def _flush(self) -> None:
        """Send all lines, with retries."""
        for attempt in range(_ATTEMPTS):
            try:
                self._segments.flush()
            except ServiceError as error:
                if attempt == _ATTEMPTS - 1 or not error.is_transient:
                    raise JournalError(
                        f"The journal cannot be written to S3: {error}. All lines before are kept; launch with --resume"
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
                if elapsed >= FILES_SECONDS:
                    elapsed = 0.0
                    self._mirror.copy()
            except (ServiceError, OSError) as error:
                _LOG.warning("Results could not be copied to S3, retrying: %s", error)


def has_effect(event: Event) -> bool:
    """Return whether an event has an effect: a run is started or stopped, or a checkpoint is deleted."""
    if isinstance(event, ResultEvent):
        return event.decision in {ReportDecision.PAUSE, ReportDecision.STOP}
    return isinstance(event, StartEvent | DropEvent | RequestEvent)


@final
class LogSender:
    """Sends a growing file to S3 every few seconds until it is closed.

    Parameters
    ----------
    path
        The file.
    objects
        The slice's objects.
    job
        Name of the tuning job.
    """

    def __init__(self, path: Path, objects: S3Objects, job: str) -> None:
        self._path = path
        self._segments = Segments(objects, b"", f"{LOGS}{job}/")
        self._offset = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send_regularly, name="log-sender", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send the rest."""
        self._is_over.set()
        self._thread.join()
        self._send()

    def _send_regularly(self) -> None:
        while not self._is_over.wait(_LOG_SECONDS):
            self._send()

    def _send(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
            self._offset += len(chunk)
            if chunk:
                self._segments.add(chunk)
            self._segments.flush()
        except (ServiceError, OSError) as error:
            _LOG.warning("The log could not be sent to S3, retrying: %s", error)


@final
class SliceLog:
    """Output of all tuning jobs of a slice; each call reads on.

    Parameters
    ----------
    objects
        The slice's objects.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects
        self._n_read: dict[str, int] = {}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def new_text(self) -> str:
        """Return the output since the last call; the first call begins with the first tuning job.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        entries = sorted(self._objects.list(LOGS), key=_order)
        return "".join(self._new_of(entry) for entry in entries)

    def _new_of(self, entry: StoredObject) -> str:
        done = self._n_read.get(entry.key, 0)
        if entry.size <= done:
            return ""
        content = self._objects.get(entry.key) or b""
        self._n_read[entry.key] = len(content)
        return self._decoder.decode(content[done:])


def _order(entry: StoredObject) -> tuple[int, str]:
    """Sort key: number of the job, which is the last part of its name."""
    job, _, piece = entry.key.removeprefix(LOGS).partition("/")
    return int(job.rpartition("-")[2]), piece
