"""The output of jobs: pipes to log streams."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from typing import IO, Final, final

from sagemaker_emulator.storage import LogStore

_CHUNK_BYTES: Final = 1 << 16
_MAX_LINE_BYTES: Final = 256 * 1024
"""CloudWatch truncates longer events as well."""
_FLUSH_SECONDS: Final = 0.25


@final
class JobOutput:
    """The output of one instance of a job: lines to a log stream.

    Parameters
    ----------
    logs
        Target of the lines; None: they are dropped.
    stream
        Name of the log stream.
    """

    def __init__(self, logs: LogStore | None, stream: str) -> None:
        self.ended = threading.Event()
        """Set after all processes have closed their output and all lines are in the log."""
        self._logs = logs
        self._stream = stream
        self._rest = b""
        self._events: list[tuple[int, str]] = []
        self._newest = 0
        if logs is not None:
            logs.open_stream(stream)

    def feed(self, chunk: bytes) -> None:
        """Process a chunk of output; an empty one is the end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > _MAX_LINE_BYTES:
            lines.append(self._rest[:_MAX_LINE_BYTES])
            self._rest = self._rest[_MAX_LINE_BYTES:]
        if not chunk:
            lines.append(self._rest)
            self._rest = b""
        now = time.time()
        self._newest = max(self._newest, int(now * 1000))
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if text:
                self._events.append((self._newest, text))

    def flush(self) -> None:
        """Write the lines since the last flush."""
        events, self._events = self._events, []
        if self._logs is not None:
            self._logs.append(self._stream, events)


@final
class OutputPump:
    """A thread that reads the pipes of all jobs. Thread-safe."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._arrivals: deque[tuple[IO[bytes], JobOutput]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="job-output", daemon=True)
        self._thread.start()

    def attach(self, pipe: IO[bytes], output: JobOutput) -> None:
        """Read a pipe until its end, then close it."""
        self._arrivals.append((pipe, output))
        os.write(self._wake_write, b".")

    def close(self) -> None:
        """End the thread and close all pipes."""
        self._closing = True
        os.write(self._wake_write, b".")
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._selector.close()

    def _run(self) -> None:
        dirty: set[JobOutput] = set()
        flush_at = 0.0
        while not self._closing:
            timeout = max(0.0, flush_at - time.monotonic()) if dirty else None
            for key, _ in self._selector.select(timeout):
                if key.fd == self._wake_read:
                    self._accept()
                    continue
                if not dirty:
                    flush_at = time.monotonic() + _FLUSH_SECONDS
                dirty.add(key.data)
                self._read(key)
            if dirty and time.monotonic() >= flush_at:
                for output in dirty:
                    output.flush()
                dirty.clear()
        for key in list(self._selector.get_map().values()):
            if key.fd != self._wake_read:
                self._end(key)

    def _accept(self) -> None:
        os.read(self._wake_read, _CHUNK_BYTES)
        while self._arrivals:
            pipe, output = self._arrivals.popleft()
            self._selector.register(pipe, selectors.EVENT_READ, output)

    def _read(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, _CHUNK_BYTES)
        if chunk:
            key.data.feed(chunk)
        else:
            self._end(key)

    def _end(self, key: selectors.SelectorKey) -> None:
        pipe: IO[bytes] = key.fileobj  # pyright: ignore[reportAssignmentType]
        output: JobOutput = key.data
        self._selector.unregister(pipe)
        pipe.close()
        output.feed(b"")
        output.flush()
        output.ended.set()
