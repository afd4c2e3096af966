"""The scheduler in the contract's docstring is one."""

from __future__ import annotations

import inspect
import textwrap

import tunewright.interfaces as contracts
from tunewright import trial
from tunewright.metric import Metric
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator

LOSS = Metric("loss")


def halving() -> contracts.Scheduler:
    doc = inspect.getdoc(contracts.Scheduler) or ""
    code = doc[doc.index("class Halving") : doc.index("The Tuner calls")]
    names = {**vars(trial), **vars(contracts), "Metric": Metric}
    exec(textwrap.dedent(" " * 4 + code), names)  # noqa: S102 - our own text
    scheduler = names["Halving"](RandomSearcher(SearchSpace({"x": Float(0.0, 1.0)}), seed=0), LOSS)
    assert isinstance(scheduler, contracts.Scheduler)
    return scheduler


def play(faults: FaultRates, restart_every: int = 0) -> SchedulerSimulator:
    simulator = SchedulerSimulator(halving(), LOSS, max_resource=5, n_trials=12, n_workers=2, faults=faults)
    steps = 0
    while simulator.step():
        steps += 1
        if restart_every and steps % restart_every == 0:
            simulator.restart(halving())
    return simulator


def test_it_resumes_the_better_trials() -> None:
    simulator = play(FaultRates())
    history = simulator.history
    completed = history.ids(trial.TrialStatus.COMPLETED)
    assert history.n_trials == 12
    assert completed
    assert all(history.run(trial_id).attempt == 1 for trial_id in completed)


def test_a_restart_changes_nothing() -> None:
    assert play(ALL_FAULTS, restart_every=3).journal() == play(ALL_FAULTS).journal()
