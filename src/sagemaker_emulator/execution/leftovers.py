"""Processes that an emulator of the past has left behind."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from sagemaker_emulator.execution.command import MARKER


def end_leftovers(marker: str) -> list[int]:
    """Kill all processes whose environment carries the marker of this emulator, and return their ids.

    Jobs die with their emulator; this is for the few that could not (their keeper was killed at the same time).
    """
    wanted = f"{MARKER}={marker}".encode()
    ended: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                ended.append(int(entry.name))
    return ended
