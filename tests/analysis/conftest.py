"""Stored experiments, written as the Tuner writes them, with curves that a test chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tunewright.events import Header, decode_line
from tunewright.journal import FileJournal
from tunewright.storage import ExperimentFolder

SPACE = {
    "lr": {"type": "float", "low": 0.0, "high": 1.0, "log": False},
    "width": {"type": "integer", "low": 1, "high": 8, "log": False},
}
Report = tuple[float, float]
"""Time, and value of the metric ``loss``."""


@pytest.fixture
def store(tunewright_home: Path) -> Callable[..., ExperimentFolder]:
    """Stores an experiment: each report is a trial of its own."""
    counter = iter(range(10_000))

    def make(
        reports: Sequence[Report],
        *,
        method: str = "A",
        benchmark: str = "toy",
        seed: int = 0,
        tag: str = "t",
        status: str | None = "stopped",
        end: float = 10.0,
        metric: str = "loss",
        goal: str = "min",
        **metadata: Any,
    ) -> ExperimentFolder:
        name = f"{tag}-{method}-{benchmark}-{seed}-20260101-{next(counter):06}-abcd"
        folder = ExperimentFolder(tunewright_home / "experiments" / tag / name)
        folder.path.mkdir(parents=True)
        known = {
            "schema": 1,
            "tag": tag,
            "label": method,
            "seed": seed,
            "clock": "simulated",
            "backend": {"name": "simulated"},
            "benchmark": {
                "name": benchmark,
                "metrics": [{"name": metric, "goal": goal}],
                "n_workers": 4,
            },
            "limits": {"max_wallclock_time": end},
            "table": {"values": "recorded", "note": "", "resource": "epoch", "space": SPACE},
            "versions": {"tunewright": "0.1.0"},
        }
        folder.metadata_path.write_text(json.dumps({**known, **metadata}))
        journal = FileJournal(folder.journal_path, Header(experiment=name))
        write(journal, reports, metric, status, end)
        journal.close()
        return folder

    return make


def add(journal: FileJournal, line: Mapping[str, Any]) -> None:
    text = re.sub(r"-?Infinity|NaN", lambda found: f'"{float(found[0])}"', json.dumps(line))
    event = decode_line(text.encode())
    assert not isinstance(event, Header)
    journal.append(event)


def write(
    journal: FileJournal, reports: Sequence[Report], metric: str, status: str | None, end: float
) -> None:
    """The lines of an experiment in which each report is a trial of its own."""
    add(journal, {"kind": "session", "t": 0.0, "wall": 1.0, "event": "begin"})
    for trial, (time, value) in enumerate(reports):
        key = {"trial_id": trial, "attempt": 0}
        config = {"lr": (trial % 10) / 10, "width": 1 + trial % 8}
        start = {"config": config, "until": None, "from_checkpoint": None, "note": {}, "suggest_time": 0.25}
        add(journal, {"kind": "start", "t": max(0.0, time - 1), "wall": 1.0, **key, **start})
        report = {"retry": 0, "seq": 1, "resource": 1, "metrics": {metric: value, "extra": time}}
        verdict = {"decision": "continue", "reason": "", "cost": 0.0}
        add(journal, {"kind": "result", "t": time, "wall": 1.0, **key, **report, **verdict})
        closing = {"status": "completed", "error": "", "cost": 0.5, "checkpoint": None}
        add(journal, {"kind": "end", "t": time, "wall": 1.0, **key, **closing})
    if status is not None:
        line = {"event": "end", "outcome": status, "summary": {}}
        add(journal, {"kind": "session", "t": end, "wall": 2.0, **line})
