"""Training jobs: the record of one, and the SQLite table that holds all of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, final

JobStatus = Literal["InProgress", "Stopping", "Completed", "Failed", "Stopped"]
PoolStatus = Literal["InUse", "Available", "Reused", "Terminated"]

TERMINAL: Final = frozenset({"Completed", "Failed", "Stopped"})
MAX_REASON_CHARACTERS: Final = 1024
"""Maximum length of a FailureReason."""


@final
@dataclass(slots=True, kw_only=True)
class Transition:
    """One entry of SecondaryStatusTransitions; times are epoch seconds."""

    status: str
    start: float
    end: float | None
    message: str


@final
@dataclass(slots=True, kw_only=True)
class WarmPool:
    """Warm-pool state of a job."""

    status: PoolStatus
    retained_seconds: float | None = None
    """Billed idle time in service seconds; None if the pool was never idle."""
    reused_by: str | None = None


@final
@dataclass(slots=True, kw_only=True)
class Job:
    """A training job. Times are epoch seconds, ``training_seconds`` are service seconds.

    The statuses move only forwards: InProgress, then maybe Stopping, then one of :data:`TERMINAL`.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    created: float
    modified: float
    status: JobStatus = "InProgress"
    secondary: str = "Starting"
    transitions: list[Transition] = field(default_factory=list[Transition])
    failure_reason: str | None = None
    started: float | None = None
    ended: float | None = None
    training_seconds: float = 0.0
    model_uri: str | None = None
    final_metrics: list[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])
    pool: WarmPool | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_over(self) -> bool:
        """Whether the status is final (the warm pool may still change)."""
        return self.status in TERMINAL

    @property
    def is_spot(self) -> bool:
        """Whether the job runs on spot instances."""
        return bool(self.request.get("EnableManagedSpotTraining"))

    @property
    def keep_alive(self) -> int:
        """KeepAlivePeriodInSeconds, 0 without one."""
        return int(self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0))

    def enter(self, secondary: str, message: str, now: float) -> None:
        """Record a secondary status; a repeated one only changes its message."""
        last = self.transitions[-1] if self.transitions else None
        if last is not None and last.status == secondary and last.end is None:
            last.message = message
        else:
            if last is not None:
                last.end = now
            self.transitions.append(Transition(status=secondary, start=now, end=None, message=message))
        self.secondary = secondary
        self.modified = now

    def conclude(self, status: JobStatus, secondary: str, message: str, now: float) -> None:
        """Record the end of the job."""
        self.enter(secondary, message, now)
        self.transitions[-1].end = now
        self.status = status
        self.ended = now

    def fail(self, reason: str, now: float) -> None:
        """Record a failure; the FailureReason is truncated as by the service."""
        self.failure_reason = reason[:MAX_REASON_CHARACTERS]
        self.conclude("Failed", "Failed", "Training job failed", now)

    def as_of(self, when: float) -> Job | None:
        """State of the job at an earlier time (epoch seconds), or None before its creation."""
        past = [replace(entry) for entry in self.transitions if entry.start <= when]
        if not past:
            return None
        if self.ended is not None and self.ended <= when:
            return self
        past[-1].end = None
        return replace(
            self,
            transitions=past,
            secondary=past[-1].status,
            status="Stopping" if any(entry.status == "Stopping" for entry in past) else "InProgress",
            modified=past[-1].start,
            ended=None,
            failure_reason=None,
            model_uri=None,
            final_metrics=[],
            pool=None if self.pool is None else WarmPool(status="InUse"),
        )

    def to_document(self) -> dict[str, Any]:
        """The record as JSON types."""
        return asdict(self)

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Job:
        """Parse the result of :meth:`to_document`."""
        fields = dict(document)
        fields["transitions"] = [Transition(**entry) for entry in fields["transitions"]]
        fields["final_metrics"] = [(str(n), float(v), float(t)) for n, v, t in fields["final_metrics"]]
        pool = fields["pool"]
        fields["pool"] = None if pool is None else WarmPool(**pool)
        return Job(**fields)


@final
class JobStore:
    """SQLite table with one JSON document per job, by name. One thread at a time may use it.

    :meth:`save` returns after the document is on disk, so that it survives kill -9 of the process.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY, created REAL NOT NULL, document TEXT NOT NULL)"
        )

    def load(self) -> Iterator[Job]:
        """All jobs in the order of their creation."""
        rows = self._connection.execute("SELECT document FROM jobs ORDER BY created, name")
        for (document,) in rows.fetchall():
            yield Job.from_document(json.loads(document))

    def save(self, job: Job) -> None:
        """Insert or replace the job."""
        self._connection.execute(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)",
            (job.name, job.created, json.dumps(job.to_document())),
        )

    def delete(self, name: str) -> None:
        """Delete the job; its name is free afterwards."""
        self._connection.execute("DELETE FROM jobs WHERE name = ?", (name,))

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
