"""The journal of a tuning job: a file, and S3, which a line that has an effect reaches before that effect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final, final

from tunewright.aws import ServiceError
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
from tunewright.remote.mirror import FolderMirror
from tunewright.remote.segments import Segments

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
    def header(self) -> Header:
        """The first line of the file."""
        return self._journal.header

    def events(self) -> Iterator[Event]:
        """All events of the file."""
        return self._journal.events()

    def append(self, event: Event) -> None:
        """Write the event to the file; if it has an effect, to S3 as well, with all events before it.

        Raises
        ------
        JournalError
            The file cannot be written, or S3 takes nothing for some time.
        """
        self._journal.append(event)
        if isinstance(event, EndEvent) and event.checkpoint is not None:
            self._copy_files()
        self._segments.add(encode_event(event))
        if self._is_eager and has_effect(event):
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


def has_effect(event: Event) -> bool:
    """Whether an effect follows the event: a run is started or ended, or a checkpoint is deleted."""
    if isinstance(event, ResultEvent):
        return event.decision in {ReportDecision.PAUSE, ReportDecision.STOP}
    return isinstance(event, StartEvent | DropEvent | RequestEvent)
