from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.asktell import AskTell
from tunewright.backends.simulated import SimulatedBackend
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Callback, CheckpointPolicy, Scheduler
from tunewright.journal import MemoryJournal
from tunewright.methods import method
from tunewright.metric import Metric
from tunewright.schedulers.pbt import PBT, PBTSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS, SMALL
from tunewright.trial import Checkpoint, Decision, Resume, Start, TrialStatus
from tunewright.tuner import Tuner

LOSS = Metric("loss")


def pbt(space: SearchSpace = CONTINUOUS, seed: int = 0, metric: Metric = LOSS, **changes) -> PBT:
    plan = PBTSettings(**{"max_resource": 9, "perturbation_interval": 3} | changes)
    return PBT(RandomSearcher(space, seed=seed), space, plan, metric=metric, seed=seed)


class TestContract(SchedulerContract):
    takes_configs = False

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return pbt(space, seed, metric, max_resource=27, perturbation_interval=4)


class TestContractOfALargePopulation(SchedulerContract):
    takes_configs = False

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        plan = {"max_resource": 27, "population_size": 12, "perturbation_interval": 9}
        return pbt(space, seed, metric, quantile_fraction=0.4, resample_probability=0.5, **plan)


@pytest.mark.parametrize(
    "wrong",
    [
        {"population_size": 1},
        {"perturbation_interval": 0},
        {"perturbation_interval": 9},
        {"quantile_fraction": 0.6},
        {"resample_probability": -0.1},
    ],
)
def test_settings_that_cannot_work(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        pbt(**wrong)


def test_settings_of_the_method() -> None:
    with pytest.raises(SettingsError, match="population_size"):
        method("PBT", population_size=0)
    with pytest.raises(SettingsError, match="perturbation_interval"):
        method("PBT", perturbation_interval=0)
    assert method("PBT", perturbation_interval=3).settings == {"perturbation_interval": 3}


# --- by hand


def test_the_worst_goes_on_from_the_bests_checkpoint(hand) -> None:
    driver = hand(pbt())
    driver.pause_at(3, 1.0, 2.0, 3.0, 4.0)
    for trial_id in range(3):
        assert driver.suggest() == Resume(
            trial_id=trial_id, until=6, note={"population": 0, "place": trial_id}
        )
        driver.begin()
    clone = driver.suggest()
    assert isinstance(clone, Start)
    assert clone.from_checkpoint == Checkpoint(trial_id=0, resource=3)
    assert clone.note == {"population": 0, "place": 3, "parent": 0}
    assert clone.until == 6
    assert set(driver.scheduler.resumable(driver.history)) == {3}
    run = driver.begin()
    assert (run.trial_id, run.resume_from) == (4, 3)
    assert not driver.scheduler.resumable(driver.history)
    parent, child = (driver.history.trial(i).config for i in (0, 4))
    assert child != parent


def test_the_worst_of_an_incomplete_population_is_only_compared_with_who_has_reported(hand) -> None:
    driver = hand(pbt())
    driver.begin()
    driver.report(0, 3, 5.0)
    driver.end(0)
    for _ in range(3):
        assert isinstance(driver.suggest(), Start)  # first members begin before others go on
        driver.begin()
    assert driver.suggest() == Resume(trial_id=0, until=6, note={"population": 0, "place": 0})


def test_the_one_with_the_least_resource_goes_first(hand) -> None:
    driver = hand(pbt(population_size=2, quantile_fraction=0.1))
    driver.pause_at(3, 1.0, 0.5)
    clone, going_on = driver.begin().trial_id, driver.begin().trial_id
    assert (clone, going_on) == (2, 1)  # trial 0 is the worse one of two
    driver.report(going_on, 8, 1.0)
    driver.end(going_on)
    driver.report(clone, 6, 0.4)
    driver.end(clone)
    assert driver.begin().trial_id == clone


def go_on(driver, resource: int, **losses: float) -> None:
    """The next member trains up to a resource."""
    run = driver.begin()
    driver.report(run.trial_id, resource, losses[f"trial_{run.trial_id}"])
    driver.end(run.trial_id)


@pytest.mark.parametrize(("compare", "is_replaced"), [("same_resource", False), ("newest", True)])
def test_one_worker_compares_members_at_the_same_resource(hand, compare: str, is_replaced: bool) -> None:
    """Losses fall as members train: the one that has waited longest looks worst beside the others' newest results."""
    driver = hand(pbt(population_size=3, compare=compare, max_resource=99))
    driver.pause_at(3, 3.0, 4.0, 2.0)
    go_on(driver, 6, trial_0=1.5)
    clone = driver.begin()
    assert (clone.from_checkpoint.trial_id, clone.resume_from) == (
        (2, 3) if compare == "same_resource" else (0, 6)
    )
    driver.report(clone.trial_id, 9, 1.0)
    driver.end(clone.trial_id)
    suggested = driver.suggest()  # for trial 2, the best one of epoch 3
    assert isinstance(suggested, Start) == is_replaced
    assert suggested.note["place"] == 2


def test_a_member_that_gets_worse_does_not_spare_others(hand) -> None:
    driver = hand(pbt(population_size=3, max_resource=99))
    driver.pause_at(3, 1.0, 2.0, 9.0)
    go_on(driver, 6, trial_0=50.0)
    go_on(driver, 6, trial_1=1.5)
    clone = driver.suggest()  # for trial 2, the worst one of epoch 3
    assert isinstance(clone, Start)
    assert clone.note["place"] == 2


def test_a_copied_member_counts_with_its_sources_results_before_its_beginning(hand) -> None:
    driver = hand(pbt(population_size=2, max_resource=99))
    driver.pause_at(3, 1.0, 9.0)
    go_on(driver, 6, trial_0=4.0)
    clone = driver.begin()  # from epoch 6 of trial 0
    assert clone.resume_from == 6
    driver.report(clone.trial_id, 9, 5.0)
    driver.end(clone.trial_id)
    assert driver.scheduler.quantiles(driver.history, 0, 9) == ([0], [2])
    assert driver.scheduler.quantiles(driver.history, 0, 6) == ([0], [2])  # both 4.0; the older first
    driver.begin()
    driver.report(0, 9, 6.0)
    assert driver.scheduler.quantiles(driver.history, 0, 9) == ([2], [0])
    assert driver.scheduler.quantiles(driver.history, 0, 5) == ([0], [2])  # both 1.0


def test_a_failed_member_is_replaced_at_once(hand) -> None:
    driver = hand(pbt())
    ids = driver.pause_at(3, 1.0, 2.0, 3.0)
    assert ids == [0, 1, 2]
    driver.begin()
    driver.end(3, exit_code=1)
    clone = driver.suggest()
    assert isinstance(clone, Start)
    assert (clone.note["place"], clone.note["parent"]) == (3, 0)


def test_where_nobody_can_be_copied_a_failed_member_begins_anew(hand) -> None:
    driver = hand(pbt())
    for _ in range(4):
        driver.begin()
    driver.end(2, exit_code=1)
    start = driver.suggest()
    assert (start.note, start.from_checkpoint, start.until) == ({"population": 0, "place": 2}, None, 3)


def test_a_diverged_member_is_replaced_and_never_copied(hand) -> None:
    driver = hand(pbt(quantile_fraction=0.5))
    driver.pause_at(3, math.nan, 2.0, math.inf, math.nan)
    starts = [driver.suggest()]
    driver.begin()
    assert {start.note["parent"] for start in starts} == {1}
    top, bottom = driver.scheduler.quantiles(driver.history, 0)
    assert top == [1]
    assert 1 not in bottom


def test_members_at_the_end_of_their_training_are_no_source(hand) -> None:
    driver = hand(pbt(population_size=2, quantile_fraction=0.5))
    driver.begin()
    for resource in (9,):
        assert driver.report(0, resource, 0.0).decision is Decision.CONTINUE
    assert driver.end(0) is TrialStatus.COMPLETED
    driver.begin()
    driver.report(1, 3, 9.0)
    driver.end(1)
    assert driver.suggest() == Resume(trial_id=1, until=6, note={"population": 0, "place": 1})


def test_what_a_checkpoint_depends_on_is_kept(hand) -> None:
    driver = hand(pbt(kept=("y", "unknown")))
    driver.pause_at(3, *[float(i) for i in range(4)])
    runs = [driver.begin() for _ in range(4)]
    clone = driver.history.trial(runs[-1].trial_id).config
    parent = driver.history.trial(0).config
    assert runs[-1].attempt == 0
    assert clone["y"] == parent["y"]
    assert clone["x"] != parent["x"]


def test_a_free_worker_opens_the_next_population(hand) -> None:
    driver = hand(pbt())
    notes = [driver.history.note(driver.begin().trial_id) for _ in range(6)]
    assert [note["population"] for note in notes] == [0, 0, 0, 0, 1, 1]


def test_where_every_perturbation_was_tried_the_member_goes_on(hand) -> None:
    driver = hand(pbt(SMALL, population_size=6))
    driver.pause_at(3, *[float(i) for i in range(6)])
    assert [driver.begin().attempt for _ in range(6)] == [1] * 6
    assert driver.suggest() is None


# --- the invariant


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 7),
    st.sampled_from([FaultRates(), ALL_FAULTS]),
    st.sampled_from(["same_resource", "newest"]),
)
def test_only_the_bottom_is_replaced_and_only_by_the_top(
    seed: int, n_workers: int, faults: FaultRates, compare: str
) -> None:
    """Recomputed from the journal at every start."""
    scheduler = pbt(seed=seed, population_size=6, quantile_fraction=0.34, compare=compare)
    simulator = SchedulerSimulator(
        scheduler, LOSS, max_resource=9, n_trials=50, n_workers=n_workers, faults=faults, seed=seed
    )
    simulator.play()
    members: dict[tuple[int, int], int] = {}
    losses: dict[int, float] = {}
    curves: dict[int, dict[int, float]] = {}
    sources: dict[int, dict] = {}
    failed: set[int] = set()
    checkpoints: dict[int, dict] = {}
    n_exploited = 0

    def loss_at(trial: int, resource: int) -> float:
        """Of the curve that begins with the sources' parts."""
        parts, end, at = {}, math.inf, trial
        while True:
            first = min(parts, default=math.inf)
            parts |= {r: loss for r, loss in curves.get(at, {}).items() if r <= end and r < first}
            if at not in sources:
                break
            end, at = min(end, sources[at]["resource"]), sources[at]["trial_id"]
        known = [r for r in parts if r <= resource]
        return parts[max(known)] if known and math.isfinite(losses[trial]) else losses[trial]

    for line in simulator.journal():
        trial = line["trial_id"]
        if line["kind"] == "start":
            note = line["note"]
            place = (note["population"], note["place"])
            if "parent" in note:
                n_exploited += 1
                done = max(curves.get(members[place], {0: 0.0}))
                ranked = sorted(
                    (losses[i] if compare == "newest" else loss_at(i, done), i)
                    for (population, _), i in members.items()
                    if population == place[0] and i in losses and i not in failed
                )
                n = min(math.ceil(0.34 * len(ranked)), len(ranked) // 2)
                source = line["from_checkpoint"]
                assert note["parent"] in {i for loss, i in ranked[:n] if math.isfinite(loss)}
                assert source == checkpoints[note["parent"]]
                replaced = members[place]
                is_bottom = replaced in {i for _, i in ranked[len(ranked) - n :]}
                assert replaced in failed or is_bottom or math.isinf(losses[replaced])
                assert (line["until"] or 9) > source["resource"]
                sources[trial] = source
            elif line["attempt"] > 0:
                assert members[place] == trial
            members[place] = trial
        elif line["kind"] == "result" and line["decision"] not in ("repeat", "late"):
            value = float(line["metrics"]["loss"])
            losses[trial] = value if math.isfinite(value) else math.inf
            curves.setdefault(trial, {})[line["resource"]] = losses[trial]
        elif line["kind"] == "end":
            if line["status"] == "failed":
                failed.add(trial)
            if line["checkpoint"]:
                checkpoints[trial] = line["checkpoint"]
    assert n_exploited > 0


class RemoveAll(CheckpointPolicy):
    """A policy that removes whatever it may, and remembers it."""

    def __init__(self) -> None:
        self.removed: set[Checkpoint] = set()

    def select_unneeded(self, history, unneeded):
        self.removed.update(unneeded)
        return unneeded


def test_no_clone_starts_from_a_checkpoint_that_was_removed() -> None:
    policy = RemoveAll()
    sources = []

    class Watch(Callback):
        def on_trial_start(self, history, run) -> None:
            if run.from_checkpoint is not None:
                sources.append(run.from_checkpoint)
                assert run.from_checkpoint not in policy.removed

    def train(config, epoch):
        return {"loss": abs(float(config["x"])) + float(config["y"]) / epoch}, 1.0 + float(config["y"]) / 9

    tuner = Tuner(
        pbt(),
        SimulatedBackend(train, n_workers=3, max_resource=9),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(30),
        journal=MemoryJournal(),
        callbacks=[Watch()],
        checkpoint_policies=[policy],
    )
    history = tuner.run()
    assert len(policy.removed) > 10
    assert any("parent" in history.note(source.trial_id, 0) for source in sources)
    assert sum(run.attempt == 0 and run.resume_from > 0 for run in history.runs) >= 3


def test_ask_and_tell() -> None:
    tuning = AskTell(pbt(), [LOSS])
    clones = []
    for _ in range(60):
        asked = tuning.ask()
        assert asked is not None
        if asked.from_trial not in (None, asked.trial_id):
            clones.append(asked)
        for epoch in range(asked.resume_from + 1, 10):
            loss = float(asked.config["y"]) + 1 / epoch
            if tuning.tell(asked, {"loss": loss}, resource=epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    assert clones
    assert all(asked.resume_from in (3, 6) for asked in clones)
