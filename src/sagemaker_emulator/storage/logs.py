"""CloudWatch Logs for code in this process, on moto's backend; what training jobs printed is kept on disk."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote, unquote

from moto.logs.models import LogsBackend, logs_backends

from sagemaker_emulator.storage.late import LateLines, Line
from sagemaker_emulator.storage.log_filter import filter_events
from sagemaker_emulator.storage.objects import ACCOUNT_ID

_LOG: Final = logging.getLogger(__name__)
TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
"""Log group of all training jobs."""
_SUFFIX: Final = ".jsonl"


@final
class LogStore:
    """Log streams of training jobs, one file each, which a later emulator loads. Thread-safe.

    Parameters
    ----------
    directory
        Folder of the files; made when it is not there.
    region
        Region of the log group.
    delay
        Real seconds after which a line that was written can be read.
    clock
        Real seconds that never decrease.
    """

    def __init__(
        self,
        directory: Path,
        *,
        region: str,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.RLock()
        """Held by whoever lets moto read or write."""
        self._late = LateLines(delay, clock)
        self._directory = directory
        self._backend: LogsBackend = logs_backends[ACCOUNT_ID][region]
        self._backend.reset()
        self._backend.ensure_log_group(TRAINING_LOG_GROUP)
        directory.mkdir(parents=True, exist_ok=True)
        for file in sorted(directory.glob(f"*{_SUFFIX}")):
            self._show(unquote(file.name.removesuffix(_SUFFIX)), list(_events(file)))

    def open_stream(self, name: str) -> None:
        """Make a stream in the log group of training jobs; one that exists is kept."""
        with self.lock:
            self._backend.ensure_log_group(TRAINING_LOG_GROUP)
            self._backend.ensure_log_stream(TRAINING_LOG_GROUP, name)

    def append(self, stream: str, events: Sequence[Line]) -> None:
        """Add (epoch milliseconds, line) events, oldest first; a stream that was deleted is made again.

        They can be read when the delay is over. Where the disk takes no more, they are there as long as this emulator lives.
        """
        if not events:
            return
        with self.lock:
            self._late.put(stream, events)
            self.settle()
            try:
                self._keep(stream, events)
            except OSError as error:
                _LOG.warning("the log of %s is not kept: %s", stream, error)

    def settle(self) -> None:
        """Show what can be read by now; to be called, with the lock, before anybody reads."""
        for stream, events in self._late.due():
            self._show(stream, events)

    def filter(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer a FilterLogEvents; None where there is no such group.

        Raises
        ------
        BadRequestError
            The request contradicts itself.
        """
        with self.lock:
            group = self._backend.groups.get(request.get("logGroupName", ""))
            return None if group is None else filter_events(group, request)

    def streams(self, group: str, prefix: str) -> list[str]:
        """Names of the streams of a group that begin with a prefix; none where the group does not exist."""
        with self.lock:
            found = self._backend.groups.get(group)
            return [] if found is None else sorted(name for name in found.streams if name.startswith(prefix))

    def _keep(self, stream: str, events: Sequence[Line]) -> None:
        file = self._directory / f"{quote(stream, safe='')}{_SUFFIX}"
        with file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(event) + "\n" for event in events)

    def _show(self, stream: str, events: Sequence[Line]) -> None:
        """To the group itself, as the service takes no events that are older than 14 days."""
        self.open_stream(stream)
        group = self._backend.groups[TRAINING_LOG_GROUP]
        group.put_log_events(stream, [{"timestamp": at, "message": line} for at, line in events])


def _events(file: Path) -> Iterator[Line]:
    """What a file holds; the lines that were torn when an emulator died are passed over."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            at, text = json.loads(line)
        except ValueError:
            continue
        yield int(at), str(text)
