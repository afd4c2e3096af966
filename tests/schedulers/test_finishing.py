"""Finishing: the best trials are trained to the end in the last part of an experiment."""

from __future__ import annotations

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, Outcome, method, run_experiment
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal, read_events
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.finishing import Finishing, FinishSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Checkpoint, Ended, Reported, Resume, Start, TrialStatus

LOSS = Metric("loss")


def asha(space: SearchSpace, metric: Metric, seed: int, *, kind: str = "promotion") -> ASHA:
    settings = ASHASettings(max_resource=27, grace_period=3, kind=kind)
    return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestContractAroundPromotion(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = FinishSettings(n_best=3, max_resource=27, n_workers=4, max_trials=self.n_trials)
        return Finishing(asha(space, metric, seed), settings, metric=metric)


class TestContractWithinResults(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = FinishSettings(n_best=2, max_resource=27, max_results=10_000)
        return Finishing(asha(space, metric, seed, kind="stopping"), settings, metric=metric)


def test_paused_trials_are_resumed_the_best_first(hand) -> None:
    settings = FinishSettings(n_best=2, max_resource=27, max_trials=3)
    driver = hand(Finishing(asha(CONTINUOUS, LOSS, 0), settings, metric=LOSS))
    driver.pause_at(3, 3.0, 1.0, 2.0)
    promoted = driver.begin()
    assert (promoted.trial_id, promoted.until) == (1, 9)  # the search goes on while it has something to run
    driver.report(1, 9, 0.5)
    driver.end(1)
    first = driver.scheduler.suggest(driver.history)
    assert isinstance(first, Resume)
    assert (first.trial_id, first.until) == (1, None)
    driver.begin()
    assert driver.begin().trial_id == 2
    assert driver.scheduler.suggest(driver.history) is None
    for resource in (12, 27):
        assert driver.report(1, resource, 0.4).decision == "continue"
    assert driver.report(1, 28, 0.4).decision == "stop"
    assert set(driver.scheduler.resumable(driver.history)) == {0}


def test_stopped_trials_are_begun_again_from_their_checkpoints(hand) -> None:
    settings = FinishSettings(n_best=2, max_resource=27, max_trials=4)
    driver = hand(Finishing(asha(CONTINUOUS, LOSS, 0, kind="stopping"), settings, metric=LOSS))
    for loss in (1.0, 2.0, 3.0, 4.0):
        trial_id = driver.begin().trial_id
        if driver.report(trial_id, 3, loss).decision == "stop":
            driver.end(trial_id)
    assert driver.suggest() is None  # trial 0 runs
    driver.report(0, 27, 1.5)
    assert driver.end(0) is TrialStatus.COMPLETED
    assert driver.history.status(1) is TrialStatus.STOPPED
    again = driver.suggest()
    assert isinstance(again, Start)
    assert again.config == driver.history.trial(1).config
    assert again.from_checkpoint == Checkpoint(trial_id=1, resource=3)
    assert driver.begin().trial_id == 4
    assert driver.report(4, 27, 0.5).decision == "continue"
    assert driver.end(4) is TrialStatus.COMPLETED
    assert driver.suggest() is None


def run(name: str, limits: Limits, **settings: object) -> Outcome:
    return run_experiment(
        Experiment(
            tag="finish",
            benchmark=simulated_benchmark("digits"),
            method=method(name, **settings),
            label=name,
            backend=SimulatedConfig(),
            limits=limits,
        )
    )


def n_whole(outcome: Outcome) -> int:
    full = simulated_benchmark("digits").max_resource
    return sum(result.resource == full for _, result in outcome.history.results_since(0))


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_the_best_of_a_number_of_trials_are_trained_to_the_end(kind: str) -> None:
    limits = Limits(max_num_trials=12)
    before = run("ASHA", limits, kind=kind)
    outcome = run("ASHA", limits.replace(finish=3), kind=kind)
    full = simulated_benchmark("digits").max_resource
    leaders = [outcome.history.trial(trial_id).config for trial_id, _ in before.ranked()[:3]]
    whole = [
        outcome.history.trial(trial_id).config
        for trial_id, result in outcome.history.results_since(0)
        if result.resource == full
    ]
    assert all(config in whole for config in leaders)
    assert n_whole(outcome) >= 3
    assert outcome.status.is_finished


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_a_part_of_the_reports_is_kept_for_it(kind: str) -> None:
    n_results = run("ASHA", Limits(max_num_trials=80), kind=kind).history.n_results
    limits = Limits(max_num_evaluations=n_results)
    outcome = run("ASHA", limits.replace(finish=3), kind=kind)
    whole = [outcome.history.trial(i).config for i, r in outcome.history.results_since(0) if r.resource == 27]
    assert all(outcome.history.trial(i).config in whole for i, _ in outcome.ranked()[:3])
    assert outcome.history.n_results <= n_results
    assert outcome.history.n_trials > run("ASHA", limits, kind=kind).history.n_trials / 2


def test_a_part_of_the_time_is_kept_for_it() -> None:
    """Each unit takes a second; the best trial is trained to the end within the hundred seconds."""
    settings = FinishSettings(n_best=1, max_resource=27, max_time=100.0)
    scheduler = Finishing(asha(CONTINUOUS, LOSS, 0), settings, metric=LOSS)
    ledger = Ledger(scheduler, MemoryJournal(), (LOSS,))
    now = 0.0
    while (suggestion := scheduler.suggest(ledger.history)) is not None:
        run = ledger.begin(suggestion, now)
        until = suggestion.until or 27
        now += until - run.resume_from
        report = Reported(
            trial_id=run.trial_id,
            attempt=run.attempt,
            seq=1,
            resource=until,
            metrics={"loss": 1.0 / (1 + run.trial_id)},
        )
        ledger.report(report, now)
        checkpoint = Checkpoint(trial_id=run.trial_id, resource=until)
        ledger.end(Ended(trial_id=run.trial_id, attempt=run.attempt, exit=0, checkpoint=checkpoint), now)
    history = ledger.history
    best = min(range(history.n_trials), key=lambda i: min(r.metrics["loss"] for r in history.results(i)))
    last = history.last(best)
    assert last is not None
    assert last.resource == 27
    assert 50.0 <= now <= 100.0


def test_a_method_that_trains_to_the_end_changes_nothing() -> None:
    configs = [
        [
            event.config
            for event in read_events(run("RandomSearch", limits).folder.journal_path)
            if event.kind == "start"
        ]
        for limits in (Limits(max_num_trials=6), Limits(max_num_trials=6, finish=2))
    ]
    assert configs[0] == configs[1]


def test_what_cannot_be_trained_to_the_end_is_an_error() -> None:
    with pytest.raises(SettingsError, match="finish must be >= 1"):
        Limits(finish=0)
    with pytest.raises(SettingsError, match="n_best"):
        Finishing(
            FIFO(RandomSearcher(CONTINUOUS, seed=0)), FinishSettings(n_best=0, max_resource=3), metric=LOSS
        )


def test_limits_without_it_are_stored_as_before() -> None:
    assert "finish" not in Limits(max_num_trials=3).to_json()
    limits = Limits(max_num_trials=3, finish=2)
    assert Limits.from_json(limits.to_json()) == limits
