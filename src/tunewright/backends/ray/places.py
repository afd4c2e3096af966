"""Where jobs of a Ray cluster find their work and show that they live: the port, and a shared folder."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from typing_extensions import override

from tunewright.backends.engine.folder_channel import FolderChannel, FolderOrder
from tunewright.backends.ray.s3_program import UNSEEN_EXIT
from tunewright.runner.folder_job import HEARTBEAT


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The beginning of a job."""

    command: str
    """For a shell."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of its environment."""


class Place(ABC):
    """Orders of jobs, and their signs of life."""

    signs_seconds: float
    """A job changes its sign of life three times in so long."""
    unseen_remedy: str
    """Advice, if a job does not find its work."""

    @abstractmethod
    def prepare(self) -> None:
        """Make ready for jobs.

        Raises
        ------
        BackendError
            That is impossible.
        """

    @abstractmethod
    def put(self, order: FolderOrder, name: str) -> Entry:
        """Store the work of a job.

        Parameters
        ----------
        order
            The job.
        name
            Of the job in Ray.

        Raises
        ------
        RequestError
            It cannot be stored at present.
        """

    @abstractmethod
    def entry(self, order: FolderOrder, name: str) -> Entry:
        """The beginning of a job; nothing is stored."""

    @abstractmethod
    def begun(self) -> dict[str, float]:
        """The jobs that have begun in any session, by key, with seconds since 1970."""

    @abstractmethod
    def heartbeat(self, key: str) -> str:
        """A job's sign of life, different from the last one while it lives; empty before it has begun."""


@final
class FolderPlace(Place):
    """A folder that the tuner and all nodes see under one path.

    Parameters
    ----------
    channel
        The folder.
    """

    signs_seconds = 15.0
    unseen_remedy = "give --shared_folder a folder that all nodes of the cluster see under the same path"

    def __init__(self, channel: FolderChannel) -> None:
        self._channel = channel

    @override
    def prepare(self) -> None:
        self._channel.prepare()

    @override
    def put(self, order: FolderOrder, name: str) -> Entry:
        self._channel.place(order, name)
        return self.entry(order, name)

    @override
    def entry(self, order: FolderOrder, name: str) -> Entry:
        return Entry(
            command=seen_command(self._channel.job_folder(order.key), self._channel.command(order.key))
        )

    @override
    def begun(self) -> dict[str, float]:
        return self._channel.begun()

    @override
    def heartbeat(self, key: str) -> str:
        return self._channel.heartbeat(key)


def seen_command(folder: Path, command: Sequence[str]) -> str:
    """A command for a shell, which waits for a folder: a network file system may show a new one late.

    The command takes the place of the shell, so that signals reach it.
    """
    file = shlex.quote(str(folder / HEARTBEAT))
    unseen = shlex.quote(f"[tunewright] This node does not see {folder}")
    look = f"n=0; until [ -e {file} ]; do n=$((n+1)); [ $n -lt 20 ] || {{ echo {unseen}; exit {UNSEEN_EXIT}; }}; sleep 1; done"
    return f"{look}; exec {shlex.join(command)}"
