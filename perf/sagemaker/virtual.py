"""A virtual clock for an emulator of virtual jobs and its tuner: a measurement does not depend on the machine or its load.

To be imported before anything that keeps a clock. From then on ``time.time`` and ``time.monotonic`` of this process are
virtual. Time goes on only when the tuner sleeps: in this process's main thread, or in a process of its own
(``virtual_client.py``). Then the emulator does what is due, in its order, and the tuner wakes up. Nobody's computing takes time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.server
import queue
import selectors
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

BOUND_TO_REAL_TIME = (concurrent.futures, http.server, queue, socketserver, subprocess)
"""Loaded before the clock changes, since they keep it at their import and really wait."""
_real_sleep = time.sleep


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.since = time.time()
        self.now = 0.0
        self.target = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None
        self._reached = threading.Event()
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Let everything happen that is due in so many seconds; called by one thread at a time."""
        with self._lock:
            self._reached.clear()
            self.target = self.now + max(0.0, seconds)
        if self.loop is None or self.loop.is_closed():
            self.now = self.target
            return
        self.loop.call_soon_threadsafe(_nothing)
        self._reached.wait()

    def idle(self) -> None:
        """Nothing is left to do at this time."""
        with self._lock:
            if self.now >= self.target:
                self._reached.set()

    def install(self) -> None:
        """Take the place of Python's clocks, of the default event loop and of the engine's threads."""
        main = threading.main_thread()
        time.time = lambda: self.since + self.now
        time.monotonic = lambda: self.now
        time.sleep = lambda seconds: (
            self.advance(seconds) if threading.current_thread() is main else _real_sleep(seconds)
        )
        asyncio.new_event_loop = self.new_loop

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop on this clock."""
        self.loop = asyncio.SelectorEventLoop(_Selector(self))
        return self.loop

    def serve(self, path: Path) -> None:
        """Let the processes that connect to a socket advance the clock."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("r") as lines:
                for line in lines:
                    self.advance(float(line))
                    connection.sendall(f"{self.since!r} {self.now!r}\n".encode())


class _Selector(selectors.DefaultSelector):
    """Waits on the virtual clock; what other threads ask for comes at once."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        """What has come; where nothing has, and nothing is due, time goes on."""
        come = super().select(0)
        if come or (timeout is not None and timeout <= 0):
            return come
        rest = self._clock.target - self._clock.now
        if rest > 0:
            self._clock.now += rest if timeout is None else min(rest, timeout)
            return []
        self._clock.idle()
        return super().select(None)


class InlineThreads:
    """Stands for a pool of threads: does at once what it is given."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done

    def shutdown(self, **_: Any) -> None:
        """There is nothing to end."""


def _nothing() -> None:
    """Only wakes the loop."""


CLOCK = Clock()
CLOCK.install()
