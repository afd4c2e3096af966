"""Watcher: one task that looks at files for all open pages; and the streams of server-sent events."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, final

import msgspec
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from tunewright.dashboard.details import LogText
from tunewright.dashboard.library import Entry, Library
from tunewright.exceptions import TunewrightError

INTERVAL: Final = 0.2
"""Seconds between two looks at the files of an experiment that a page follows."""
LIST_INTERVAL: Final = 1.0
"""Seconds between two looks at all experiments while a page shows the list."""
DOCUMENT_INTERVAL: Final = 1.0
"""Least seconds between two documents of an experiment in a stream."""
LOG_INTERVAL: Final = 0.4
"""Seconds between two looks at a log that a page follows."""
RETRY: Final = 500
"""Milliseconds after which a page opens a broken stream again."""
_SLICE: Final = 0.5
"""Seconds for which the list is read before the rows so far are sent."""

_GONE_SECONDS: Final = 1.0
"""Seconds for which an experiment's folder is missing before its page learns that it is gone."""
_ADVICE_SECONDS: Final = 1.5
"""Seconds after which advice is sought on an experiment that a page follows: it takes the time of first views."""

_LOG: Final = logging.getLogger(__name__)


def encoded(document: object) -> bytes:
    """A document as JSON."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:  # a lone surrogate in the text of a script
        return json.dumps(msgspec.to_builtins(document), allow_nan=False).encode()


@final
class Watcher:
    """Looks at files while pages follow them, and wakes their streams.

    Parameters
    ----------
    library
        The experiments.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._entries: Counter[Entry] = Counter()
        self._n_lists = 0
        self._woken = self._wanted = self._list_wanted = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        """The present look at all experiments."""
        self._finding: asyncio.Task[None] | None = None
        """The present search for advice."""
        self.is_closed = False
        """Whether streams end."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look at files during the context, on the running event loop."""
        self._woken, self._wanted, self._list_wanted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(self._follow_entries()), asyncio.create_task(self._follow_list())]
        try:
            yield
        finally:
            every = [one for one in (*tasks, self._looking, self._finding) if one is not None]
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)

    def _wake(self) -> None:
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    # --- experiments

    async def _follow_entries(self) -> None:
        while True:
            await self._wanted.wait()
            if await run_in_threadpool(self._look):
                self._wake()
            if self._finding is None or self._finding.done():
                self._finding = asyncio.create_task(self._find_steps())
            await asyncio.sleep(INTERVAL)
            if not self._entries and not self._n_lists:
                self._wanted.clear()

    def _look(self) -> bool:
        """Look at the experiments that pages follow; return whether anything changed."""
        is_changed = False
        for entry in list(self._entries):
            try:
                is_changed |= entry.is_gone or entry.look(with_feed=True)
            except (TunewrightError, OSError):
                continue  # the stream shows the state before
            except Exception:
                _LOG.exception("%s cannot be followed", entry.id)
        return is_changed

    async def _find_steps(self) -> None:
        """Find the advice on followed experiments that are over, which takes longer."""
        if not any(entry.lacks_steps for entry in self._entries):
            return
        await asyncio.sleep(_ADVICE_SECONDS)
        for entry in [one for one in self._entries if one.lacks_steps]:
            await run_in_threadpool(entry.find_steps)
            self._wake()

    # --- the list

    async def _follow_list(self) -> None:
        while True:
            await self._list_wanted.wait()
            await self.look_at_list(LIST_INTERVAL)
            await asyncio.sleep(LIST_INTERVAL)
            if not self._n_lists:
                self._list_wanted.clear()

    async def look_at_list(self, seconds: float) -> bool:
        """Look at all experiments; return whether this was done within some seconds, after which it goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._looking is not None and not self._looking.done():
                    await asyncio.shield(self._looking)  # it may have passed what changed now
                if self._looking is None or self._looking.done():
                    self._looking = asyncio.create_task(self._look_at_list())
                await asyncio.shield(self._looking)
                return True
        return False

    async def _look_at_list(self) -> None:
        is_whole = False
        while not is_whole:
            before = self._library.revision
            is_whole = await run_in_threadpool(lambda: self._library.look(most_seconds=_SLICE))
            if self._library.revision != before:
                self._wake()

    # --- followers

    async def followed(self) -> None:
        """Wait until a page follows anything."""
        await self._wanted.wait()

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        self._woken.set()

    async def change(self, seconds: float) -> None:
        """Wait until something may have changed, or for some seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    @contextmanager
    def following(self, entry: Entry) -> Generator[None]:
        """Have an experiment looked at during the context."""
        self._entries[entry] += 1
        entry.n_followers += 1
        self._wanted.set()
        try:
            yield
        finally:
            entry.n_followers -= 1
            self._entries[entry] -= 1
            if not self._entries[entry]:
                del self._entries[entry]

    @contextmanager
    def following_list(self) -> Generator[None]:
        """Have the list looked at during the context."""
        self._n_lists += 1
        self._wanted.set()
        self._list_wanted.set()
        try:
            yield
        finally:
            self._n_lists -= 1


