from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.pasha import SoftRankingLimit, agree, noise_of
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, Start

LOSS = Metric("loss")


def pasha(
    space: SearchSpace = CONTINUOUS,
    seed: int = 0,
    metric: Metric = LOSS,
    *,
    epsilon: float | None = None,
    **rungs,
) -> ASHA:
    plan = ASHASettings(**{"max_resource": 27} | rungs)
    limit = SoftRankingLimit((*plan.levels, plan.max_resource), epsilon)
    return ASHA(RandomSearcher(space, seed=seed), plan, metric=metric, seed=seed, limit=limit)


class TestContract(SchedulerContract):
    max_resource = 4
    n_trials = 60

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return pasha(space, seed, metric, max_resource=4, eta=2, epsilon=0.0)


# --- when two rankings agree


def test_equal_rankings_agree() -> None:
    assert agree([3, 1, 2], {3: 0.1, 1: 0.2, 2: 0.3}, 0.0)


def test_swapped_trials_agree_only_where_they_were_close() -> None:
    before = {0: 0.10, 1: 0.15, 2: 0.40}
    assert agree([1, 0, 2], before, 0.05 + 1e-12)
    assert not agree([1, 0, 2], before, 0.04)
    assert not agree([0, 2, 1], before, 0.05)


def test_diverged_trials_are_equivalent_to_one_another() -> None:
    assert agree([2, 1], {1: math.inf, 2: math.inf}, 0.0)
    assert not agree([2, 1], {1: 0.0, 2: math.inf}, 1.0)


# --- epsilon


def curve(*losses: float) -> dict[int, float]:
    return {epoch: loss for epoch, loss in enumerate(losses, 1) if not math.isnan(loss)}


def test_pairs_that_cross_twice_are_noise() -> None:
    twice = {0: curve(1.0, 2.0, 1.0), 1: curve(2.0, 1.0, 1.25)}
    assert noise_of(twice) == 0.25
    once = {0: curve(1.0, 2.0, 2.0), 1: curve(2.0, 1.0, 1.0)}
    assert noise_of(once) == 0.0
    assert noise_of({}) == 0.0
    assert noise_of({0: curve(1.0, 2.0)}) == 0.0


def test_a_touch_is_no_crossing() -> None:
    assert noise_of({0: curve(1.0, 1.0, 1.0, 1.0), 1: curve(2.0, 1.0, 2.0, 3.0)}) == 0.0


def test_the_distance_is_the_last_common_one() -> None:
    curves = {0: curve(1.0, 2.0, 1.0, math.nan, 0.0), 1: curve(2.0, 1.0, 1.5)}
    assert noise_of(curves) == 0.5


@given(st.integers(0, 1000))
def test_noise_is_that_of_all_pairs_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, (7, 6)) / 4
    gaps = rng.random((7, 6)) < 0.2
    curves = {i: curve(*np.where(gaps[i], math.nan, values[i])) for i in range(7)}
    distances = []
    for i in range(7):
        for j in range(i):
            if len(curves[i]) < 3 or len(curves[j]) < 3:
                continue
            common = [curves[i][r] - curves[j][r] for r in sorted(curves[i].keys() & curves[j].keys())]
            signs = [difference > 0 for difference in common if difference]
            if sum(a != b for a, b in pairwise(signs)) >= 2:
                distances.append(abs(common[-1]))
    assert noise_of(curves) == pytest.approx(np.percentile(distances, 90) if distances else 0.0)


def test_a_negative_epsilon_is_refused() -> None:
    with pytest.raises(SettingsError, match="epsilon"):
        SoftRankingLimit((1, 3), -0.1)


# --- growth


def at_the_ceiling(hand, *losses: float, epsilon: float = 0.0):
    """Nine trials at rung 1, whose best three come to rung 3 with the given losses."""
    driver = hand(pasha(epsilon=epsilon))
    driver.pause_at(1, *[float(i) for i in range(9)])
    runs = [driver.begin() for _ in losses]
    assert [(run.trial_id, run.until) for run in runs] == [(i, 3) for i in range(len(losses))]
    for run, loss in zip(runs, losses, strict=True):
        assert driver.report(run.trial_id, 3, loss).decision is Decision.PAUSE
        driver.end(run.trial_id)
    return driver


def test_while_the_ranking_stays_nobody_goes_beyond_the_second_rung(hand) -> None:
    driver = at_the_ceiling(hand, 0.0, 0.1, 0.2)
    assert isinstance(driver.suggest(), Start)
    assert set(driver.scheduler.resumable(driver.history)) == set(range(9))


def test_a_changed_ranking_lets_the_best_go_on(hand) -> None:
    driver = at_the_ceiling(hand, 0.1, 0.0, 0.2)
    run = driver.begin()
    assert (run.trial_id, run.until) == (1, 9)
    assert isinstance(driver.suggest(), Start)


def test_a_change_within_epsilon_is_none(hand) -> None:
    assert isinstance(at_the_ceiling(hand, 0.1, 0.0, 0.2, epsilon=1.0).suggest(), Start)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([FaultRates(), ALL_FAULTS]))
def test_the_ceiling_grows_rung_by_rung_as_results_come_to_it(seed: int, faults: FaultRates) -> None:
    scheduler = pasha(seed=seed, eta=2, epsilon=0.0, grace_period=1, max_resource=17)
    simulator = SchedulerSimulator(scheduler, LOSS, max_resource=17, n_trials=60, faults=faults, seed=seed)
    simulator.play()
    levels = (1, 2, 4, 8, 16, 17)
    limit, compared = 1, 0
    rungs: list[dict[int, float]] = [{} for _ in levels]
    for line in simulator.journal():
        trial = line["trial_id"]
        if line["kind"] == "start":
            until = line["until"]
            assert (17 if until is None else until) <= levels[limit]
        if line["kind"] != "result" or line["decision"] in ("repeat", "late"):
            continue
        value = float(line["metrics"]["loss"])
        loss = value if math.isfinite(value) else math.inf
        for rung, level in zip(rungs, levels, strict=True):
            if line["resource"] >= level:
                rung.setdefault(trial, loss)
        if faults is not ALL_FAULTS and limit < 5 and trial in rungs[limit]:
            top, below = rungs[limit], rungs[limit - 1]
            now = sorted(top, key=lambda i: (top[i], i))
            before = sorted(top, key=lambda i: (below[i], i))
            compared += 1
            limit += now != before
        elif faults is ALL_FAULTS:
            limit = 5
    assert compared > 0 or faults is ALL_FAULTS


def test_it_saves_what_a_stable_ranking_makes_needless() -> None:
    epochs = {}
    for name, scheduler in {"PASHA": pasha(epsilon=10.0), "ASHA": pasha(epsilon=0.0)}.items():
        simulator = SchedulerSimulator(scheduler, LOSS, max_resource=27, n_trials=120)
        simulator.play()
        results = simulator.history.results_since(0)
        epochs[name] = max(result.resource for _, result in results)
    assert epochs == {"PASHA": 3, "ASHA": 27}


def test_ask_and_tell() -> None:
    tuning = AskTell(pasha(max_resource=9), [LOSS])
    for _ in range(40):
        asked = tuning.ask()
        assert asked is not None
        for epoch in range(asked.resume_from + 1, 10):
            loss = float(asked.config["y"]) + 1 / epoch
            if tuning.tell(asked, {"loss": loss}, resource=epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
