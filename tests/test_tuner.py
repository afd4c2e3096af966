"""The Tuner over the simulated backend: the loop's rules, one by one."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tunewright.backends.simulated import SimulatedBackend, SimulatedConfig
from tunewright.events import EndEvent, Event, Header, SessionEvent
from tunewright.exceptions import ExperimentFailedError, JournalError
from tunewright.history import History
from tunewright.interfaces import Backend, Callback, CheckpointPolicy, Scheduler, Searcher, StoppingCriterion
from tunewright.journal import FileJournal, Journal, MemoryJournal, canonical_hash
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import GridSearcher, RandomSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted, MaxWallclockTime, MetricReached, Never
from tunewright.trial import (
    BackendSummary,
    Checkpoint,
    Ended,
    ExperimentStatus,
    OpenRun,
    PhaseChange,
    PhaseName,
    Reported,
    Result,
    Run,
    Suggestion,
    TrialStatus,
    Verdict,
)
from tunewright.tuner import Tuner
from tunewright.types import Config

ACCURACY = Metric("accuracy", Goal.MAXIMIZE)
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9})


def train(config: Config, epoch: int) -> tuple[Mapping[str, object], float]:
    x = float(config["x"])
    return {"accuracy": x * (1 - 1 / (epoch + 1))}, 1.0 + x


def crash(config: Config, epoch: int) -> tuple[Mapping[str, object], float]:
    if epoch == 2:
        raise RuntimeError("CUDA error")
    return train(config, epoch)


def simulated(function: object = train, n_workers: int = 4) -> SimulatedBackend:
    return SimulatedBackend(
        function, n_workers=n_workers, max_resource=9, config=SimulatedConfig(dollars_per_hour=3.6)
    )  # type: ignore[arg-type]


def asha(seed: int = 0) -> Scheduler:
    return ASHA(RandomSearcher(SPACE, seed=seed), ASHASettings(max_resource=9), metric=ACCURACY, seed=seed)


def fifo(seed: int = 0) -> Scheduler:
    return FIFO(RandomSearcher(SPACE, seed=seed))


def tune(
    scheduler: Scheduler,
    backend: Backend,
    stop_when: StoppingCriterion,
    journal: Journal | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint_policies: Sequence[CheckpointPolicy] = (),
    max_failures: int = 3,
) -> History:
    return Tuner(
        scheduler,
        backend,
        metrics=[ACCURACY],
        stop_when=stop_when,
        journal=journal or MemoryJournal(),
        callbacks=callbacks,
        checkpoint_policies=checkpoint_policies,
        max_failures=max_failures,
    ).run()


def sessions(journal: Journal) -> list[str]:
    return [
        str(event.outcome or event.event) for event in journal.events() if isinstance(event, SessionEvent)
    ]


class CountingSearcher(Searcher):
    """Notes how many trials had begun each time that it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._searcher = RandomSearcher(SPACE, seed=0)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        self.asked.append(history.n_trials)
        return self._searcher.suggest(history, until=until)


def test_a_method_is_not_asked_for_trials_that_may_not_begin() -> None:
    searcher = CountingSearcher()
    history = tune(FIFO(searcher), simulated(), MaxTrialsStarted(6))
    assert (history.n_trials, searcher.asked) == (6, list(range(6)))


def test_ten_trials_means_ten_and_all_come_to_their_end() -> None:
    journal = MemoryJournal()
    history = tune(fifo(), simulated(), MaxTrialsStarted(10), journal)
    assert history.n_trials == 10
    assert len(history.ids(TrialStatus.COMPLETED)) == 10
    assert history.n_results == 90
    assert sessions(journal) == ["begin", "completed"]


def test_asha_with_no_starts_still_promotes() -> None:
    history = tune(asha(), simulated(), MaxTrialsStarted(20))
    assert history.n_trials == 20
    assert any(run.attempt > 0 for run in history.runs)
    assert history.ids(TrialStatus.COMPLETED)
    assert not history.ids(TrialStatus.RUNNING)


def test_time_ends_the_experiment_and_leaves_running_trials_open() -> None:
    journal = MemoryJournal()
    backend = simulated()
    history = tune(fifo(), backend, MaxWallclockTime(20.0), journal)
    assert backend.clock.now() == 20.0
    assert history.ids(TrialStatus.RUNNING)
    assert all(result.time <= 20.0 for _, result in history.results_since(0))
    ended = {event.trial_id for event in journal.events() if isinstance(event, EndEvent)}
    assert ended.isdisjoint(history.ids(TrialStatus.RUNNING))
    assert sessions(journal) == ["begin", "stopped"]


