"""A growing text in S3: pieces, each replaced until it is large enough, so that little is sent at a time."""

from __future__ import annotations

import threading
from typing import Final, final

from tunewright.aws import S3Objects
from tunewright.remote.place import JOURNAL, segment_key

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