_PATIENCE: Final = 5.0
"""Seconds after which a stream looks by itself whether it has anything to send."""


async def list_stream(watcher: Watcher, library: Library, last_id: str) -> AsyncGenerator[ServerSentEvent]:
    """Rows of the list as they change; those since a revision of this server."""
    sent = int(last_id) if last_id.isdecimal() and int(last_id) <= library.revision else 0
    yield ServerSentEvent(comment="list", retry=RETRY)
    with watcher.following_list():
        while not watcher.is_closed:
            if library.revision > sent:
                rows = await run_in_threadpool(library.rows, sent)
                sent = int(rows["revision"])
                yield ServerSentEvent(_text(rows), event="list", id=rows["revision"])
            await watcher.change(_PATIENCE)


async def experiment_stream(
    watcher: Watcher, entry: Entry, after: int, *, control: bool
) -> AsyncGenerator[ServerSentEvent]:
    """Changes of an experiment since an offset of its journal, and its document when it changes; at last that it is gone."""
    yield ServerSentEvent(comment=entry.id, retry=RETRY)
    feed = await run_in_threadpool(entry.open_feed)
    if not await run_in_threadpool(feed.is_boundary, after):
        yield ServerSentEvent("{}", event="reset", id="0")
        after = 0
    generation = feed.generation
    sent_version, next_document = -1, 0.0
    with watcher.following(entry):
        while not watcher.is_closed:
            if await _is_gone(entry):
                yield ServerSentEvent("{}", event="gone")
                return
            with suppress(TunewrightError):
                feed = await run_in_threadpool(entry.open_feed)
            if feed.generation != generation or feed.offset < after:
                generation, after = feed.generation, 0
                yield ServerSentEvent("{}", event="reset", id="0")
            if feed.offset > after:
                delta = await run_in_threadpool(feed.since, after)
                after = delta["offset"]
                yield ServerSentEvent(_text(delta), event="delta", id=str(after))
            version, now = entry.version, time.monotonic()
            if version != sent_version and now >= next_document:
                with suppress(TunewrightError):
                    document = await run_in_threadpool(lambda: entry.document(control=control))
                    yield ServerSentEvent(_text(document), event="experiment")
                sent_version, next_document = version, now + DOCUMENT_INTERVAL
            await watcher.change(_PATIENCE if sent_version == entry.version else DOCUMENT_INTERVAL)


async def _is_gone(entry: Entry) -> bool:
    """Whether an experiment is not there, now and a moment later."""
    if not await run_in_threadpool(lambda: entry.is_gone):
        return False
    await asyncio.sleep(_GONE_SECONDS)
    return await run_in_threadpool(lambda: entry.is_gone)


async def log_stream(
    watcher: Watcher, read: Callable[[str], LogText | None], after: str
) -> AsyncGenerator[ServerSentEvent]:
    """New text of a log as it grows.

    Parameters
    ----------
    watcher
        Ends the stream.
    read
        Takes a position, returns the text after it.
    after
        Position of the first text.
    """
    yield ServerSentEvent(comment="log", retry=RETRY)
    problem = ""
    while not watcher.is_closed:
        try:
            found = await run_in_threadpool(read, after)
        except TunewrightError:
            return  # the experiment is gone: the next connection learns it
        if found is not None and (found["offset"] != after or found["error"] != problem):
            after, problem = found["offset"], found["error"]
            if found["text"] or problem:
                yield ServerSentEvent(_text(found), event="log", id=after)
        await asyncio.sleep(LOG_INTERVAL)


def _text(document: object) -> str:
    return encoded(document).decode()
