"""Training jobs on disk: an SQLite table of documents, so that a restarted emulator knows what it did."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import final

from sagemaker_emulator.jobs.job import Job


@final
class JobStore:
    """Keeps each job as one JSON document under its name. To be used by one thread at a time.

    A document is on disk when :meth:`save` returns, also if the process is killed in the next moment.
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
        """Forget the job, so that its name is free again."""
        self._connection.execute("DELETE FROM jobs WHERE name = ?", (name,))

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
