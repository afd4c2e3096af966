"""Checkpoint policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from tunewright.history import History
from tunewright.interfaces import CheckpointPolicy
from tunewright.trial import Checkpoint


@final
class RemoveUnneededCheckpoints(CheckpointPolicy):
    """Removes every checkpoint as soon as no trial can need it any more (``--delete_checkpoints``)."""

    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """Select all of them."""
        del history
        return unneeded
