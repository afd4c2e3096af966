"""Marker of a fetched experiment: the slice of a remote launch that it belongs to, and the state of that slice."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, final

from tunewright.storage import write_atomically

_FILE: Final = ".slice.json"


class SliceState(StrEnum):
    """State of a slice: the part of a remote launch that one tuning job runs."""

    WAITING = "waiting"
    """To be launched: there is no tuning job yet, or the last one ended with work left."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Stopped by its user; its tuning job is about to end."""
    FINISHED = "finished"
    FAILED = "failed"
    """Ended with an error that another launch does not change."""
    STOPPED = "stopped"
    """Stopped by its user."""


_LIVE: Final = frozenset({SliceState.RUNNING, SliceState.STOPPING})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteMarker:
    """State of a slice when its experiments were last fetched."""

    tag: str
    name: str
    state: str
    """A `SliceState`."""
    looked_at: float
    """Seconds since 1970."""

    def text(self) -> str:
        """Tuning job, time of the last fetch, and the command that fetches again."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.looked_at))
        return f"in the tuning job of {self.name}, looked at {when}; look again: tunewright remote fetch {self.tag}"


def write_marker(folder: Path, marker: RemoteMarker) -> None:
    """Store the marker in an experiment's folder."""
    write_atomically(folder / _FILE, json.dumps(asdict(marker)) + "\n")


def read_marker(folder: Path) -> RemoteMarker | None:
    """Return the marker of an experiment's folder; None for an experiment that ran on this machine."""
    try:
        return RemoteMarker(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def live_marker(folder: Path) -> RemoteMarker | None:
    """Return the marker if a tuning job worked on the experiment when it was last fetched, else None."""
    marker = read_marker(folder)
    return marker if marker is not None and marker.state in _LIVE else None
