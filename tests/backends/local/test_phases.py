"""Runs return the phases STARTING and TRAINING, which the journal keeps outside of its canonical hash."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tunewright.events import Header, PhaseEvent
from tunewright.interfaces import Backend
from tunewright.journal import FileJournal, canonical_hash, read_events
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Integer, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.trial import Ended, OpenRun, PhaseChange, PhaseName, Run
from tunewright.tuner import Tuner

STARTING, TRAINING = PhaseName.STARTING, PhaseName.TRAINING


def story(backend: Backend) -> list[str]:
    """Events of the only run in order: names of phases, numbers of reports, its end."""
    found: list[str] = []
    limit = time.monotonic() + 300.0
    while "end" not in found:
        assert time.monotonic() < limit, found
        for event in backend.wait(1.0):
            if isinstance(event, PhaseChange):
                found.append(f"{event.name} {event.retry}")
            else:
                found.append("end" if isinstance(event, Ended) else f"report {event.seq}")
    return found


def test_a_run_starts_and_trains_before_it_reports(bench) -> None:
    backend = bench.backend()
    backend.start(Run(trial_id=0, attempt=0, until=2), {})
    assert story(backend) == ["starting 0", "training 0", "report 1", "report 2", "end"]


def test_a_script_that_cannot_be_started_never_trains(bench) -> None:
    backend = bench.backend(cwd=bench.folder / "missing")
    backend.start(Run(trial_id=0, attempt=0), {})
    assert story(backend) == ["starting 0", "end"]


def test_a_retry_starts_and_trains_again(bench) -> None:
    backend = bench.backend()
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.02})
    events.until_reported(0, 1)
    os.kill(int((bench.trials / "0/runs/0.lock").read_text().split()[1]), signal.SIGKILL)
    while all(report.retry == 0 for report in events.reports):
        events.until_reported(0, max(events.resources(0)) + 1)
    backend.stop(0)
    events.until_ended(0)
    assert [(phase.name, phase.retry) for phase in events.phases] == [
        (STARTING, 0), (TRAINING, 0), (STARTING, 1), (TRAINING, 1),
    ]  # fmt: skip


def test_an_adopted_run_returns_its_training_if_no_report_was_handled(bench) -> None:
    run, config = Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.02}
    first = bench.backend()
    events = bench.events(first)
    first.start(run, config)
    events.until_reported(0, 1)
    bench.abandon(first)
    for seen, phases in ((0, [TRAINING]), (1, [])):
        backend = bench.backend()
        backend.attach([OpenRun(run=run, config=config, started_at=0.0, seen=seen, seen_resource=seen)])
        after = bench.events(backend)
        after.until_reported(0, 1)
        assert [phase.name for phase in after.phases] == phases
        bench.abandon(backend)
    last = bench.backend()
    last.attach([OpenRun(run=run, config=config, started_at=0.0)])
    last.stop(0)
    bench.events(last).until_ended(0)


def tune(bench, path: Path, n_trials: int) -> list[PhaseEvent]:
    """Tune, or continue, and return the phases of the whole journal."""
    backend = bench.backend()
    space = SearchSpace({"epochs": Integer(1, 2)})
    journal = FileJournal(path, Header(seed=0))
    Tuner(
        FIFO(RandomSearcher(space, seed=0)),
        backend,
        metrics=[Metric("epoch")],
        stop_when=MaxTrialsStarted(n_trials),
        journal=journal,
    ).run()
    bench.made.remove(backend)
    return [event for event in read_events(path) if isinstance(event, PhaseEvent)]


def test_phases_are_journaled_and_outside_of_the_hash(bench, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for n_trials in (1, 2):  # the second session replays the phases of the first one
        phases = tune(bench, path, n_trials)
        assert [(phase.trial_id, phase.name) for phase in phases] == [
            (trial_id, name) for trial_id in range(n_trials) for name in (STARTING, TRAINING)
        ]
    without = tmp_path / "without.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    without.write_bytes(b"".join(line for line in lines if b'"kind":"phase"' not in line))
    assert len(without.read_bytes()) < len(path.read_bytes())
    assert canonical_hash(without) == canonical_hash(path)
