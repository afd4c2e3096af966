"""Growing texts in S3: the journals and the log of a tuning job."""

from __future__ import annotations

import codecs
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, final

from tunewright.aws import S3Objects, ServiceError, StoredObject
from tunewright.exceptions import JournalError
from tunewright.journal import FileJournal, Journal, Line, encode_line
from tunewright.remote.layout import JOURNAL, LOGS, segment_key
from tunewright.remote.mirror import FolderMirror
from tunewright.trial import Decision

SEGMENT_BYTES: Final = 64 * 1024
"""A piece that has grown to this size is followed by the next one."""


@final
class Segments:
    """Sends the lines of one journal; thread-safe.

    Parameters
    ----------
    objects
        Where the pieces are put.
    content
        What the journal holds already. Where S3 has it, nothing of it is sent again.
    prefix
        What the keys of the pieces begin with.
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
        """Take a line; it is sent with the next :meth:`flush`."""
        with self._lock:
            self._current += line
            self._is_sent = False

    def flush(self) -> None:
        """Send what was added; when this returns, S3 has it.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer; the lines are kept for the next time.
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
    """The whole text as far as S3 has it; empty where there is none."""
    return b"".join(objects.get(part.key) or b"" for part in objects.list(prefix))


_LOG: Final = logging.getLogger(__name__)

LINES_SECONDS: Final = 3.0
"""After that time lines without an effect are sent as well."""
FILES_SECONDS: Final = 20.0
"""Between two looks at the other files of the experiment."""
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 2.0


@final
class RemoteJournal(Journal):
    """A `FileJournal` whose lines, and the files beside it, are copied to S3.

    Parameters
    ----------
    journal
        The file; closed with this object.
    segments
        Takes the lines.
    mirror
        Copies the other files of the experiment's folder.
    on_close
        Called last.
    is_eager
        Whether lines that have an effect are sent before it; not needed where nothing real happens.
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
        self._courier = threading.Thread(target=self._carry, name="courier", daemon=True)
        self._courier.start()

    @property
    def header(self) -> Line:
        """The first line of the file."""
        return self._journal.header

    def lines(self) -> Iterator[Line]:
        """All lines of the file after the header."""
        return self._journal.lines()

    def append(self, line: Line) -> None:
        """Write the line to the file; where it has an effect, to S3 as well, with all lines before it.

        Raises
        ------
        JournalError
            The file cannot be written, or S3 takes nothing for some time.
        """
        self._journal.append(line)
        if line["kind"] == "end" and line.get("checkpoint") is not None:
            self._copy_files()
        self._segments.add(encode_line(line))
        if self._is_eager and has_effect(line):
            self._flush()

    def close(self) -> None:
        """Send everything that is left, lines and files, then close the file."""
        self._is_over.set()
        self._courier.join()
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
        """Send a checkpoint that lies among our files before the line that promises it."""
        try:
            self._mirror.copy_checkpoints()
        except ServiceError as error:
            raise JournalError(
                f"A checkpoint cannot be copied to S3 ({error}): launch with --resume"
            ) from error

    def _flush(self) -> None:
        """Send all lines, several times if need be."""
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

    def _carry(self) -> None:
        """Send lines every few seconds and files now and then, until the end."""
        elapsed = 0.0
        while not self._is_over.wait(LINES_SECONDS):
            elapsed += LINES_SECONDS
            try:
                self._segments.flush()
                if elapsed >= FILES_SECONDS:
                    elapsed = 0.0
                    self._mirror.copy()
            except (ServiceError, OSError) as error:
                _LOG.warning("Results could not be copied to S3, which is tried again: %s", error)


def has_effect(line: Line) -> bool:
    """Whether the world changes after a line: a run is started, one is told to end, or a checkpoint is removed."""
    kind = line["kind"]
    return kind in {"start", "drop"} or (
        kind == "result" and line.get("decision") in {Decision.PAUSE, Decision.STOP}
    )


_SECONDS: Final = 5.0


@final
class LogCourier:
    """Sends a growing file every few seconds, until it is closed.

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
        self._thread = threading.Thread(target=self._carry, name="log-courier", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send the rest."""
        self._is_over.set()
        self._thread.join()
        self._send()

    def _carry(self) -> None:
        while not self._is_over.wait(_SECONDS):
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
            _LOG.warning("The log could not be sent to S3, which is tried again: %s", error)


@final
class SliceLog:
    """The output of all tuning jobs of a slice, read on from where it was read to.

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
        """What was printed since the last call; the first call begins with the first tuning job.

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
    """Jobs by their number, which is the last part of their name."""
    job, _, piece = entry.key.removeprefix(LOGS).partition("/")
    return int(job.rpartition("-")[2]), piece
