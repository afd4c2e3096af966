"""What a fetched experiment's folder remembers of its slice: whether a tuning job worked on it at the last look."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

from tunewright.remote.slices import SliceState
from tunewright.storage import write_atomically

_FILE: Final = ".slice.json"
_LIVE: Final = frozenset({SliceState.RUNNING, SliceState.STOPPING})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceNote:
    """A slice as it stood at the last look."""

    tag: str
    name: str
    state: str
    looked_at: float
    """Seconds since 1970."""

    def text(self) -> str:
        """Where the experiment runs, since when that is known, and what can be done."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.looked_at))
        return f"in the tuning job of {self.name}, looked at {when}; look again: tunewright remote fetch {self.tag}"


def note_slice(folder: Path, note: SliceNote) -> None:
    """Remember a look at a slice in the folder of one of its experiments."""
    write_atomically(folder / _FILE, json.dumps(asdict(note)) + "\n")


def slice_of(folder: Path) -> SliceNote | None:
    """The slice that an experiment was fetched from; None where it ran here."""
    try:
        return SliceNote(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def running_elsewhere(folder: Path) -> SliceNote | None:
    """The slice whose tuning job worked on an experiment at the last look; None where none did."""
    note = slice_of(folder)
    return note if note is not None and note.state in _LIVE else None
