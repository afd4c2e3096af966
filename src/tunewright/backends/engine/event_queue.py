"""The runs of a backend and the events of their messages: each once, in order, a run's end last."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import final

from tunewright.backends.engine.channel import Inbox
from tunewright.backends.engine.tracked_run import RunPhase, TrackedRun
from tunewright.interfaces import BackendEvent
from tunewright.runner.channel import End
from tunewright.trial import Ended, PhaseChange

_DECIDED = frozenset({RunPhase.REJECTED})
"""Phases whose outcome needs no message."""


@final
class EventQueue:
    """Turns the messages of runs into events.

    Parameters
    ----------
    inbox
        The messages.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._runs: dict[int, TrackedRun] = {}
        self._events: deque[BackendEvent] = deque()
        self._changes: deque[PhaseChange] = deque()
        """Phases, which wait for other events, or for the end of the wait."""
        self._moving: list[TrackedRun] = []
        """The runs that were not quiet, or had messages, when :meth:`read` began; only these can be overdue or end."""

    @property
    def runs(self) -> Collection[TrackedRun]:
        """The runs without an outcome; a live view."""
        return self._runs.values()

    def find(self, trial_id: int) -> TrackedRun | None:
        """The run of a trial; None if it has none."""
        return self._runs.get(trial_id)

    def add(self, run: TrackedRun) -> None:
        """Add a run, or replace that of its trial."""
        self._runs[run.run.trial_id] = run

    def drop(self, run: TrackedRun) -> None:
        """Remove a run without an event: it never began, and another session may begin it."""
        del self._runs[run.run.trial_id]

    def finish(self, run: TrackedRun, result: Ended | TrackedRun) -> None:
        """Close a run: its end is its last event, and frees its worker; a retry takes its place."""
        run.close()
        if isinstance(result, TrackedRun):
            self._changes.extend(run.take_changes())
            self.add(result)
            return
        del self._runs[run.run.trial_id]
        self._inbox.forget_attempt(run.names)
        self._add(run, result)

    def take_events(self) -> list[BackendEvent]:
        """Hand out all events."""
        events: list[BackendEvent] = [*self._events, *self._changes]
        self._events.clear()
        self._changes.clear()
        return events

    @property
    def has_events(self) -> bool:
        """Whether reports or ends wait to be handed out."""
        return bool(self._events)

    def read(self) -> None:
        """Turn the messages that were listed into events."""
        found = [self._runs.get(trial_id) for trial_id, _ in self._inbox.news]
        with_news = {run for run in found if run is not None}
        self._moving = [run for run in self._runs.values() if not run.is_quiet or run in with_news]
        for run in self._under_way():
            if self._has_news(run):
                self._take(run, over_gaps=False)
            self._changes.extend(run.take_changes())

    def overdue(self) -> list[TrackedRun]:
        """Runs of which messages are missing that should have come by now."""
        return [run for run in self._under_way() if self._is_due(run) or self._has_gap(run)]

    def search(self, runs: Sequence[TrackedRun]) -> None:
        """Search for missing messages of runs, by one thorough listing.

        Raises
        ------
        RequestError
            The channel's service refuses or does not answer.
        """
        were_late = [self._is_late(run) for run in runs]
        self._inbox.search_from(min(run.created for run in runs))
        for run, was_late in zip(runs, were_late, strict=True):
            if was_late:
                run.searched()
            self._take(run, over_gaps=True)

    def ending(self) -> list[TrackedRun]:
        """Runs that end, or have ended, and of which no message is missing."""
        return [run for run in self._moving if not run.is_quiet and self._is_ending(run)]

    def _under_way(self) -> list[TrackedRun]:
        """The moving runs that have or had a job or a worker."""
        return [run for run in self._moving if run.is_under_way]

    def _is_ending(self, run: TrackedRun) -> bool:
        if run.phase in _DECIDED:
            return True
        has_ended = run.phase in {RunPhase.OVER, RunPhase.WITHDRAWN} or run.end is not None
        return run.is_under_way and has_ended and not self._lacks_end(run)

    def _has_news(self, run: TrackedRun) -> bool:
        return self._inbox.has_news(run.run.trial_id, run.run.attempt)

    def _has_gap(self, run: TrackedRun) -> bool:
        return self._has_news(run) and self._inbox.needs_search(run.names)

    def _lacks_end(self, run: TrackedRun) -> bool:
        """Whether the last message of a run without a job may still come."""
        is_last = run.end is not None and not self._inbox.channel.survives_termination
        return run.is_silent and not is_last

    def _is_due(self, run: TrackedRun) -> bool:
        """Whether that message should have come by now."""
        return self._lacks_end(run) and self._is_late(run)

    def _is_late(self, run: TrackedRun) -> bool:
        return run.has_ended and run.ended_seconds >= self._inbox.channel.delay

    def _take(self, run: TrackedRun, *, over_gaps: bool) -> None:
        run.restart(self._inbox.newest_retry(run.name))
        for name, seq, message in self._inbox.take(run.names, over_gaps=over_gaps):
            if isinstance(message, End):
                run.take_end(name.retry, message)
            else:
                self._add(run, run.report(name.retry, seq, message))

    def _add(self, run: TrackedRun, event: BackendEvent) -> None:
        """Add an event after all phases that the runs entered before it."""
        self._events.extend(self._changes)
        self._changes.clear()
        self._events.extend(run.take_changes())
        self._events.append(event)
