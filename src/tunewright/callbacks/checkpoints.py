"""Policies that say which checkpoints are removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.trial import Checkpoint


@final
class RemoveUnneededCheckpoints(Callback):
    """Removes every checkpoint as soon as no trial can need it any more (``--delete_checkpoints``)."""

    def remove_checkpoints(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """All of them."""
        del history
        return unneeded
