"""SchedulerContract: what every scheduler must do."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pytest

from tunewright.interfaces import Scheduler
from tunewright.metric import Goal, Metric
from tunewright.replicates import ReplicateMeans, Replicates
from tunewright.requests import PauseTrial, ResumeTrial, StopTrial, TryConfig
from tunewright.space import SearchSpace
from tunewright.testing.events import expect, expect_equal
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS, SMALL
from tunewright.trial import TrialStatus

_EARLY = 12
"""Events before a user adds configurations."""
METRIC = Metric("score", Goal.MAXIMIZE)
"""What the suite tunes."""


class SchedulerContract(ABC):
    """A suite of pytest tests; a subclass named ``Test...`` makes them run for its scheduler.

    A subclass provides :meth:`make_scheduler`. Every suggestion in every test is checked: asked twice, the answer is
    the same; only paused trials are resumed, and only such that ``resumable`` held on to; no run ends where its trial
    is already.

    Examples
    --------
    ::

        class TestFIFO(SchedulerContract):
            def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
                return FIFO(RandomSearcher(space, seed=seed))
    """

    max_resource: ClassVar[int] = 27
    """The resource at which the suite's scripts come to their own end; schedulers are made for the same."""
    n_trials: ClassVar[int] = 40
    """Trials in each experiment; fewer for slow schedulers."""
    restart_every: ClassVar[int] = 7
    """Events between two restarts; more for slow schedulers."""
    is_random: ClassVar[bool] = True
    """Whether another seed gives another experiment."""

    takes_configs: ClassVar[bool] = True
    """Whether a user may add configurations."""
    replicates: ClassVar[Replicates | None] = None
    """The replicates that the suite's scripts report."""

    @abstractmethod
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        """A new scheduler."""

    @pytest.mark.parametrize("seed", range(2))
    def test_scripts_that_behave(self, seed: int) -> None:
        """All trials are started, none is left running, and somebody comes to the end."""
        simulator = self._played(FaultRates(), seed)
        history = simulator.history
        expect_equal(history.n_trials, self.n_trials, "trials")
        expect(not history.ids(TrialStatus.RUNNING), "trials are running though nothing is left to do")
        expect(not history.ids(TrialStatus.FAILED), "trials failed whose scripts did not")
        ends = [last.resource for i in range(history.n_trials) if (last := history.last(i)) is not None]
        expect_equal(max(ends), self.max_resource, "the highest resource that any trial reached")

    @pytest.mark.parametrize("seed", range(2))
    def test_scripts_that_do_everything_wrong(self, seed: int) -> None:
        """Crashes, early ends, NaN, jumps, lost checkpoints and late reports end no experiment."""
        simulator = self._played(ALL_FAULTS, seed)
        expect_equal(simulator.history.n_trials, self.n_trials, "trials")
        expect(not simulator.history.ids(TrialStatus.RUNNING), "trials are left running")

    def test_nothing_but_nan(self) -> None:
        """An experiment without a single finite value ends in order."""
        simulator = self._play(FaultRates(nan=1.0), seed=0)
        expect_equal(simulator.history.n_trials, self.n_trials, "trials")

    def test_nothing_but_failures(self) -> None:
        """A trial that failed is not run again."""
        history = self._play(FaultRates(fail=1.0), seed=0).history
        expect_equal(history.n_runs, self.n_trials, "runs")

    def test_the_space_runs_out(self) -> None:
        """Then running and paused trials go on, no configuration comes twice, and the experiment ends."""
        simulator = self._simulator(FaultRates(), space=SMALL, seed=0)
        simulator.play()
        history = simulator.history
        expect(
            0 < history.n_trials <= (SMALL.size or 0),
            f"{history.n_trials} trials of {SMALL.size} configurations",
        )
        configs = {json.dumps(dict(history.trial(i).config), sort_keys=True) for i in range(history.n_trials)}
        expect_equal(len(configs), history.n_trials, "different configurations")

    def test_the_seed_decides(self) -> None:
        """The same seed gives the same journal, another one another."""
        again, another = (self._play(ALL_FAULTS, seed=0, method_seed=seed).journal() for seed in (0, 1))
        journals = [self._played(ALL_FAULTS, 0).journal(), again, another]
        expect(journals[0] == journals[1], "the same seed gave two different journals")
        if self.is_random:
            expect(journals[0] != journals[2], "two seeds gave the same journal")

    @pytest.mark.parametrize("faults", [FaultRates(), ALL_FAULTS], ids=["well-behaved", "faults"])
    def test_a_restart_changes_nothing(self, faults: FaultRates) -> None:
        """A new scheduler that is given the journal goes on exactly as the old one would have."""
        undisturbed = self._played(faults, 0)
        simulator = self._simulator(faults, seed=0)
        n_steps = 0
        while simulator.step():
            n_steps += 1
            if n_steps % self.restart_every == 0:
                old = simulator.scheduler
                kept = set(old.resumable(simulator.history))
                simulator.restart(self._make(CONTINUOUS, 0))
                again = set(simulator.scheduler.resumable(simulator.history))
                expect_equal(again, kept, f"resumable trials after a restart at event {n_steps}")
        expect(simulator.journal() == undisturbed.journal(), "restarts changed the journal")

    def test_resumable_is_a_live_view_of_paused_trials(self) -> None:
        """At every instant it holds paused trials only, and holding on to it is holding on to the truth."""
        simulator = self._simulator(ALL_FAULTS, seed=4)
        resumable = simulator.scheduler.resumable(simulator.history)
        while simulator.step():
            now = set(simulator.scheduler.resumable(simulator.history))
            expect_equal(set(resumable), now, "the live view")
            paused = set(simulator.history.ids(TrialStatus.PAUSED))
            expect(now <= paused, f"resumable holds {now - paused}, which are not paused")

    def test_requests_of_a_user(self) -> None:
        """Trials that a user pauses or stops are done without, resumed ones go on, and restarts change nothing."""
        n_trials = self.n_trials * 2 // 3
        undisturbed = self._simulator(ALL_FAULTS, seed=6, n_trials=n_trials)
        self._play_with_requests(undisturbed, restart_every=None)
        history = undisturbed.history
        expect_equal(history.n_trials, n_trials, "trials")
        expect(not history.ids(TrialStatus.RUNNING), "trials are running though nothing is left to do")
        simulator = self._simulator(ALL_FAULTS, seed=6, n_trials=n_trials)
        self._play_with_requests(simulator, restart_every=10 * self.restart_every)
        expect(simulator.journal() == undisturbed.journal(), "restarts changed the journal")

    def test_a_configuration_of_a_user_comes_first(self) -> None:
        """It is the next one that begins, and takes the place of no other; or the method refuses it."""
        simulator = self._simulator(FaultRates(), seed=7)
        for _ in range(_EARLY):
            simulator.step()
        n_before = simulator.history.n_trials
        wanted = [CONTINUOUS.sample(np.random.default_rng(number)) for number in (1, 2)]
        events = [simulator.request(TryConfig(config=config)) for config in wanted]
        if not self.takes_configs:
            expect(all(event.reason and not event.done for event in events), f"it was not refused: {events}")
            return
        expect(all(event.done for event in events), f"it was refused: {events}")
        simulator.play()
        history = simulator.history
        begun = [history.trial(n_before + number).config for number in (0, 1)]
        expect_equal(begun, wanted, "the configurations that began next")
        expect_equal(history.n_suggested, self.n_trials - 2, "suggested trials")
        expect(bool(history.results(n_before)), "the configuration was not trained")
        repeated = simulator.request(TryConfig(config=wanted[0]))
        expect(not repeated.done, "a configuration that was tried was not refused")

    def _play_with_requests(self, simulator: SchedulerSimulator, *, restart_every: int | None) -> None:
        """Play on, with a request of each kind every few events, at the same events whatever restarts there are."""
        history, n_steps = simulator.history, 0
        rng = np.random.default_rng(0)
        while simulator.step() or self._resume_one(simulator):
            n_steps += 1
            running = sorted(history.ids(TrialStatus.RUNNING))
            if running and n_steps % 5 == 0:
                simulator.request(PauseTrial(trial_id=running[n_steps % len(running)]))
            if running and n_steps % 17 == 0:
                simulator.request(StopTrial(trial_id=running[0]))
            if n_steps % 13 == 0:
                self._resume_one(simulator)
            if n_steps % 19 == 0:
                simulator.request(TryConfig(config=CONTINUOUS.sample(rng)))
            if restart_every is not None and n_steps % restart_every == 0:
                kept = set(simulator.scheduler.resumable(history))
                simulator.restart(self._make(CONTINUOUS, 6))
                history = simulator.history
                expect_equal(
                    set(simulator.scheduler.resumable(history)), kept, "resumable trials after a restart"
                )
            resumable = simulator.scheduler.resumable(history)
            wrong = [trial_id for trial_id in resumable if history.is_withdrawn(trial_id)]
            expect(not wrong, f"resumable holds {wrong}, which a user has paused")

    @staticmethod
    def _resume_one(simulator: SchedulerSimulator) -> bool:
        """Resume the oldest trial that a user has paused; return whether there is one."""
        history = simulator.history
        paused = (i for i in sorted(history.ids(TrialStatus.PAUSED)) if history.is_withdrawn(i))
        return any(simulator.request(ResumeTrial(trial_id=trial_id)).done for trial_id in paused)

    def test_notes_are_json(self) -> None:
        """They are journaled, and come back equal."""
        history = self._played(FaultRates(), 0).history
        for run in history.runs:
            note = dict(history.note(run.trial_id, run.attempt))
            expect_equal(json.loads(json.dumps(note)), note, "a note after its way through the journal")

    def _make(self, space: SearchSpace, seed: int) -> Scheduler:
        return self.make_scheduler(space, METRIC, seed=seed)

    def _simulator(
        self,
        faults: FaultRates,
        *,
        seed: int,
        method_seed: int | None = None,
        space: SearchSpace = CONTINUOUS,
        n_trials: int | None = None,
    ) -> SchedulerSimulator:
        return SchedulerSimulator(
            self._make(space, seed if method_seed is None else method_seed),
            METRIC,
            max_resource=self.max_resource,
            n_trials=n_trials or self.n_trials,
            faults=faults,
            seed=seed,
            replicates=None if self.replicates is None else ReplicateMeans(self.replicates, [METRIC]),
        )

    def _play(self, faults: FaultRates, *, seed: int, method_seed: int | None = None) -> SchedulerSimulator:
        simulator = self._simulator(faults, seed=seed, method_seed=method_seed)
        simulator.play()
        return simulator

    @classmethod
    @lru_cache(maxsize=8)
    def _played(cls, faults: FaultRates, seed: int) -> SchedulerSimulator:
        """An experiment from begin to end, at which several tests look."""
        return cls()._play(faults, seed=seed)
