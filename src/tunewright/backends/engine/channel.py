"""The port through which results of runs come back and requests go out, and the inbox that puts messages in order.

One listing a period brings the reports of all trials. It begins some time before the newest report that was seen, so that
uploads may be slow; messages that were seen before are skipped by their numbers. A gap in the numbers of a run, or a
job that has ended without an end message, is settled by one listing that begins much earlier.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, final

from tunewright.backends.engine.job_service import JobName
from tunewright.runner.channel import End, Report
from tunewright.trial import Checkpoint

_LONG_EVERY: Final = 8
"""One in so many usual listings reaches back far, if all the way takes several pages; one in as many as these pages all the way."""
_QUICK_SECONDS: Final = 2.0
"""Real seconds that every listing reaches back at least: between a message and its arrival, by clocks that differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in a listing."""

    id: str
    """Unique among all messages."""
    time: float
    """Seconds since 1970 by the clock of the channel's service, to which runners correct their own."""
    name: JobName
    seq: int
    load: Callable[[], Report | End]
    """Returns the content; raises ValueError if no runner wrote it."""


class Checkpoints(ABC):
    """The checkpoints of an experiment. Every method raises RequestError if the storage fails."""

    @abstractmethod
    def newest(self, trial_id: int) -> Checkpoint | None:
        """The complete checkpoint of the highest resource of a trial."""

    @abstractmethod
    def is_complete(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint that a runner reported can be used."""

    @abstractmethod
    def newest_restart(self, name: JobName) -> int:
        """The highest retry of the run that was begun, also by the engine itself; not below the name's."""

    @abstractmethod
    def delete(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint, its list of files first, so that it is never half there."""


class Channel(ABC):
    """Messages from the runners of an experiment and requests to them.

    Every method raises :class:`~tunewright.exceptions.RequestError` if the service refuses or does not answer.
    """

    checkpoints: Checkpoints
    page: int
    """Messages that one request brings at most."""
    skew: float
    """Maximum difference between two clocks, in seconds: a thorough search begins so long before the job."""
    period: float
    """Service seconds between two usual listings."""
    worker_period: float = 0.5
    """The same in workers mode, where a worker waits meanwhile for the next decision."""
    overlap: float
    """Real seconds that a usual listing reaches back."""
    shortest_overlap: float
    """Real seconds that it reaches back if ``overlap`` brings more than a page."""
    delay: float = 0.0
    """Real seconds after which a written message can be read for certain; 0: at once."""
    survives_termination: bool = True
    """Whether a job that was terminated may start again under its name, so that its end message is not the last one."""

    @abstractmethod
    def open(self) -> None:
        """Prepare for reading; called once, before anything is read.

        Raises
        ------
        BackendError
            The messages cannot be read at all.
        """

    @abstractmethod
    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        """All messages of the experiment since a time, in any order.

        Parameters
        ----------
        since
            Seconds since 1970.
        known
            Messages of the last listings, by id, which may be returned as they are.
        """

    @abstractmethod
    def send(self, name: JobName, request: str) -> None:
        """Send PAUSE, STOP or RELEASE of :mod:`tunewright.runner.channel` to a run."""

    def show_life(self, number: int) -> None:
        """Show all runners that there is a tuner; by default, nothing is sent, and runners do not miss it.

        Parameters
        ----------
        number
            Counts the calls, so that each sign differs from the last one.
        """


@dataclass(slots=True)
class Mailbox:
    """Messages of one retry of one run, in the order of their numbers."""

    taken: int = 0
    """Number of the last message that was handed out."""
    waiting: dict[int, Report | End] = field(default_factory=dict[int, Report | End])

    @property
    def is_empty(self) -> bool:
        """Whether no message was ever seen."""
        return not self.taken and not self.waiting

    @property
    def has_gap(self) -> bool:
        """Whether a message arrived before its predecessor."""
        return bool(self.waiting) and self.taken + 1 not in self.waiting

    def put(self, seq: int, message: Report | End) -> None:
        """Keep a message unless it was handed out before."""
        if seq > self.taken:
            self.waiting.setdefault(seq, message)

    def take(self, *, over_gaps: bool = False) -> list[tuple[int, Report | End]]:
        """Hand out the messages up to the first gap; with ``over_gaps`` all of them."""
        taken: list[tuple[int, Report | End]] = []
        while self.waiting:
            seq = min(self.waiting) if over_gaps else self.taken + 1
            if seq not in self.waiting:
                break
            taken.append((seq, self.waiting.pop(seq)))
            self.taken = seq
        return taken


@final
class Inbox:
    """Reads a channel's messages into one mailbox per retry of each run.

    Methods that read raise :class:`~tunewright.exceptions.RequestError` if the service refuses or does not answer.

    Parameters
    ----------
    channel
        The messages' source.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel: Final = channel
        self._newest = 0.0
        self._n_whole = 0
        """Messages of the last listing that reached back all the way."""
        self._n_polls = 0
        self._known: dict[str, Message] = {}
        """Messages of the last listings, by id."""
        self._boxes: defaultdict[JobName, Mailbox] = defaultdict(Mailbox)
        self._gaps: dict[JobName, float] = {}
        """Monotonic second at which a gap in the messages of a retry was first seen."""
        self._forgotten: set[JobName] = set()
        self._news: set[tuple[int, int]] = set()
        """Attempts of trials with messages that were not handed out."""
        self._retries: dict[tuple[int, int], int] = {}
        """The highest retry seen of each attempt of a trial."""

    def box(self, name: JobName) -> Mailbox:
        """The messages of one retry of a run."""
        return self._boxes[name]

    def names(self) -> list[JobName]:
        """The retries with a mailbox."""
        return list(self._boxes)

    @property
    def news(self) -> Set[tuple[int, int]]:
        """Attempts of trials with messages that wait to be handed out; a live view."""
        return self._news

    def has_news(self, trial_id: int, attempt: int) -> bool:
        """Whether messages of an attempt of a trial may wait to be handed out."""
        return (trial_id, attempt) in self._news

    def newest_retry(self, name: JobName) -> int:
        """The highest retry of the same attempt with a message, and not below that of the name."""
        return max(name.retry, self._retries.get((name.trial_id, name.attempt), 0))

    def take(self, names: Sequence[JobName], *, over_gaps: bool) -> list[tuple[JobName, int, Report | End]]:
        """Hand out the messages of the retries of one attempt, in order.

        Parameters
        ----------
        names
            All retries of the attempt, oldest first.
        over_gaps
            Whether missing messages are given up.
        """
        taken = [
            (name, seq, message)
            for name in names
            for seq, message in self._boxes[name].take(over_gaps=over_gaps)
        ]
        if not any(self._boxes[name].waiting for name in names):
            self._news.discard((names[0].trial_id, names[0].attempt))
        return taken

    def begin_at(self, wall: float) -> None:
        """Let the next usual listing reach back to messages of ``wall`` seconds since 1970."""
        self._newest = wall

    def poll(self) -> bool:
        """Read the usual listing, from a little before the newest message. Returns whether a new message came.

        If a page does not hold the messages of that time, most listings reach back less. A late message is found by a later one.
        """
        self._n_polls += 1
        channel, n_pages = self.channel, self._n_whole / self.channel.page
        if n_pages <= 1 or self._n_polls % max(_LONG_EVERY, round(n_pages)) == 0:
            return self._read(self._newest - channel.overlap)
        reach = channel.shortest_overlap
        if self._n_polls % _LONG_EVERY:
            reach = min(reach, max(_QUICK_SECONDS, channel.overlap / n_pages))
        return self._read(self._newest - reach, adds=True)

    def search_from(self, wall: float) -> None:
        """Read a thorough listing for messages of a job that began at ``wall`` seconds since 1970."""
        self._read(wall - self.channel.skew)

    def needs_search(self, names: Iterable[JobName]) -> bool:
        """Whether a message of these retries is missing that could be read by now."""
        return any(self._has_overdue_gap(name) for name in names)

    def forget(self, name: JobName) -> None:
        """Drop the messages of a retry that does not count, and ignore later ones."""
        self._boxes.pop(name, None)
        self._gaps.pop(name, None)
        self._forgotten.add(name)

    def forget_attempt(self, names: Sequence[JobName]) -> None:
        """Drop the messages of all retries of a run that has ended, and ignore later ones."""
        for name in names:
            self.forget(name)
        attempt = (names[0].trial_id, names[0].attempt)
        self._news.discard(attempt)
        self._retries.pop(attempt, None)

    def _has_overdue_gap(self, name: JobName) -> bool:
        if not self._boxes[name].has_gap:
            self._gaps.pop(name, None)
            return False
        now = time.monotonic()
        return now - self._gaps.setdefault(name, now) >= self.channel.delay

    def _read(self, since: float, *, adds: bool = False) -> bool:
        seen: dict[str, Message] = {}
        has_news, now = False, time.time()
        for message in self.channel.messages(since, self._known):
            seen[message.id] = message
            # one clock that is ahead must not hide the messages of the others
            self._newest = max(self._newest, min(message.time, now))
            if message.id not in self._known:
                self._accept(message)
                has_news = True
        if adds:
            self._known |= seen
        else:
            self._known, self._n_whole = seen, len(seen)
        return has_news

    def _accept(self, message: Message) -> None:
        name = message.name
        if name in self._forgotten:
            return
        attempt = (name.trial_id, name.attempt)
        self._retries[attempt] = max(name.retry, self._retries.get(attempt, 0))
        self._news.add(attempt)
        box = self._boxes[name]
        if message.seq > box.taken:
            with suppress(ValueError):  # no runner wrote it
                box.put(message.seq, message.load())
