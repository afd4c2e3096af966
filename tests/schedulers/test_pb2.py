"""PB2: what it learns from, what it proposes, and that it keeps PBT's contract."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.methods import build_scheduler, method
from tunewright.metric import Goal, Metric
from tunewright.schedulers.pb2 import intervals_of
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.spaces import ALL_TYPES, CONTINUOUS
from tunewright.trial import Decision

LOSS = Metric("loss")


def pb2(
    space: SearchSpace, seed: int = 0, metric: Metric = LOSS, max_resource: int = 27, **changes
) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="bandit", script="none", space=space, metrics=(metric,), max_resource=max_resource
    )
    return build_scheduler(method("PB2", **changes), benchmark, seed, {})


class TestContract(SchedulerContract):
    takes_configs = False
    n_trials = 16
    restart_every = 40

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return pb2(space, seed, metric, perturbation_interval=9)


def played(scheduler: Scheduler, n_runs: int, end: int, loss_after, metric: Metric = LOSS) -> AskTell:
    """Run one trial at a time; ``loss_after(loss, config, epoch)`` is the loss after a further epoch."""
    tuning = AskTell(scheduler, [metric])
    states: dict[tuple[int, int], float] = {}
    for _ in range(n_runs):
        asked = tuning.ask()
        assert asked is not None
        loss = 10.0 if asked.from_trial is None else states[asked.from_trial, asked.resume_from]
        for epoch in range(asked.resume_from + 1, end + 1):
            loss = loss_after(loss, asked.config, epoch)
            states[asked.trial_id, epoch] = loss
            value = loss if metric.goal is Goal.MINIMIZE else -loss
            if tuning.tell(asked, {"loss": value}, resource=epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    return tuning


def test_a_change_belongs_to_the_configuration_that_made_it() -> None:
    """Recomputed from runs: each interval of a trial, and its beginning at the checkpoint of another one."""
    tuning = played(
        pb2(CONTINUOUS, max_resource=9, perturbation_interval=3),
        30,
        9,
        lambda loss, config, epoch: loss - float(config["y"]) * epoch / 10,
    )
    history = tuning.history
    known = intervals_of(history, CONTINUOUS, LOSS, 3)
    found = {
        (*(round(float(u), 9) for u in row[:-1]), int(row[-1])): change
        for row, change in zip(known.points, known.changes, strict=True)
    }
    expected = {}
    for run in history.runs:
        config = history.trial(run.trial_id).config
        if run.resume_from and run.until is not None:
            place = [round(float(u), 9) for u in CONTINUOUS.encode([config])[0]]
            steps = sum(range(run.resume_from + 1, run.until + 1))
            expected[*place, run.resume_from // 3] = -float(config["y"]) * steps / 10
    assert len(expected) >= 6
    for key, change in expected.items():
        assert found[key] == pytest.approx(change)


def test_diverged_intervals_count_as_the_worst(hand) -> None:
    driver = hand(pb2(CONTINUOUS, max_resource=9, perturbation_interval=3))
    driver.pause_at(3, 1.0, 2.0, 3.0, 4.0)
    for value in (0.5, math.nan, 2.7):
        run = driver.begin()
        driver.report(run.trial_id, 6, value)
        driver.end(run.trial_id)
    changes = intervals_of(driver.history, CONTINUOUS, LOSS, 3).changes
    np.testing.assert_allclose(changes, [-0.5, -0.3, -0.3])


def explored(history: History, name: str) -> list[float]:
    """Values of a hyperparameter in trials that began with another one's checkpoint, oldest first."""
    clones = [run.trial_id for run in history.runs if run.attempt == 0 and run.resume_from]
    return [float(history.trial(trial_id).config[name]) for trial_id in clones]


@pytest.mark.parametrize("goal", list(Goal))
def test_new_members_move_to_where_the_loss_falls_most(goal: Goal) -> None:
    metric = Metric("loss", goal)
    scheduler = pb2(CONTINUOUS, metric=metric, population_size=6, perturbation_interval=2)
    tuning = played(
        scheduler,
        70,
        27,
        lambda loss, config, epoch: loss * (0.99 - 0.2 * math.exp(-((float(config["x"]) - 4.0) ** 2) / 8)),
        metric,
    )
    values = explored(tuning.history, "x")
    assert len(values) >= 10
    later = np.abs(np.array(values[len(values) // 2 :]) - 4.0)
    assert np.median(later) < 1.5  # the range is 15; of random values half are farther than 3.75


def test_what_a_checkpoint_depends_on_is_kept() -> None:
    scheduler = pb2(ALL_TYPES, population_size=4, perturbation_interval=3, kept=["activation", "n_layers"])
    tuning = played(scheduler, 60, 27, lambda loss, config, epoch: loss - float(config["dropout"]))
    history = tuning.history
    n_clones = 0
    for run in history.runs:
        if run.attempt == 0 and run.from_checkpoint is not None:
            child, parent = history.trial(run.trial_id), history.trial(run.from_checkpoint.trial_id)
            ALL_TYPES.validate(child.config)
            assert child.config["activation"] == parent.config["activation"]
            assert child.config["n_layers"] == parent.config["n_layers"]
            assert child.config != parent.config
            n_clones += 1
    assert n_clones > 5


def test_settings_that_cannot_work() -> None:
    wrong: list[dict[str, Any]] = [{"kappa": -1.0}, {"population_size": 1}, {"quantile_fraction": 0.7}]
    for changes in wrong:
        with pytest.raises(SettingsError, match=next(iter(changes))):
            method("PB2", **changes)
