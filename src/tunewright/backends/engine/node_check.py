"""A job of a second that says what a node sees, for ``tunewright doctor``, and the kind of a shared folder's file system."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

LATE_SECONDS: Final = 10.0
"""Seconds until a network file system shows a new file."""
_LOCAL: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "overlay", "zfs"})
"""File systems of one machine."""
_SEEN: Final = "seen.json"
PROGRAM: Final = f"""\
import json, os, platform, sys, time
time.sleep(1)
facts = {{"host": platform.node(), "version": platform.python_version(), "python": sys.executable,
          "is_new_enough": sys.version_info >= (3, 9), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")}}
with open(os.path.join(sys.argv[1], "{_SEEN}.new"), "w") as file:
    json.dump(facts, file)
os.rename(file.name, os.path.join(sys.argv[1], "{_SEEN}"))
"""
"""Python program of the job; its argument is a folder for :func:`node_facts`."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """The job's view of its node."""

    host: str
    version: str
    """Of Python."""
    python: str
    """Path of the interpreter."""
    is_new_enough: bool
    """Whether the runner can use this Python."""
    gpus: str
    """CUDA_VISIBLE_DEVICES."""


def node_facts(folder: Path) -> NodeFacts | None:
    """The facts that the job has written; None: this machine does not see them yet.

    Parameters
    ----------
    folder
        Argument of the job.
    """
    list(folder.iterdir())  # a network file system looks again
    file = folder / _SEEN
    return NodeFacts(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on; with a warning if other machines do not see it."""
    kinds: dict[Path, str] = {}
    try:
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            _, mount, kind, *_ = line.split()
            kinds[Path(mount)] = kind
    except OSError:
        return "a file system of unknown kind"
    kind = next((kinds[path] for path in (folder.resolve(), *folder.resolve().parents) if path in kinds), "?")
    return f"{kind}, which other machines do not see: right for a cluster of one" if kind in _LOCAL else kind
