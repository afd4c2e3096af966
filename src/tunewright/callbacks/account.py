"""AccountFile: calls, jobs and cost of the backend, written while an experiment runs, so that they survive kill -9."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast, final

from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.storage import write_atomically
from tunewright.trial import BackendSummary, ExperimentStatus, JobRecord

INTERVAL: Final = 2.0
"""Seconds between two writes without a new job."""
_LISTS: Final = frozenset({"calls", "job_records", "cost_phases", "prices"})
"""Non-numeric fields of a summary."""
_PASSING: Final = frozenset({"notices", "is_total"})
"""Fields of a summary that are not written."""


@final
class AccountFile(Callback):
    """Writes the backend's account of this session, added to that of earlier sessions.

    Parameters
    ----------
    path
        File to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: Mapping[str, Any] = {}
        self._next = 0.0
        self._n_jobs = 0

    @override
    def on_experiment_start(self, history: History) -> None:
        """Read the account of earlier sessions."""
        self._before = read_account(self._path)

    @override
    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Write after the interval, or after the start of a job."""
        if monotonic() >= self._next or summary.jobs > self._n_jobs:
            self._next, self._n_jobs = monotonic() + INTERVAL, summary.jobs
            self._write(summary)

    @override
    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        self._write(summary)

    def _write(self, summary: BackendSummary) -> None:
        before = {"calls": self._before.get("calls", {})} if summary.is_total else self._before
        account = add_accounts(before, _kept(summary))
        write_atomically(self._path, json.dumps(account) + "\n")


def _kept(summary: BackendSummary) -> dict[str, Any]:
    """The summary as data; without ``asdict``, which is slow for ten thousand jobs."""
    names = [field.name for field in fields(JobRecord)]
    records = [{name: getattr(record, name) for name in names} for record in summary.job_records]
    kept = {f.name: getattr(summary, f.name) for f in fields(summary) if f.name not in _PASSING}
    return {**kept, "job_records": records}


def read_account(path: Path) -> dict[str, Any]:
    """Account of all sessions, with the fields of `BackendSummary`; empty without an account."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def add_accounts(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two sessions' accounts as one."""
    numbers = {key: first.get(key, 0) + value for key, value in second.items() if key not in _LISTS}
    counts = [cast("dict[str, int]", account.get("calls", {})) for account in (first, second)]
    calls = Counter(counts[0]) + Counter(counts[1])
    records = {key: second[key] for key in _LISTS - {"calls"} if second.get(key)}
    return {**numbers, **records, "calls": dict(sorted(calls.items()))}
