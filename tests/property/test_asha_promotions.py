"""ASHA's decisions, recomputed from the journal by sorting everything anew at every line."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS

MAX_RESOURCE = 27


class Naive:
    """The rules of ASHA, written down as directly as they are said."""

    def __init__(self, asha: ASHASettings) -> None:
        self.asha = asha
        self.losses: dict[tuple[int, int], dict[int, float]] = {}
        self.bracket: dict[int, int] = {}
        self.level: dict[int, int] = {}
        self.until: dict[int, int | None] = {}
        self.last: dict[int, float] = {}
        self.paused: set[int] = set()

    def rung(self, trial: int, level: int) -> dict[int, float]:
        system = 0 if self.asha.shared_rungs else self.bracket[trial]
        return self.losses.setdefault((system, level), {})

    def levels_of(self, trial: int) -> tuple[int, ...]:
        return self.asha.levels[self.bracket[trial] :]

    def record(self, trial: int, resource: int, loss: float) -> list[int]:
        passed = [level for level in self.levels_of(trial) if self.level.get(trial, 0) < level <= resource]
        for level in passed:
            self.rung(trial, level)[trial] = loss
            self.level[trial] = level
        return passed

    def candidates(self, level: int) -> list[tuple[float, int]]:
        """Who may be promoted from a level, best first in each system."""
        found = []
        for (_, rung_level), losses in sorted(self.losses.items()):
            if rung_level == level:
                ranked = sorted((loss, trial) for trial, loss in losses.items())
                top = ranked[: math.floor(len(ranked) / self.asha.eta)]
                waiting = [
                    (loss, trial)
                    for loss, trial in top
                    if trial in self.paused and self.level[trial] == level and math.isfinite(loss)
                ]
                found += waiting[:1]
        return found

    def promotion(self) -> tuple[set[int], int | None]:
        """The trials of which one must be resumed now, and to where."""
        stages = (*self.asha.levels, None)
        for level, following in reversed(list(pairwise(stages))):
            candidates = self.candidates(level)
            if candidates:
                return {trial for _, trial in candidates}, following
        return set(), None

    def start(self, line: dict) -> None:
        trial = line["trial_id"]
        eligible, until = self.promotion()
        if line["attempt"] == 0:
            assert not eligible, f"trial {trial} was started where one of {eligible} should have been resumed"
            self.bracket[trial] = line["note"]["bracket"]
            first = (*self.asha.levels, None)[self.bracket[trial]]
            until = first if self.asha.kind is ASHAKind.PROMOTION else None
        else:
            assert trial in eligible
            self.paused.remove(trial)
        assert line["until"] == until
        self.until[trial] = until

    def result(self, line: dict) -> None:
        if line["decision"] in ("repeat", "late"):
            return
        trial, resource = line["trial_id"], line["resource"]
        value = float(line["metrics"]["loss"])
        loss = value if math.isfinite(value) else math.inf
        self.last[trial] = loss
        passed = self.record(trial, resource, loss)
        assert line["decision"] == self.verdict(trial, resource, loss, passed)

    def verdict(self, trial: int, resource: int, loss: float, passed: list[int]) -> str:
        if resource >= MAX_RESOURCE:
            return "continue" if resource == MAX_RESOURCE else "stop"
        if self.asha.kind is ASHAKind.PROMOTION:
            return "pause" if passed else "continue"
        for level in passed:
            losses = list(self.rung(trial, level).values())
            finite_or_huge = [min(x, 1e300) for x in losses]
            quantile = float(np.quantile(finite_or_huge, 1 / self.asha.eta))
            if len(losses) >= 2 and (math.isinf(loss) or loss > quantile + 1e-12):
                return "stop"
        return "continue"

    def end(self, line: dict) -> None:
        trial = line["trial_id"]
        if line["status"] == "paused":
            self.paused.add(trial)
        elif line["status"] == "completed" and self.until[trial] is not None:
            self.record(trial, self.until[trial], self.last[trial])


ASHA_SETTINGS = st.builds(
    ASHASettings,
    max_resource=st.just(MAX_RESOURCE),
    grace_period=st.sampled_from([1, 2]),
    eta=st.sampled_from([2, 2.5, 3]),
    kind=st.sampled_from(ASHAKind),
    brackets=st.integers(1, 3),
    shared_rungs=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(ASHA_SETTINGS, st.integers(0, 1000), st.sampled_from([FaultRates(), ALL_FAULTS]), st.integers(1, 8))
def test_every_decision_is_the_naive_one(
    asha: ASHASettings, seed: int, faults: FaultRates, n_workers: int
) -> None:
    metric = Metric("loss")
    scheduler = ASHA(RandomSearcher(CONTINUOUS, seed=seed), asha, metric=metric, seed=seed)
    simulator = SchedulerSimulator(
        scheduler,
        metric,
        max_resource=MAX_RESOURCE,
        n_trials=40,
        n_workers=n_workers,
        faults=faults,
        seed=seed,
    )
    simulator.play()
    naive = Naive(asha)
    for line in simulator.journal():
        getattr(naive, line["kind"])(line)
    assert set(scheduler.resumable(simulator.history)) == {
        trial for trial in naive.paused if math.isfinite(naive.rung(trial, naive.level[trial])[trial])
    }
    assert simulator.history.n_trials == 40
