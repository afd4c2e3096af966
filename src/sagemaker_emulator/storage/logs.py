"""CloudWatch Logs for code in this process, on moto's backend."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, final

from moto.logs.models import LogsBackend, logs_backends

from sagemaker_emulator.storage.objects import ACCOUNT_ID

TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
"""Log group of all training jobs."""


@final
class LogStore:
    """Log streams of training jobs. Thread-safe.

    Parameters
    ----------
    region
        Region of the log group.
    """

    def __init__(self, *, region: str) -> None:
        self.lock = threading.RLock()
        """Held by whoever lets moto read or write."""
        self._backend: LogsBackend = logs_backends[ACCOUNT_ID][region]
        self._backend.reset()
        self._backend.ensure_log_group(TRAINING_LOG_GROUP)

    def open_stream(self, name: str) -> None:
        """Make a stream in the log group of training jobs; one that exists is kept."""
        with self.lock:
            self._backend.ensure_log_group(TRAINING_LOG_GROUP)
            self._backend.ensure_log_stream(TRAINING_LOG_GROUP, name)

    def append(self, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Add (epoch milliseconds, line) events, oldest first; a stream that was deleted is made again."""
        if not events:
            return
        with self.lock:
            self.open_stream(stream)
            self._backend.put_log_events(
                TRAINING_LOG_GROUP, stream, [{"timestamp": at, "message": line} for at, line in events]
            )

    def streams(self, group: str, prefix: str) -> list[str]:
        """Names of the streams of a group that begin with a prefix; none where the group does not exist."""
        with self.lock:
            found = self._backend.groups.get(group)
            return [] if found is None else sorted(name for name in found.streams if name.startswith(prefix))
