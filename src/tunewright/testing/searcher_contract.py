"""SearcherContract: what every searcher must do."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pytest

from tunewright.exceptions import SpaceError
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.requests import TryConfig
from tunewright.schedulers.fifo import FIFO
from tunewright.space import SearchSpace
from tunewright.testing.events import expect, expect_equal
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS, RELATED, RELATED_LEVELS, SMALL, SPACES
from tunewright.types import Config

METRIC = Metric("loss")
"""What the suite tunes."""


class SearcherContract(ABC):
    """A suite of pytest tests; a subclass named ``Test...`` makes them run for its searcher.

    A subclass provides :meth:`make_searcher`. In every test each suggestion is asked for twice and must be the same.

    Examples
    --------
    ::

        class TestRandomSearcher(SearcherContract):
            def make_searcher(
                self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
            ) -> Searcher:
                return RandomSearcher(space, seed=seed, points_to_evaluate=points_to_evaluate)
    """

    n_trials: ClassVar[int] = 20
    """Trials in each experiment; fewer for slow searchers."""
    is_random: ClassVar[bool] = True
    """Whether another seed gives other configurations."""

    @abstractmethod
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        """A new searcher that minimises the metric ``"loss"``."""

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_configurations_are_legal_and_none_comes_twice(self, space: SearchSpace) -> None:
        """On every type of space, constants included."""
        configs = self._configs(space)
        for config in configs:
            space.validate(config)
        expect_equal(len({space.key(config) for config in configs}), len(configs), "different ones")

    def test_a_finite_space_is_exhausted_exactly(self) -> None:
        """Every configuration comes once, then None."""
        configs = self._configs(SMALL)
        found = sorted(json.dumps(dict(config), sort_keys=True) for config in configs)
        every = sorted(json.dumps(config, sort_keys=True) for config in SMALL.enumerate())
        expect_equal(found, every, "configurations")

    def test_relations_are_kept(self) -> None:
        """Every configuration keeps them, and a finite space is exhausted exactly."""
        for config in self._configs(RELATED):
            RELATED.validate(config)
        found = sorted(json.dumps(dict(config), sort_keys=True) for config in self._configs(RELATED_LEVELS))
        every = sorted(json.dumps(config, sort_keys=True) for config in RELATED_LEVELS.enumerate())
        expect_equal(found, every, "configurations")

    def test_the_default_comes_first(self) -> None:
        """That is what ``points_to_evaluate=None`` stands for."""
        expect_equal(dict(self._configs(CONTINUOUS, n_trials=1)[0]), CONTINUOUS.default_config(), "first")

    def test_points_come_first_completed_and_once(self) -> None:
        """Partial ones get defaults, and duplicates are dropped."""
        points: list[Mapping[str, float]] = [{"x": 1.0}, {}, {"x": 1.0, "y": 7.5}, {"y": 3.0}]
        configs = self._configs(CONTINUOUS, points=points, n_trials=5)
        expected = [{"x": 1.0, "y": 7.5}, {"x": 2.5, "y": 7.5}, {"x": 2.5, "y": 3.0}]
        expect_equal([dict(config) for config in configs[:3]], expected, "first")
        expect_equal(len({CONTINUOUS.key(config) for config in configs}), len(configs), "different ones")

    def test_no_points_means_none(self) -> None:
        """An empty sequence switches the default off, and exhausts a space all the same."""
        expect_equal(len(self._configs(SMALL, points=[])), SMALL.size, "configurations")
        first = self._configs(CONTINUOUS, points=[], n_trials=1)
        expect_equal(len(first), 1, "configurations")

    def test_illegal_points_are_refused(self) -> None:
        """At construction."""
        with pytest.raises(SpaceError):
            self.make_searcher(CONTINUOUS, seed=0, points_to_evaluate=[{"z": 1.0}])

    def test_a_configuration_of_a_user_displaces_no_point(self) -> None:
        """A configuration that a user adds has no note of the searcher: it is known like any other, and all points still come."""
        points = [{"x": float(number)} for number in range(3)]
        simulator = self._simulator(CONTINUOUS, points=points, n_trials=6)
        simulator.step()
        added = {"x": 0.5, "y": 0.5}
        expect(bool(simulator.request(TryConfig(config=dict(added))).done), "it was refused")
        simulator.play()
        configs = [dict(config) for config in _configs_of(simulator)]
        expected = [{"x": 0.0, "y": 7.5}, added, {"x": 1.0, "y": 7.5}, {"x": 2.0, "y": 7.5}]
        expect_equal(configs[:4], expected, "first")
        expect_equal(len({CONTINUOUS.key(config) for config in configs}), 6, "different ones")

    def test_the_seed_decides(self) -> None:
        """The same seed gives the same configurations, another one others; global generators are left alone."""
        before = json.dumps(str(np.random.get_state()))  # noqa: NPY002 - it is what must not be used
        sequences = [self._configs(CONTINUOUS, seed=seed) for seed in (1, 1, 2)]
        expect(sequences[0] == sequences[1], "the same seed gave two different sequences")
        if self.is_random:
            expect(sequences[0] != sequences[2], "two seeds gave the same sequence")
        after = json.dumps(str(np.random.get_state()))  # noqa: NPY002
        expect_equal(after, before, "NumPy's global generator")

    def test_a_new_searcher_gives_the_same_answer(self) -> None:
        """What it says is a function of History: a restart at any point changes nothing."""
        undisturbed = self._with_all_faults()
        simulator = self._simulator(CONTINUOUS, faults=ALL_FAULTS)
        while simulator.step():
            simulator.restart(FIFO(self.make_searcher(CONTINUOUS, seed=0)))
        expect(_configs_of(simulator) == undisturbed, "restarts changed the configurations")

    def test_pending_failed_and_diverged_trials_are_borne(self) -> None:
        """Nothing but trouble, and still new configurations."""
        for faults in (FaultRates(nan=1.0), FaultRates(fail=1.0)):
            configs = self._configs(CONTINUOUS, faults=faults)
            expect_equal(len(configs), self.n_trials, "configurations")
        expect_equal(len(self._with_all_faults()), self.n_trials, "configurations")

    def test_until_is_understood(self) -> None:
        """It says how far the trial will run at first."""
        simulator = self._simulator(CONTINUOUS)
        searcher = self.make_searcher(CONTINUOUS, seed=0)
        for until in (1, 3, None) * 10:
            simulator.step()
            suggestion = searcher.suggest(simulator.history, until=until)
            expect(suggestion is not None, "no configuration in an infinite space")
            if suggestion is not None:
                CONTINUOUS.validate(suggestion.config)

    def _simulator(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        points: Sequence[Config] | None = None,
        faults: FaultRates | None = None,
        n_trials: int | None = None,
    ) -> SchedulerSimulator:
        return SchedulerSimulator(
            FIFO(self.make_searcher(space, seed=seed, points_to_evaluate=points)),
            METRIC,
            max_resource=2,
            n_trials=n_trials or self.n_trials,
            faults=faults,
        )

    def _configs(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        points: Sequence[Config] | None = None,
        faults: FaultRates | None = None,
        n_trials: int | None = None,
    ) -> list[Config]:
        simulator = self._simulator(space, seed=seed, points=points, faults=faults, n_trials=n_trials)
        simulator.play()
        return _configs_of(simulator)

    @classmethod
    @lru_cache(maxsize=1)
    def _with_all_faults(cls) -> list[Config]:
        """Configurations of an experiment with all faults, at which several tests look."""
        return cls()._configs(CONTINUOUS, faults=ALL_FAULTS)


def _configs_of(simulator: SchedulerSimulator) -> list[Config]:
    history = simulator.history
    return [history.trial(trial_id).config for trial_id in range(history.n_trials)]
