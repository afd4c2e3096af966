"""The contract of channels, which connect a runner to its backend."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, final

GO_ON = ""
"""No request: the script runs on."""
PAUSE = "pause"
"""End the script and keep its checkpoint: the trial is paused."""
STOP = "stop"
"""End the script: the trial is over."""
RELEASE = "release"
"""End the script and keep its checkpoint: the tuner went away; the run is continued later by a retry."""

EXITED = "exit"
"""Cause of an end: the script came to its own end, well or not."""
UNTIL = "until"
"""Cause of an end: the run reached its ``until``."""
TERMINATED = "terminated"
"""Cause of an end: the runner got SIGTERM (spot interruption, shutdown, a stop by the service)."""


@dataclass(frozen=True)
class Report:
    """One report of the script."""

    seq: int
    """From 1."""
    resource: int
    metrics: dict[str, Any]
    """As printed; NaN and infinities may be among the values."""
    cost: float
    """Dollars of the run so far, earlier retries included."""
    wall: float
    """Seconds since 1970 when it was read."""
    worker: str = ""
    """Name of the worker; only in the first report of a run on a worker."""
    is_warm: bool | None = None
    """Whether the worker had run another run before; only in the same report."""


@dataclass(frozen=True)
class End:
    """The end of the script."""

    cause: str
    """EXITED, UNTIL, PAUSE, STOP, RELEASE or TERMINATED. After the last two a retry should follow."""
    exit: int
    """The script's exit code (128 + n for signal n); 0 if the runner ended it."""
    error: str
    """The error with the last log lines; empty if there was none."""
    cost: float
    """Dollars of the run, earlier retries included."""
    wall: float
    """Seconds since 1970."""
    checkpoint: int | None
    """Resource of the whole checkpoint that was saved; None: there is none."""


def to_fields(message: Report | End) -> dict[str, Any]:
    """Fields of a message for JSON, without those that have their default."""
    return {
        one.name: getattr(message, one.name)
        for one in fields(message)
        if getattr(message, one.name) != one.default
    }


def from_fields(found: dict[str, Any], *, is_end: bool) -> Report | End:
    """A message from its fields, which any program may have written.

    Raises
    ------
    ValueError
        A field is missing, unknown or of a wrong type.
    """
    try:
        message = End(**found) if is_end else Report(**found)
    except TypeError as error:
        raise ValueError(f"Not a runner's message: {error}") from error
    for name, value in vars(message).items():
        if type(value) not in _TYPES[name] or (name == "wall" and not math.isfinite(value)):
            raise ValueError(f"Not a runner's message: {name}={value!r}")
    return message


_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "seq": (int,),
    "resource": (int,),
    "metrics": (dict,),
    "cost": _NUMBER,
    "wall": _NUMBER,
    "worker": (str,),
    "is_warm": (bool, type(None)),
    "cause": (str,),
    "exit": (int,),
    "error": (str,),
    "checkpoint": (int, type(None)),
}
"""Types of the fields of messages."""


class Channel(ABC):
    """A runner's connection to its backend.

    All methods are called from the runner's main thread, one at a time; the script's output is read meanwhile, so
    a call may take its time. A call retries transient failures by itself; an exception that it raises
    ends the runner.
    """

    poll_seconds: float
    """How often ``wanted`` is asked while nothing is reported; it is asked after each report too."""

    @abstractmethod
    def load_checkpoint(self) -> None:
        """Fill the order's ``checkpoint_dir`` (it exists, empty) before the script starts."""

    def note_start(self) -> None:
        """The process of the script has started; by default, nothing is delivered."""

    @abstractmethod
    def send_report(self, report: Report) -> None:
        """Deliver a report."""

    @abstractmethod
    def wanted(self) -> str:
        """The backend's present request: GO_ON, PAUSE, STOP or RELEASE."""

    @abstractmethod
    def note_checkpoint(self, resource: int) -> None:
        """A report was sent and the script runs on: at this moment its checkpoint folder holds ``resource``.

        For channels that save checkpoints on the way; may do nothing.
        """

    @abstractmethod
    def save_checkpoint(self, resource: int) -> bool:
        """The script is gone: save its checkpoint folder as the checkpoint of ``resource`` (>= 1).

        Returns
        -------
        bool
            Whether there is a complete checkpoint now; False if the folder is empty.
        """

    @abstractmethod
    def send_end(self, end: End) -> None:
        """Deliver the end; the last call."""


@final
class MutedChannel(Channel):
    """The channel of the other instances of a job with several: it loads checkpoints and obeys requests, but the first one reports.

    Parameters
    ----------
    channel
        The instance's own channel.
    """

    def __init__(self, channel: Channel) -> None:
        self.poll_seconds = channel.poll_seconds
        self._channel = channel

    def load_checkpoint(self) -> None:
        """Load the checkpoint that the run begins with."""
        self._channel.load_checkpoint()

    def wanted(self) -> str:
        """The backend's present request."""
        return self._channel.wanted()

    def send_report(self, report: Report) -> None:
        """Nothing: the first instance sends it."""

    def note_checkpoint(self, resource: int) -> None:
        """Nothing: the first instance stores it."""

    def save_checkpoint(self, resource: int) -> bool:
        """Nothing: the first instance stores it."""
        return False

    def send_end(self, end: End) -> None:
        """Nothing: the first instance sends it."""


def muted_unless(is_main: bool, channel: Channel) -> Channel:
    """The channel of one instance of a job: only the main one reports.

    Parameters
    ----------
    is_main
        Whether this instance reports for the job.
    channel
        The job's.
    """
    return channel if is_main else MutedChannel(channel)
