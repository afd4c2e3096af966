"""Stored experiments for the dashboard, and journals of random events that fit together."""

from __future__ import annotations

import functools
import json
import math
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.events import (
    DropEvent,
    EndEvent,
    Event,
    Header,
    PhaseEvent,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    ServiceEvent,
    SessionEvent,
    StartEvent,
    encode_event,
)
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, PhaseName, TrialStatus

SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "width": {"type": "integer", "low": 1, "high": 8},
    "act": {"type": "categorical", "values": ["relu", "tanh"]},
}
HEADER = encode_event(Header(schema=1, experiment="x", seed=0))


def start(t: float, trial_id: int, attempt: int = 0, **changes: Any) -> StartEvent:
    config = {"lr": 0.1 / (trial_id + 1), "width": trial_id % 8 + 1, "act": "relu"}
    fields: dict[str, Any] = {"config": config, "note": {}, "until": None, "suggest_time": 0.25} | changes
    return StartEvent(t=t, wall=1e9 + t, trial_id=trial_id, attempt=attempt, from_checkpoint=None, **fields)


def result(t: float, trial_id: int, resource: int, value: float, **changes: Any) -> ResultEvent:
    fields: dict[str, Any] = {
        "attempt": 0,
        "retry": 0,
        "seq": resource,
        "metrics": {"loss": value},
        "decision": ReportDecision.CONTINUE,
        "reason": "",
        "cost": 0.0,
    } | changes
    return ResultEvent(t=t, wall=1e9 + t, trial_id=trial_id, resource=resource, **fields)


def end(t: float, trial_id: int, status: TrialStatus, **changes: Any) -> EndEvent:
    fields: dict[str, Any] = {"attempt": 0, "error": "", "cost": 0.0, "checkpoint": None} | changes
    return EndEvent(t=t, wall=1e9 + t, trial_id=trial_id, status=status, **fields)


def session(t: float, outcome: ExperimentStatus | None = None) -> SessionEvent:
    event = "begin" if outcome is None else "end"
    return SessionEvent(t=t, wall=1e9 + t, event=event, pid=7, host="here", outcome=outcome)


def lines_of(events: Iterable[Event]) -> bytes:
    return HEADER + b"".join(map(encode_event, events))


def random_events(seed: int, n: int) -> list[Event]:
    """Events of all kinds in an order that a tuner could write."""
    rng = random.Random(seed)  # noqa: S311
    events: list[Event] = [session(0.0)]
    running: dict[int, int] = {}
    paused: dict[int, int] = {}
    reached: dict[int, int] = {}
    retries: dict[int, int] = {}
    t = 0.0
    while len(events) < n:
        t += rng.random()
        kind = rng.choice(
            ("start", "result", "result", "result", "end", "resume", "phase", "request", "rare")
        )
        if kind == "start" and len(running) < 3:
            trial_id = len(reached)
            note = rng.choice(({}, {"message": "chosen <b>by</b> chance"}, {"known": 3}))
            events.append(start(t, trial_id, note=note))
            running[trial_id], reached[trial_id], retries[trial_id] = 0, 0, 0
        elif kind == "resume" and paused:
            trial_id, attempt = paused.popitem()
            events.append(start(t, trial_id, attempt + 1, suggest_time=None))
            running[trial_id], retries[trial_id] = attempt + 1, 0
        elif kind in {"result", "end", "phase"} and running:
            trial_id = rng.choice(list(running))
            attempt = running[trial_id]
            if kind == "result":
                reached[trial_id] += 1
                value = rng.choice((rng.random(), rng.gauss(0, 1), math.nan, math.inf))
                decision = rng.choice(list(ReportDecision)[:5])
                events.append(
                    result(
                        t,
                        trial_id,
                        reached[trial_id],
                        value,
                        attempt=attempt,
                        decision=decision,
                        retry=retries[trial_id],
                        metrics={"loss": value, "st_cost": 1.0}
                        | ({"size": 2.0} if rng.random() < 0.5 else {}),
                        cost=t / 100 if rng.random() < 0.5 else 0.0,
                    )
                )
            elif kind == "phase":
                retries[trial_id] += rng.random() < 0.3
                name = rng.choice(list(PhaseName))
                warm = rng.choice((True, False, None))
                events.append(
                    PhaseEvent(
                        t=t,
                        wall=1e9 + t,
                        trial_id=trial_id,
                        attempt=attempt,
                        retry=retries[trial_id],
                        worker="",
                        name=name,
                        warm=warm,
                    )
                )
            else:
                status = rng.choice([one for one in TrialStatus if one is not TrialStatus.RUNNING])
                error = "Traceback\nValueError: <script>" if status is TrialStatus.FAILED else ""
                events.append(end(t, trial_id, status, attempt=attempt, error=error, cost=t / 50))
                del running[trial_id]
                if status is TrialStatus.PAUSED:
                    paused[trial_id] = attempt
        elif kind == "request":
            done = rng.choice(("", "stop_trial"))
            events.append(
                RequestEvent(
                    t=t,
                    wall=1e9 + t,
                    action="stop_trial",
                    trial_id=None,
                    arguments={},
                    done=done,
                    reason="no",
                )
            )
        elif kind == "rare" and rng.random() < 0.3:
            events.append(
                ServiceEvent(t=t, wall=1e9 + t, name="throttled", trial_id=None, text="no more requests")
            )
        elif kind == "rare":
            if paused and rng.random() < 0.5:
                events.append(DropEvent(t=t, wall=1e9 + t, trial_id=next(iter(paused)), resource=1))
            elif rng.random() < 0.3:
                events += [session(t, ExperimentStatus.INTERRUPTED)] * (rng.random() < 0.5) + [session(t)]
    return events


BENCHMARK: dict[str, Any] = {
    "name": "toy",
    "metrics": [{"name": "loss", "goal": "min"}],
    "n_workers": 3,
    "resource_attr": "epoch",
    "max_resource": 9,
    "space": SPACE,
}


def store_in(
    home: Path,
    events: Iterable[Event],
    *,
    tag: str = "t",
    name: str = "t-A-toy-0-20260101-000000-abcd",
    **changes: Any,
) -> ExperimentFolder:
    """Store an experiment with these events; changes are those of the metadata, or of the benchmark's fields."""
    folder = ExperimentFolder(home / "experiments" / tag / name)
    folder.path.mkdir(parents=True)
    metadata = {
        "schema": 2,
        "tag": tag,
        "label": "A",
        "seed": 0,
        "clock": "simulated",
        "created": "2026-01-01T00:00:00+00:00",
        "backend": {"name": "local", "config": {}},
        "limits": {"max_wallclock_time": 100.0, "max_num_trials": 50},
        "versions": {"tunewright": "1"},
    } | {one: value for one, value in changes.items() if one not in BENCHMARK}
    own = {one: value for one, value in changes.items() if one in BENCHMARK}
    metadata.setdefault("benchmark", BENCHMARK | own)
    folder.metadata_path.write_text(json.dumps(metadata), encoding="utf-8")
    folder.journal_path.write_bytes(lines_of(events))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def journals() -> SimpleNamespace:
    """Makers of events, journals and stored experiments."""
    makers = (start, result, end, session, lines_of, random_events, store_in)
    return SimpleNamespace(**{make.__name__: make for make in makers})


@pytest.fixture
def store(tunewright_home: Path) -> Callable[..., ExperimentFolder]:
    """Stores an experiment with these events."""
    return functools.partial(store_in, tunewright_home)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's browser, one for all tests of a module."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