def test_more_time_continues_what_was_running_exactly(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    tune(asha(), simulated(), MaxWallclockTime(60.0), FileJournal(whole, Header(seed=0)))
    parts = tmp_path / "parts.jsonl"
    for seconds in (7.0, 23.5, 41.0, 60.0):
        tune(asha(), simulated(), MaxWallclockTime(seconds), FileJournal(parts, Header(seed=0)))
    assert canonical_hash(parts) == canonical_hash(whole)


def test_an_exhausted_space_ends_the_experiment() -> None:
    space = SearchSpace({"x": Categorical((0.1, 0.5, 0.9)), "epochs": 9})
    history = tune(FIFO(GridSearcher(space, seed=0)), simulated(), Never())
    assert history.n_trials == 3


def test_a_reached_metric_stops_at_once() -> None:
    history = tune(fifo(), simulated(), MetricReached(ACCURACY, 0.5))
    assert history.results_since(history.n_results - 1)[0][1].metrics["accuracy"] >= 0.5


def test_too_many_failures_end_it_with_every_result_kept() -> None:
    journal = MemoryJournal()
    with pytest.raises(ExperimentFailedError, match=r"max_failures=2.*CUDA error"):
        tune(fifo(), simulated(crash), MaxTrialsStarted(50), journal, max_failures=2)
    kinds = [event.kind for event in journal.events()]
    assert kinds.count("result") >= 3
    assert sum(isinstance(e, EndEvent) and e.status is TrialStatus.FAILED for e in journal.events()) == 3
    assert sessions(journal) == ["begin", "failed"]


def test_some_failures_are_borne() -> None:
    history = tune(fifo(), simulated(crash), MaxTrialsStarted(3), max_failures=3)
    assert len(history.ids(TrialStatus.FAILED)) == 3


class Recorder(Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_experiment_start(self, history: History) -> None:
        self.seen.append(f"experiment_start {history.n_trials}")

    def on_trial_start(self, history: History, run: Run) -> None:
        self.seen.append("start")

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        self.seen.append("result")

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self.seen.append(f"end {status}")

    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        self.seen.append("wait")

    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        self.seen.append(f"experiment_end {outcome} {summary.jobs}")


def test_callbacks_see_everything_in_order() -> None:
    recorder = Recorder()
    tune(fifo(), simulated(n_workers=1), MaxTrialsStarted(1), callbacks=[recorder])
    kept = [entry for entry in recorder.seen if entry != "wait"]
    assert kept == [
        "experiment_start 0",
        "start",
        *["result"] * 9,
        "end completed",
        "experiment_end completed 1",
    ]
    assert "wait" in recorder.seen


def test_callbacks_are_not_called_for_what_is_replayed() -> None:
    journal = MemoryJournal()
    tune(fifo(), simulated(), MaxTrialsStarted(4), journal)
    recorder = Recorder()
    tune(fifo(), simulated(), MaxTrialsStarted(4), journal, [recorder])
    assert [entry for entry in recorder.seen if entry != "wait"] == [
        "experiment_start 4",
        "experiment_end completed 0",
    ]


def test_a_callback_that_raises_is_reported_once_and_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Callback):
        def on_trial_start(self, history: History, run: Run) -> None:
            raise ZeroDivisionError

    recorder = Recorder()
    with caplog.at_level(logging.ERROR):
        history = tune(fifo(), simulated(), MaxTrialsStarted(5), callbacks=[Broken(), recorder])
    assert history.n_trials == 5
    assert sum("Broken" in record.getMessage() for record in caplog.records) == 1
    assert recorder.seen.count("start") == 5


class RemoveAll(CheckpointPolicy):
    def __init__(self) -> None:
        self.offered: set[Checkpoint] = set()

    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        self.offered.update(unneeded)
        return unneeded


class Watched(Backend):
    """A backend that writes down what is asked of it, and otherwise passes everything on."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.clock = inner.clock
        self.deleted: list[Checkpoint] = []
        self.busiest = 0
        self.n_workers = inner.free_workers()
        self.closed = 0
        self.needed: list[Checkpoint] = []

    def start(self, run: Run, config: Config) -> None:
        assert self.inner.free_workers() > 0
        assert run.from_checkpoint not in self.deleted
        self.inner.start(run, config)
        self.busiest = max(self.busiest, self.n_workers - self.inner.free_workers())

    def attach(self, runs: Sequence[OpenRun]) -> None:
        self.inner.attach(runs)

    def pause(self, trial_id: int) -> None:
        self.inner.pause(trial_id)

    def stop(self, trial_id: int) -> None:
        self.inner.stop(trial_id)

    def free_workers(self) -> int:
        return self.inner.free_workers()

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        return self.inner.wait(timeout)

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.deleted.append(checkpoint)
        self.inner.delete_checkpoint(checkpoint)

    def summary(self) -> BackendSummary:
        return self.inner.summary()

    def close(self) -> None:
        self.closed += 1
        self.inner.close()


def test_checkpoints_that_nobody_needs_are_removed_and_no_others() -> None:
    backend, policy = Watched(simulated()), RemoveAll()
    scheduler = asha()
    history = tune(scheduler, backend, MaxTrialsStarted(30), checkpoint_policies=[policy])
    assert backend.deleted
    assert len(set(backend.deleted)) == len(backend.deleted), "each once"
    resumable = set(scheduler.resumable(history))
    kept = {history.last(i).resource for i in resumable if history.last(i)}  # type: ignore[union-attr]
    assert all(
        c.trial_id not in resumable or c.resource not in kept
        for c in backend.deleted
        if c.resource == max(r.resource for r in history.results(c.trial_id))
    )
    assert backend.closed == 1


def test_without_a_policy_nothing_is_removed() -> None:
    backend = Watched(simulated())
    tune(asha(), backend, MaxTrialsStarted(10), callbacks=[Recorder()])
    assert backend.deleted == []
    assert backend.busiest <= 4


class Interrupting(Callback):
    """Sends this process a signal at the n-th result, as Ctrl-C does."""

    def __init__(self, n: int, number: signal.Signals) -> None:
        self.n = n
        self.number = number

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        if history.n_results == self.n:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_in_order_and_is_continued_exactly(tmp_path: Path, number: signal.Signals) -> None:
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    tune(asha(), simulated(), MaxTrialsStarted(12), FileJournal(whole))
    before = signal.getsignal(number)
    backend = Watched(simulated())
    with pytest.raises(KeyboardInterrupt):
        tune(asha(), backend, MaxTrialsStarted(12), FileJournal(parts), [Interrupting(17, number)])
    assert signal.getsignal(number) is before
    assert backend.closed == 1
    journal = FileJournal(parts)
    assert sessions(journal) == ["begin", "interrupted"]
    tune(asha(), simulated(), MaxTrialsStarted(12), journal)
    assert canonical_hash(parts) == canonical_hash(whole)


def test_two_interrupts_at_once_are_an_interruption(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal.jsonl")
    twice = [Interrupting(17, signal.SIGINT), Interrupting(17, signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt):
        tune(asha(), simulated(), MaxTrialsStarted(12), journal, twice)
    assert sessions(journal) == ["begin", "interrupted"]


class FullDisk(Journal):
    """A journal on a disk that is full after n lines."""

    def __init__(self, n: int) -> None:
        self.inner = MemoryJournal()
        self.left = n

    @property
    def header(self) -> Header:
        return self.inner.header

    def events(self) -> Iterator[Event]:
        return self.inner.events()

    def append(self, event: Event) -> None:
        if self.left == 0:
            raise JournalError("the disk is full")
        self.left -= 1
        self.inner.append(event)

    def close(self) -> None:
        self.inner.close()


def test_a_full_disk_ends_the_experiment_with_its_own_error_and_releases_the_backend() -> None:
    backend, journal = Watched(simulated()), FullDisk(30)
    with pytest.raises(JournalError, match="disk is full"):
        tune(fifo(), backend, MaxTrialsStarted(50), journal)
    assert backend.closed == 1
    journal.left = 1000
    history = tune(fifo(), simulated(), MaxTrialsStarted(6), journal)
    assert len(history.ids(TrialStatus.COMPLETED)) == 6


class Phased(Watched):
    """A backend that says when each run starts to train."""

    phases: Sequence[PhaseChange] = ()

    def start(self, run: Run, config: Config) -> None:
        super().start(run, config)
        self.phases = [
            PhaseChange(
                trial_id=run.trial_id, attempt=run.attempt, worker="w", name=PhaseName.TRAINING, warm=True
            )
        ]

    def wait(self, timeout: float) -> Sequence[Reported | Ended | PhaseChange]:
        phases, self.phases = self.phases, ()
        return phases or super().wait(timeout)


def test_phases_are_journaled_and_change_nothing_else(tmp_path: Path) -> None:
    def run(name: str, backend: Backend) -> tuple[History, Path]:
        path = tmp_path / name
        return tune(fifo(), backend, MaxTrialsStarted(5), journal=FileJournal(path)), path

    plain, plain_path = run("plain", simulated())
    phased, phased_path = run("phased", Phased(simulated()))
    assert phased.results_since(0) == plain.results_since(0)
    lines = [json.loads(line) for line in phased_path.read_text().splitlines()]
    phases = [line for line in lines if line["kind"] == "phase"]
    assert {(line["worker"], line["name"], line["warm"], line["retry"]) for line in phases} == {
        ("w", "training", True, 0)
    }
    assert len({line["trial_id"] for line in phases}) > 1
    assert canonical_hash(phased_path) == canonical_hash(plain_path)
