"""NSGA-II's operators against their distributions, its selection, and its progress; evolution of several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Searcher
from tunewright.metric import Goal, Metric
from tunewright.models.pareto import dominated_volume
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.evolution import EvolutionProposer, EvolutionSettings, evolution_searcher
from tunewright.searchers.model_free import RandomSearcher, SearcherContext
from tunewright.searchers.nsga2 import (
    NSGA2Proposer,
    NSGA2Settings,
    nsga2_searcher,
    polynomial_mutation,
    simulated_binary_crossover,
)
from tunewright.space import Float, SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.testing.spaces import ALL_TYPES, CONTINUOUS
from tunewright.types import Config

LOSS = Metric("loss")
BOTH = (Metric("near"), Metric("far", Goal.MAXIMIZE))
PLANE = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(8)})


class TestContract(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = NSGA2Settings(population_size=5)
        return nsga2_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metrics=[LOSS],
        )


def snapshot(space: SearchSpace, objectives: list[list[float]]) -> Snapshot:
    n = len(objectives)
    rng = np.random.default_rng(3)
    points = space.encode([space.sample(rng) for _ in range(n)])
    nobody = np.empty(0, dtype=np.intp)
    losses = np.array(objectives, dtype=np.float64).reshape(n, 2)
    rows = Rows(np.arange(n), np.zeros(n, dtype=np.intp), losses[:, 0])
    return Snapshot(points, rows, nobody, nobody, {}, losses)


def test_children_of_the_crossover_spread_as_they_should() -> None:
    """Away from the bounds beta has the density (eta + 1) / 2 * beta^eta below 1, which half of them are."""
    rng = np.random.default_rng(0)
    a, b, eta = 0.4995, 0.5005, 3.0
    children = np.array([simulated_binary_crossover(a, b, eta, rng) for _ in range(4000)])
    beta = np.abs(children - 0.5) / 0.0005
    assert np.mean(children) == pytest.approx(0.5, abs=1e-4)
    assert np.mean(beta < 1.0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(beta[beta < 1.0]) == pytest.approx((eta + 1) / (eta + 2), abs=0.02)
    assert np.median(beta[beta > 1.0]) == pytest.approx(2 ** (1 / (eta + 1)), abs=0.02)


def test_operators_never_leave_the_unit_interval() -> None:
    rng = np.random.default_rng(1)
    for index in (0.0, 1.0, 20.0):
        for _ in range(500):
            a, b = rng.choice([0.0, 1.0, 1e-16, rng.random()], size=2)
            assert 0.0 <= simulated_binary_crossover(a, b, index, rng) <= 1.0
            assert 0.0 <= polynomial_mutation(a, index, rng) <= 1.0
    assert simulated_binary_crossover(0.3, 0.3, 20.0, rng) == 0.3


def test_mutations_are_small_where_the_index_is_large() -> None:
    rng = np.random.default_rng(2)
    for index in (1.0, 20.0):
        steps = [abs(polynomial_mutation(0.5, index, rng) - 0.5) for _ in range(3000)]
        assert np.mean(steps) < 1.05 / (2 + index)
        assert np.mean(steps) > 0.6 / (2 + index)


def test_children_are_legal_and_all_values_can_be_reached() -> None:
    proposer = NSGA2Proposer(ALL_TYPES, NSGA2Settings(population_size=6, mutation_probability=0.5))
    seen = snapshot(ALL_TYPES, [[float(i), 5.0 - i] for i in range(6)])
    found: dict[str, set[Any]] = {
        "activation": set(),
        "optimizer": set(),
        "n_layers": set(),
        "nesterov": set(),
    }
    for seed in range(25):
        proposal = proposer.propose(seen, np.random.default_rng(seed))
        assert proposal is not None
        for child in ALL_TYPES.decode(proposal.points):
            ALL_TYPES.validate(child)
            for name, values in found.items():
                values.add(child[name])
    assert {name: len(values) for name, values in found.items()} == {
        name: ALL_TYPES.domains[name].size for name in found
    }


def test_parents_are_of_the_best_fronts() -> None:
    front = [[float(i), 5.0 - i] for i in range(6)]
    seen = snapshot(PLANE, [[9.0, 9.0]] * 20 + front)
    proposer = NSGA2Proposer(PLANE, NSGA2Settings(population_size=6))
    parents = set[int]()
    for seed in range(40):
        proposal = proposer.propose(seen, np.random.default_rng(seed))
        assert proposal is not None
        parents.update(proposal.note["parents"])  # type: ignore[arg-type]
    assert parents <= set(range(20, 26))
    assert {20, 25} <= parents
    assert proposer.propose(snapshot(PLANE, []), np.random.default_rng(0)) is None


def test_without_crossover_and_with_certain_mutation_all_hyperparameters_change() -> None:
    settings = NSGA2Settings(crossover_probability=0.0, mutation_probability=1.0, mutation_index=20.0)
    seen = snapshot(PLANE, [[0.0, 0.0]])
    proposal = NSGA2Proposer(PLANE, settings).propose(seen, np.random.default_rng(0))
    assert proposal is not None
    assert (proposal.points != seen.points[0]).all()
    assert np.abs(proposal.points - seen.points[0]).max() < 0.3


def test_several_objectives_make_the_crowded_comparison_decide_tournaments() -> None:
    seen = snapshot(CONTINUOUS, [[0.0, 9.0], [5.0, 5.0], [6.0, 6.0], [9.0, 0.0]])
    proposer = EvolutionProposer(CONTINUOUS, EvolutionSettings(population_size=3, sample_size=60))
    proposal = proposer.propose(seen, np.random.default_rng(0), None)
    assert proposal is not None
    assert proposal.note == {"parent": 1}  # the oldest has left; of the front {1, 3} the first
    losers = EvolutionProposer(CONTINUOUS, EvolutionSettings(sample_size=1))
    drawn = {losers.propose(seen, np.random.default_rng(s), None).note["parent"] for s in range(40)}  # type: ignore[union-attr]
    assert drawn == {0, 1, 2, 3}


def test_a_front_that_is_kept_does_not_age() -> None:
    seen = snapshot(CONTINUOUS, [[0.0, 6.0], [6.0, 0.0], [9.0, 9.0], [7.0, 8.0], [8.0, 7.0], [9.0, 8.0]])
    settings = EvolutionSettings(population_size=4, sample_size=1)
    for keep_front, expected in ((True, {0, 1, 4, 5}), (False, {2, 3, 4, 5})):
        proposer = EvolutionProposer(CONTINUOUS, settings, keep_front=keep_front)
        proposals = [proposer.propose(seen, np.random.default_rng(s)) for s in range(60)]
        assert {proposal.note["parent"] for proposal in proposals if proposal} == expected


def test_a_front_larger_than_the_population_is_kept_whole() -> None:
    seen = snapshot(CONTINUOUS, [[float(i), 9.0 - i] for i in range(9)] + [[9.0, 9.0]])
    settings = EvolutionSettings(population_size=4, sample_size=1)
    proposer = EvolutionProposer(CONTINUOUS, settings, keep_front=True)
    proposals = [proposer.propose(seen, np.random.default_rng(s)) for s in range(90)]
    assert {proposal.note["parent"] for proposal in proposals if proposal} == set(range(9))


def volume(searcher: Searcher, n: int) -> float:
    """What n trials dominate of ZDT1 (Zitzler, Deb, Thiele 2000) in eight dimensions."""
    tuning = AskTell(FIFO(searcher), BOTH)
    found: list[list[float]] = []
    for _ in range(n):
        asked = tuning.ask()
        assert asked is not None
        x = np.array([float(asked.config[f"x{i}"]) for i in range(8)])
        rest = 1 + 9 * float(x[1:].mean())
        near, far = float(x[0]), rest * (1 - math.sqrt(float(x[0]) / rest))
        tuning.tell(asked, {"near": near, "far": -far})
        tuning.complete(asked)
        found.append([near, far])
    return dominated_volume(np.array(found), np.array([1.1, 7.0]))


def test_they_dominate_more_than_random_search() -> None:
    chance = [volume(RandomSearcher(PLANE, seed=s), 150) for s in range(3)]
    nsga2 = [
        volume(nsga2_searcher(SearcherContext(space=PLANE, seed=s), NSGA2Settings(), metrics=BOTH), 150)
        for s in range(3)
    ]
    evolved = [
        volume(
            evolution_searcher(
                SearcherContext(space=PLANE, seed=s),
                EvolutionSettings(),
                metric=BOTH[0],
                others=BOTH[1:],
                keep_front=True,
            ),
            150,
        )
        for s in range(3)
    ]
    assert min(nsga2) > max(chance)
    assert min(evolved) > max(chance)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("population_size", 1),
        ("crossover_probability", 1.5),
        ("mutation_probability", 0.0),
        ("crossover_index", -1.0),
        ("mutation_index", float("inf")),
    ],
)
def test_settings_that_cannot_work(field: str, value: float) -> None:
    with pytest.raises(SettingsError, match=field):
        NSGA2Settings(**{field: value})  # type: ignore[arg-type]
