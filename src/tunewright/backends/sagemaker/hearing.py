"""The runs under way, and what is heard of them, as events in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import final

from tunewright.backends.sagemaker.channel import MessageReader
from tunewright.backends.sagemaker.endings import Endings
from tunewright.backends.sagemaker.flight import Flight
from tunewright.runner.channel import End
from tunewright.trial import Ended, Reported


@final
class Hearing:
    """Turns the reports and end markers that were listed into events: each once, in order, a run's end last.

    Attributes
    ----------
    flights
        Runs under way by trial; a run stays until :meth:`finish`.
    is_interrupted
        Whether a :meth:`wait` was interrupted: from then on nothing is to be waited for.

    Parameters
    ----------
    reader
        Lists what runs say.
    endings
        Judges runs that never began.
    tolerate
        Does what may fail for passing reasons.
    """

    def __init__(
        self, reader: MessageReader, endings: Endings, tolerate: Callable[[Callable[[], object]], None]
    ) -> None:
        self._reader = reader
        self._endings = endings
        self._tolerate = tolerate
        self._events: deque[Reported | Ended] = deque()
        self.flights: dict[int, Flight] = {}
        self.is_interrupted = False

    @property
    def created(self) -> list[Flight]:
        """The runs of which there is a job or a task."""
        return [flight for flight in self.flights.values() if flight.is_created]

    def wait(
        self, timeout: float, step: Callable[[], None], sleep: Callable[[float], None]
    ) -> Sequence[Reported | Ended]:
        """Step and sleep until there are events; they are handed out once.

        Parameters
        ----------
        timeout
            Real seconds after which none are handed out.
        step
            Does what is to be done now.
        sleep
            Sleeps until there may be something to do, but not beyond a monotonic second.

        Raises
        ------
        KeyboardInterrupt
            It was interrupted; :attr:`is_interrupted` says so to whoever closes the backend.
        """
        deadline = time.monotonic() + timeout
        try:
            while True:
                step()
                if self._events or time.monotonic() >= deadline:
                    events = list(self._events)
                    self._events.clear()
                    return events
                sleep(deadline)
        except KeyboardInterrupt:
            self.is_interrupted = True
            raise

    def wants(self, trial_id: int, wish: str) -> None:
        """Note what is wanted of a run; one that has not begun is over."""
        flight = self.flights.get(trial_id)
        if flight is None:
            return
        flight.wants(wish)
        if not flight.is_created and not flight.is_uncertain:
            self.finish(flight, self._endings.never_begun(flight))

    def hear(self, flights: Sequence[Flight], settle: Callable[[Flight], None]) -> None:
        """Take what the runs said, and settle those of which no word is missing.

        Parameters
        ----------
        flights
            Runs that were created.
        settle
            Ends a run when it is over.
        """
        for flight in flights:
            if self._has_news(flight):
                self._take(flight, over_gaps=False)
        missed = [f for f in flights if self._is_due(f) or self._has_gap(f)]
        if missed:
            self._tolerate(lambda: self._search(missed))
        for flight in flights:
            if (flight.is_over or flight.end is not None) and not self._lacks_end(flight):
                self._tolerate(lambda flight=flight: settle(flight))

    def conclude(self, flight: Flight, conclusion: Ended | Flight) -> None:
        """A run is over, or goes on as the next retry."""
        if isinstance(conclusion, Flight):
            self.flights[flight.order.run.trial_id] = conclusion
        else:
            self.finish(flight, conclusion)

    def finish(self, flight: Flight, ended: Ended) -> None:
        """Free the run's worker; the end is the last event of the run."""
        del self.flights[flight.order.run.trial_id]
        self._reader.forget_attempt(flight.names)
        self._events.append(ended)

    def _search(self, flights: Sequence[Flight]) -> None:
        """One thorough listing for all of which something is missing."""
        is_due = [flight.is_over and self._is_late(flight) for flight in flights]
        self._reader.search_from(min(flight.created for flight in flights))
        for flight, was_due in zip(flights, is_due, strict=True):
            flight.was_searched = was_due
            self._take(flight, over_gaps=True)

    def _has_news(self, flight: Flight) -> bool:
        run = flight.order.run
        return self._reader.has_news(run.trial_id, run.attempt)

    def _has_gap(self, flight: Flight) -> bool:
        return self._has_news(flight) and self._reader.needs_search(flight.names)

    def _lacks_end(self, flight: Flight) -> bool:
        """Whether the last word of a run whose job is over may still come."""
        has_last = self._reader.has_one_life and flight.end is not None
        return flight.is_silent and not has_last

    def _is_due(self, flight: Flight) -> bool:
        """Whether that word should have come by now."""
        return self._lacks_end(flight) and self._is_late(flight)

    def _is_late(self, flight: Flight) -> bool:
        since = flight.terminal_since
        return since is not None and time.monotonic() - since >= self._reader.delay

    def _take(self, flight: Flight, *, over_gaps: bool) -> None:
        newest = self._reader.newest_retry(flight.name)
        flight.live_on(newest)
        for name in flight.names:
            for seq, message in self._reader.box(name).take(over_gaps=over_gaps):
                if not isinstance(message, End):
                    self._events.append(flight.reported(name.retry, seq, message))
                elif name.retry == newest:
                    flight.end = message
        self._reader.was_handed_out(flight.names)
