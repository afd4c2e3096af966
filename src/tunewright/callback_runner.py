"""Calls callbacks and checkpoint policies so that none of them can harm an experiment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Generic, TypeVar, final

from tunewright.events import RequestEvent
from tunewright.exceptions import TunewrightError
from tunewright.history import History
from tunewright.interfaces import Backend, Callback, CheckpointPolicy
from tunewright.trial import BackendSummary, Checkpoint, ExperimentStatus, Result, Run, TrialStatus, Verdict

TICK_INTERVAL = 1.0
"""Minimum real seconds between two calls of ``on_wait``."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Guarded(Generic[_T]):
    """Observers of one kind; one that raises is reported once and removed."""

    def __init__(self, observers: Iterable[_T], kind: str) -> None:
        self._kind = kind
        self.active = list(observers)

    def each(self, call: Callable[[_T], object]) -> None:
        """Apply ``call`` to every observer that is still active."""
        for observer in tuple(self.active):
            try:
                call(observer)
            except (TunewrightError, OSError) as error:
                self.active.remove(observer)
                _log.error("%s is switched off: %s", type(observer).__name__, error)
            except Exception:
                self.active.remove(observer)
                _log.exception("%s %s raised and is switched off", self._kind, type(observer).__name__)


@final
class CallbackRunner:
    """The callbacks of an experiment, called in their order. One that raises is reported once and switched off."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._callbacks = _Guarded(callbacks, "Callback")
        self._last_tick = -TICK_INTERVAL

    def on_experiment_start(self, history: History) -> None:
        """Call ``on_experiment_start`` of every callback."""
        self._callbacks.each(lambda callback: callback.on_experiment_start(history))

    def on_trial_start(self, history: History, run: Run) -> None:
        """Call ``on_trial_start`` of every callback."""
        if self._callbacks.active:
            self._callbacks.each(lambda callback: callback.on_trial_start(history, run))

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """Call ``on_trial_result`` of every callback."""
        if self._callbacks.active:
            self._callbacks.each(
                lambda callback: callback.on_trial_result(history, trial_id, result, verdict)
            )

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Call ``on_trial_end`` of every callback."""
        if self._callbacks.active:
            self._callbacks.each(lambda callback: callback.on_trial_end(history, trial_id, status))

    def on_tick(self, history: History, now: float, backend: Backend) -> None:
        """Call ``on_wait`` of every callback, at most once a second of real time."""
        if self._callbacks.active and monotonic() - self._last_tick >= TICK_INTERVAL:
            self._last_tick = monotonic()
            summary = backend.summary()
            self._callbacks.each(lambda callback: callback.on_wait(history, now, summary))

    def on_request(self, history: History, request: RequestEvent) -> None:
        """Call ``on_request`` of every callback."""
        self._callbacks.each(lambda callback: callback.on_request(history, request))

    def on_interrupt(self, history: History) -> None:
        """Call ``on_interrupt`` of every callback."""
        self._callbacks.each(lambda callback: callback.on_interrupt(history))

    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """Call ``on_experiment_end`` of every callback."""
        self._callbacks.each(lambda callback: callback.on_experiment_end(history, outcome, summary))


@final
class CheckpointPolicies:
    """The checkpoint policies of an experiment. One that raises is reported once and switched off."""

    def __init__(self, policies: Iterable[CheckpointPolicy]) -> None:
        self._policies = _Guarded(policies, "CheckpointPolicy")

    @property
    def is_empty(self) -> bool:
        """Whether no policy is active, so that all checkpoints are kept."""
        return not self._policies.active

    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        """The unneeded checkpoints that at least one policy selects."""
        selected: set[Checkpoint] = set()
        self._policies.each(lambda policy: selected.update(policy.select_unneeded(history, unneeded)))
        return [checkpoint for checkpoint in unneeded if checkpoint in selected]

    def select_paused(self, history: History, paused: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        """The paused trials' checkpoints that at least one policy selects."""
        selected: set[Checkpoint] = set()
        self._policies.each(lambda policy: selected.update(policy.select_paused(history, paused)))
        return [checkpoint for checkpoint in paused if checkpoint in selected]
