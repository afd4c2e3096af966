"""Reading a backend's events in tests: with a deadline, and with the rules that hold for every event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar, final

from tunewright.interfaces import Backend
from tunewright.trial import Ended, PhaseChange, Reported

_T = TypeVar("_T")


def expect(condition: bool, message: str) -> None:
    """Fail the test with ``message`` unless ``condition`` holds.

    Raises
    ------
    AssertionError
        It does not hold.
    """
    if not condition:
        raise AssertionError(message)


def expect_equal(actual: _T, expected: _T, what: str) -> None:
    """Fail the test unless both are equal; ``what`` names them in the message.

    Raises
    ------
    AssertionError
        They differ.
    """
    expect(actual == expected, f"{what}: expected {expected!r}, got {actual!r}")


@final
class EventReader:
    """Takes events from a backend, checks each, and keeps all.

    What holds for every event: reports of a run and retry are numbered 1, 2, ... (reports that came before are
    passed over), the cost of a run never falls, an ``Ended`` is the last event of its run and comes once, and the
    clock never goes back.

    Parameters
    ----------
    backend
        Whose events.
    patience
        Real seconds to wait for something before the test fails.
    """

    def __init__(self, backend: Backend, *, patience: float) -> None:
        self._backend = backend
        self._patience = patience
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._costs: dict[tuple[int, int], float] = {}
        self.reports: list[Reported] = []
        """All reports, each once."""
        self.ends: dict[tuple[int, int], Ended] = {}
        """The ends by (trial, attempt)."""
        self.phases: list[PhaseChange] = []
        """All phase changes."""

    def resources(self, trial_id: int, attempt: int = 0) -> list[int]:
        """The resources that a run has reported, in order of arrival."""
        return [r.resource for r in self.reports if (r.trial_id, r.attempt) == (trial_id, attempt)]

    def until_reported(self, trial_id: int, resource: int, *, attempt: int = 0) -> None:
        """Read until a run has reported ``resource`` or more."""
        self._until(
            lambda: max(self.resources(trial_id, attempt), default=0) >= resource,
            f"report of resource {resource} by trial {trial_id}, attempt {attempt}",
        )

    def until_ended(self, trial_id: int, *, attempt: int = 0) -> Ended:
        """Read until a run has ended, and give its end."""
        self._until(lambda: (trial_id, attempt) in self.ends, f"end of trial {trial_id}, attempt {attempt}")
        return self.ends[trial_id, attempt]

    def drain(self) -> None:
        """Read what there is at this instant."""
        while self._read(0.0):
            pass

    def _until(self, is_there: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + self._patience
        while not is_there():
            expect(
                time.monotonic() < limit,
                f"no {what} within {self._patience} s; reports: {self.reports}, ends: {list(self.ends.values())}",
            )
            self._read(1.0)

    def _read(self, timeout: float) -> bool:
        before = self._backend.clock.now()
        events = self._backend.wait(timeout)
        expect(self._backend.clock.now() >= before, "the clock went back")
        for event in events:
            key = (event.trial_id, event.attempt)
            expect(key not in self.ends, f"{event} came after the end of its run")
            if isinstance(event, PhaseChange):
                self.phases.append(event)
                continue
            expect(event.cost >= self._costs.get(key, 0.0), f"the cost of the run fell at {event}")
            self._costs[key] = event.cost
            if isinstance(event, Ended):
                self.ends[key] = event
            else:
                self._take(event)
        return bool(events)

    def _take(self, report: Reported) -> None:
        key = (report.trial_id, report.attempt, report.retry)
        last = self._numbers.get(key)
        if last is not None and report.seq <= last:
            return
        expect(last is None or report.seq == last + 1, f"{report} does not follow number {last}")
        self._numbers[key] = report.seq
        self.reports.append(report)
