"""ServiceLogs: output of trials that a service holds, read as ``tunewright logs`` reads it, once for all pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, final

from tunewright.backends.plugin import find_backend
from tunewright.dashboard.details import MOST_BYTES, LogText
from tunewright.exceptions import TunewrightError
from tunewright.experiments import Experiment
from tunewright.metadata import ExperimentMetadata
from tunewright.storage import ExperimentFolder

READ_SECONDS: Final = 10.0
"""Seconds between two reads of a trial's output: each reads all of it, and services limit the rate of requests."""
_MOST_TRIALS: Final = 32  # whose output is kept

UNREAD: Final[LogText] = {"text": "", "offset": "", "is_whole": True, "error": "", "is_remote": True}
"""Output that was not asked for yet."""


def has_service_logs(metadata: ExperimentMetadata) -> bool:
    """Return whether a service holds the output of an experiment's trials."""
    with suppress(TunewrightError):
        return find_backend(metadata.backend_name).has_service_logs
    return False


@dataclass(slots=True)
class _Output:
    """The last part of a trial's output."""

    tail: str = ""
    length: int = 0
    """Characters of the whole output."""
    error: str = ""
    """Why it cannot be read, in one sentence; empty if it can."""
    read_at: float | None = None
    """On the monotonic clock."""
    reading: threading.Lock = field(default_factory=threading.Lock)


def read_service(folder: ExperimentFolder, trial_id: int) -> str:
    """Read the whole output of a trial, with the settings of the experiment.

    Raises
    ------
    TunewrightError, OSError
        The service refuses or does not answer, or credentials are missing.
    """
    stored = Experiment.from_json(folder.metadata())
    log = stored.plugin.logs(stored.backend, stored.context(folder), trial_id)
    try:
        return log.new_text()
    finally:
        log.close()


@final
class ServiceLogs:
    """Keeps the output of a few trials for some seconds; thread-safe.

    Parameters
    ----------
    read
        Reads the whole output of a trial.
    """

    def __init__(self, read: Callable[[ExperimentFolder, int], str] = read_service) -> None:
        self._read = read
        self._outputs: dict[tuple[str, int], _Output] = {}
        self._lock = threading.Lock()

    def read(self, folder: ExperimentFolder, trial_id: int, after: str) -> LogText:
        """Return the output of a trial after a position, at most the last 256 Ki characters.

        Parameters
        ----------
        folder, trial_id
            The trial.
        after
            The offset of an earlier answer; empty: from the beginning.
        """
        key = (str(folder.path), trial_id)
        with self._lock:
            output = self._outputs.pop(key, None) or _Output()
            self._outputs[key] = output  # the newest at the end
            while len(self._outputs) > _MOST_TRIALS:
                del self._outputs[next(iter(self._outputs))]
        self._refresh(output, folder, trial_id)
        begin = min(int(after), output.length) if after.isdecimal() else 0
        n_new = output.length - begin
        return {
            "text": output.tail[-n_new:] if n_new else "",
            "offset": str(output.length),
            "is_whole": n_new <= len(output.tail),
            "error": output.error,
            "is_remote": True,
        }

    def _refresh(self, output: _Output, folder: ExperimentFolder, trial_id: int) -> None:
        """Read the output if it is due; while another thread reads it, only the first read is waited for."""
        if not output.reading.acquire(blocking=output.read_at is None):
            return
        try:
            if output.read_at is not None and monotonic() - output.read_at < READ_SECONDS:
                return
            try:
                text = self._read(folder, trial_id)
                output.tail, output.length, output.error = text[-MOST_BYTES:], len(text), ""
            except (TunewrightError, OSError, ValueError) as error:
                output.error = f"The output cannot be read: {error}"
            output.read_at = monotonic()
        finally:
            output.reading.release()
