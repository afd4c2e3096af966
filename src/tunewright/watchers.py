"""Calls callbacks so that none of them can harm an experiment."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import final

from tunewright.exceptions import TunewrightError
from tunewright.history import History
from tunewright.interfaces import Backend, Callback
from tunewright.trial import Checkpoint

LOOK_ROUND_INTERVAL = 1.0
"""Real seconds between two ``on_wait``."""

_log = logging.getLogger(__name__)


@final
class Watchers:
    """The callbacks of an experiment. One that raises is reported once and switched off.

    Parameters
    ----------
    callbacks
        Called in this order.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = list(callbacks)
        self._last_look = -LOOK_ROUND_INTERVAL

    @property
    def has_checkpoint_policy(self) -> bool:
        """Whether any callback wants checkpoints removed at all."""
        return any(type(c).remove_checkpoints is not Callback.remove_checkpoints for c in self._callbacks)

    def call(self, hook: str, *arguments: object) -> None:
        """Call a hook of every callback that is still switched on."""
        if not self._callbacks:
            return
        for callback in tuple(self._callbacks):
            self._guarded(callback, hook, arguments)

    def look_round(self, history: History, now: float, backend: Backend) -> None:
        """Call ``on_wait``, at most once a second of real time."""
        if self._callbacks and monotonic() - self._last_look >= LOOK_ROUND_INTERVAL:
            self._last_look = monotonic()
            self.call("on_wait", history, now, backend.summary())

    def checkpoints_to_remove(self, history: History, unneeded: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        """What the callbacks choose of the unneeded checkpoints, each once."""
        return self._chosen("remove_checkpoints", history, unneeded)

    @property
    def gives_up_checkpoints(self) -> bool:
        """Whether any callback wants checkpoints of paused trials removed."""
        return any(type(c).give_up_checkpoints is not Callback.give_up_checkpoints for c in self._callbacks)

    def checkpoints_to_give_up(self, history: History, waiting: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        """What the callbacks choose of the paused trials' checkpoints, each once."""
        return self._chosen("give_up_checkpoints", history, waiting)

    def _chosen(self, hook: str, history: History, offered: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        chosen: dict[Checkpoint, None] = {}
        for callback in tuple(self._callbacks):
            picked = self._guarded(callback, hook, (history, offered))
            if isinstance(picked, Iterable):
                chosen.update(dict.fromkeys(picked))
        return [checkpoint for checkpoint in offered if checkpoint in chosen]

    def _guarded(self, callback: Callback, hook: str, arguments: tuple[object, ...]) -> object:
        try:
            return getattr(callback, hook)(*arguments)
        except (TunewrightError, OSError) as error:
            self._callbacks.remove(callback)
            _log.error("%s is switched off: %s", type(callback).__name__, error)
            return None
        except Exception:
            self._callbacks.remove(callback)
            _log.exception("Callback %s raised in %s and is switched off", type(callback).__name__, hook)
            return None
