"""Runs a program whose clock is a virtual one, in an environment of its own: it sleeps in no time, and computes in no time.

    PYTHON perf/sagemaker/virtual_client.py SOCKET PROGRAM [ARGUMENT ...]

The clock is kept behind SOCKET by the process of the emulator (``virtual.py``), which lives on the same one. It goes on when
the program sleeps, and by ``REQUEST_SECONDS`` with each request to AWS. Standard library only. Only one thread of it
may sleep.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import queue
import runpy
import socket
import subprocess
import sys
import threading
import time

REQUEST_SECONDS = 0.001
"""Of each request: hardly more than nothing, so that whoever asks in a loop comes to an end."""
BOUND_TO_REAL_TIME = (concurrent.futures, http.client, queue, subprocess, threading)
"""Loaded before the clock changes, since they keep it at their import and really wait."""


class VirtualTime:
    """The clock behind a socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._lines = self._socket.makefile("r")
        self._lock = threading.Lock()
        self._since, self._now = (float(part) for part in self._ask("0").split())

    def monotonic(self) -> float:
        """Seconds of any beginning."""
        return self._now

    def time(self) -> float:
        """Seconds since 1970."""
        return self._since + self._now

    def sleep(self, seconds: float) -> None:
        """Let everything happen that happens in so many seconds."""
        self._now = float(self._ask(repr(max(0.0, seconds))).split()[1])

    def _ask(self, seconds: str) -> str:
        with self._lock:  # some requests are made by threads beside each other
            self._socket.sendall(f"{seconds}\n".encode())
            return self._lines.readline()

    def install(self) -> None:
        """Take the place of Python's clocks."""
        time.sleep = self.sleep
        time.time = self.time
        time.monotonic = time.perf_counter = self.monotonic


def count_requests(clock: VirtualTime) -> None:
    """Let time go on with each request."""
    from botocore.httpsession import URLLib3Session  # loaded on the new clock  # noqa: PLC0415

    send = URLLib3Session.send

    def send_later(session, request):
        clock.sleep(REQUEST_SECONDS)
        return send(session, request)

    URLLib3Session.send = send_later


if __name__ == "__main__":
    virtual_time = VirtualTime(sys.argv[1])
    sys.argv = sys.argv[2:]
    virtual_time.install()
    count_requests(virtual_time)
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
