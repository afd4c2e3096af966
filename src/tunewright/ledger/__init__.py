"""The ledger: the only writer of History. Events are filtered, judged, journaled, and replayed after a crash."""

from __future__ import annotations

from tunewright.ledger.book import Book
from tunewright.ledger.ledger import Handled, Kind, Ledger
from tunewright.ledger.replay import replay_history

__all__ = ["Book", "Handled", "Kind", "Ledger", "replay_history"]
