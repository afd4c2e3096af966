"""Whatever happens to a ledger: History and the scheduler's calls after a replay are those of the live session."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.requests import (
    FiledRequest,
    PauseTrial,
    Request,
    ResumeTrial,
    StopTrial,
    TryConfig,
    WriteNote,
)
from tunewright.state import replay_history
from tunewright.trial import (
    Checkpoint,
    Decision,
    Ended,
    PhaseChange,
    PhaseName,
    Reported,
    Result,
    Resume,
    Run,
    Start,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config

LOSS = Metric("loss")
DECISIONS = (Decision.CONTINUE, Decision.CONTINUE, Decision.PAUSE, Decision.STOP)


class Recording(Scheduler):
    """Judges by the resource and the trial, and writes down every call with the state of History at that time."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def suggest(self, history: History) -> None:
        return None

    def on_trial_start(self, history: History, run: Run) -> None:
        self.calls.append(f"start {run} {facts(history)}")

    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        self.calls.append(f"result {trial_id} {result} {facts(history)}")
        decision = DECISIONS[(trial_id + result.resource) % len(DECISIONS)]
        return Verdict(decision=decision, reason="" if decision is Decision.CONTINUE else "as it is")

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self.calls.append(f"end {trial_id} {status} {facts(history)}")

    def resumable(self, history: History) -> Collection[int]:
        return history.ids(TrialStatus.PAUSED)

    def start_requested(self, history: History, config: Config) -> Start:
        return Start(config=config, until=3)

    def resume_requested(self, history: History, trial_id: int) -> Resume | None:
        return Resume(trial_id=trial_id, until=history.until(trial_id)) if trial_id % 2 else None


def facts(history: History) -> str:
    """Everything that History answers."""
    trials = [
        (
            history.trial(i),
            history.status(i),
            history.run(i),
            history.note(i),
            history.results(i),
            history.late(i),
            history.last(i),
            history.decision(i),
            history.checkpoint(i),
            history.error(i),
            history.is_withdrawn(i),
        )
        for i in range(history.n_trials)
    ]
    orders = [list(history.ids(status)) for status in TrialStatus]
    counts = history.n_trials, history.n_suggested, history.n_runs, history.n_results, history.cost
    return repr((trials, orders, counts, list(history.runs), history.results_since(0)))


def step(ledger: Ledger, history: History, now: float, draw: Any) -> None:
    """One thing that a tuner does, possible or not."""
    action = draw(
        st.sampled_from(
            (
                "start",
                "resume",
                "report",
                "report",
                "report",
                "end",
                "drop",
                "phase",
                "request",
                "begin",
            )
        )
    )
    trial = draw(st.integers(0, 3))
    paused, running = list(history.ids(TrialStatus.PAUSED)), list(history.ids(TrialStatus.RUNNING))
    if running and action in ("report", "end") and draw(st.booleans()):
        trial = running[trial % len(running)]
    attempt = history.run(trial).attempt if trial < history.n_trials else 0
    attempt -= draw(st.sampled_from((0, 0, 0, 1)))
    cost = draw(st.sampled_from((0.0, 0.25, 1.5)))
    if action == "start":
        source = Checkpoint(trial_id=trial, resource=2) if draw(st.booleans()) else None
        config = {"x": draw(st.integers(0, 3))}
        ledger.begin(Start(config=config, until=3, note={"n": trial}, from_checkpoint=source), now, 0.1)
    elif action == "resume" and paused:
        ledger.begin(Resume(trial_id=paused[0], until=9, note={"again": True}), now)
    elif action == "report":
        metrics = draw(
            st.sampled_from(({"loss": 0.5}, {"loss": math.nan}, {"loss": 1}, {"lost": 1.0}, {"loss": "x"}))
        )
        report = Reported(
            trial_id=trial,
            attempt=attempt,
            retry=draw(st.integers(0, 1)),
            seq=draw(st.integers(1, 4)),
            resource=draw(st.integers(1, 9)),
            metrics=metrics,
            cost=cost,
        )
        ledger.report(report, now)
    elif action == "end":
        checkpoint = Checkpoint(trial_id=trial, resource=3) if draw(st.booleans()) else None
        code = draw(st.sampled_from((0, 0, 1)))
        ledger.end(
            Ended(trial_id=trial, attempt=attempt, exit=code, error="", cost=cost, checkpoint=checkpoint), now
        )
    elif action == "drop" and paused and (left := history.checkpoint(paused[-1])) is not None:
        ledger.drop(left, now)
    elif action == "request":
        requests: tuple[Request, ...] = (
            StopTrial(trial_id=trial),
            PauseTrial(trial_id=trial),
            ResumeTrial(trial_id=trial),
            TryConfig(config={"x": trial}),
            WriteNote(text="odd", trial_id=trial),
        )
        ledger.request(FiledRequest(f"{now}", draw(st.sampled_from(requests))), now)
    elif action == "begin" and (wanted := ledger.next_requested(may_start=draw(st.booleans()))) is not None:
        ledger.begin(wanted, now)
    elif action == "phase":
        ledger.phase(PhaseChange(trial_id=trial, attempt=0, name=PhaseName.TRAINING), now)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_replay_at_any_instant_gives_the_same(data: st.DataObject) -> None:
    scheduler, journal = Recording(), MemoryJournal()
    ledger = Ledger(scheduler, journal, [LOSS])
    for n in range(data.draw(st.integers(1, 25))):
        step(ledger, ledger.history, float(n), data.draw)
    again = Recording()
    resumed = Ledger(again, journal, [LOSS])
    last = max((event.t for event in journal.events()), default=0.0)
    assert resumed.replay() == last
    assert facts(resumed.history) == facts(ledger.history) == facts(replay_history(journal.events()))
    assert again.calls == scheduler.calls
    assert repr(resumed.open_runs()) == repr(ledger.open_runs())
    assert resumed.next_requested(may_start=True) == ledger.next_requested(may_start=True)
    assert set(resumed.checkpoints) >= set(ledger.checkpoints)
