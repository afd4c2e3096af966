"""RUSH: recomputed from the journal, nobody passes a rung below the limit that the first candidates set."""

from __future__ import annotations

import math

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.scheduler_simulator import SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS

LEVELS = (1, 3, 9)


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
@pytest.mark.parametrize(("seed", "limited"), [(0, 1), (1, 1), (2, 2), (3, 2)])
def test_nobody_passes_below_the_bar(kind: str, seed: int, limited: int) -> None:
    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(
        name="rush", script="none", space=CONTINUOUS, metrics=(metric,), max_resource=27
    )
    known = earlier_evaluations(CONTINUOUS, n_tasks=3)
    scheduler = build_scheduler(
        method("RUSH", kind=kind, **({} if limited == 2 else {"first_limited_rung": limited})),
        benchmark,
        seed,
        {},
        known,
    )
    simulator = SchedulerSimulator(scheduler, metric, max_resource=27, n_trials=60, seed=seed)
    simulator.play()
    first = [task.best(1)[0] for task in known.tasks]
    configs = [simulator.history.trial(trial_id).config for trial_id in range(len(first))]
    assert configs == first
    bars: dict[int, float] = dict.fromkeys(LEVELS, math.inf)
    at_rung: dict[int, float] = {}
    n_passed = n_held = n_spared = 0
    for line in simulator.journal():
        trial_id = line.get("trial_id", -1)
        if line["kind"] == "result" and line["resource"] in LEVELS:
            level, loss = line["resource"], line["metrics"]["loss"]
            at_rung[trial_id] = loss
            if trial_id < len(first):
                bars[level] = min(bars[level], loss)
            elif kind == "stopping" and loss > bars[level]:
                spared = level < LEVELS[limited - 1] and line["decision"] != "stop"
                assert spared or line["decision"] == "stop"
                n_held += 1
                n_spared += spared
            elif kind == "stopping":
                n_passed += line["decision"] == "continue"
        elif line["kind"] == "start" and line["attempt"] and trial_id >= len(first):
            level = next(level for level in LEVELS if line["until"] in {3 * level, None if level == 9 else 0})
            spared = level < LEVELS[limited - 1] and at_rung[trial_id] > bars[level]
            assert spared or at_rung[trial_id] <= bars[level]
            n_passed += 1
            n_spared += spared
    if kind == "promotion":
        n_held = sum(loss > bars[1] for trial_id, loss in at_rung.items() if trial_id >= len(first))
    assert n_held
    assert (n_spared > 0) is (limited == 2)
    assert n_passed or min(bars.values()) < math.inf
