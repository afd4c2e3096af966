"""Reading back what a scheduler wrote into a run's note."""

from __future__ import annotations

from tunewright.types import Note


def whole_number(note: Note, key: str, default: int = 0) -> int:
    """The whole number under ``key``; ``default`` where there is none."""
    value = note.get(key, default)
    return value if isinstance(value, int) else default


def with_searchers_part(note: Note, searchers: Note) -> Note:
    """A scheduler's note, and under ``"searcher"`` the searcher's, where it has one."""
    return {**note, "searcher": dict(searchers)} if searchers else note
