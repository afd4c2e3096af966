"""Logs of tuning jobs in S3: growing texts in pieces."""

from __future__ import annotations

import codecs
import logging
import threading
from pathlib import Path
from typing import Final, final

from tunewright.aws import S3Objects, ServiceError, StoredObject
from tunewright.aws.mirror import Segments
from tunewright.remote.layout import LOGS

_LOG: Final = logging.getLogger(__name__)
_LOG_SECONDS: Final = 5.0


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
