"""The log of training jobs in memory only, beside the objects in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, final

from moto.logs.models import LogGroup

from sagemaker_emulator.storage.late import LateLines, Line
from sagemaker_emulator.storage.log_filter import filter_events
from sagemaker_emulator.storage.logs import TRAINING_LOG_GROUP
from sagemaker_emulator.storage.objects import ACCOUNT_ID


@final
class MemoryLogs:
    """Log streams of training jobs, which are gone with this object; thread-safe.

    Parameters
    ----------
    delay
        Real seconds after which a line that was written can be read.
    clock
        Real seconds that never decrease.
    """

    def __init__(self, *, delay: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._late = LateLines(delay, clock)
        self._group = cast("LogGroup", LogGroup(ACCOUNT_ID, "us-east-1", TRAINING_LOG_GROUP))

    def append(self, stream: str, lines: Sequence[Line]) -> None:
        """Add lines to a stream, oldest first."""
        with self._lock:
            self._late.put(stream, lines)

    def filter(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a FilterLogEvents, whatever group it names.

        Raises
        ------
        BadRequestError
            The request contradicts itself.
        """
        with self._lock:
            for stream, lines in self._late.due():
                if stream not in self._group.streams:
                    self._group.create_log_stream(stream)
                events = [{"timestamp": at, "message": line} for at, line in lines]
                self._group.put_log_events(stream, events)
            return filter_events(self._group, request)
