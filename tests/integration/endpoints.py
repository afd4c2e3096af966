"""Servers of embedded endpoints below a folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import psutil


def server_pids(root: Path) -> list[int]:
    """Process ids in the state files; a server may have ended, and its id may be another process's by now."""
    return [json.loads(state.read_text())["pid"] for state in root.glob("*/endpoint.json")]


def kill_servers(root: Path) -> None:
    """Kill the servers that still run."""
    for pid in server_pids(root):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if any(part.startswith(str(root)) for part in process.cmdline()):
                process.kill()
