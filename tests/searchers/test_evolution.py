from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Searcher
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.evolution import EvolutionProposer, EvolutionSettings, evolution_searcher
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import Float, SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.testing.spaces import ALL_TYPES, CONTINUOUS
from tunewright.types import Config

LOSS = Metric("loss")


class TestContract(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = EvolutionSettings(population_size=5, sample_size=3)
        return evolution_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=LOSS,
        )


def snapshot(space: SearchSpace, losses: list[float]) -> Snapshot:
    n = len(losses)
    rng = np.random.default_rng(3)
    points = space.encode([space.sample(rng) for _ in range(n)])
    nobody = np.empty(0, dtype=np.intp)
    rows = Rows(np.arange(n), np.zeros(n, dtype=np.intp), np.array(losses))
    return Snapshot(points, rows, nobody, nobody, {})


def test_children_differ_from_their_parent_in_one_hyperparameter() -> None:
    proposer = EvolutionProposer(ALL_TYPES, EvolutionSettings(population_size=8))
    seen = snapshot(ALL_TYPES, [float(i) for i in range(8)])
    changed = set()
    for seed in range(30):
        proposal = proposer.propose(seen, np.random.default_rng(seed), None)
        assert proposal is not None
        parent = ALL_TYPES.decode(seen.points[[proposal.note["parent"]]])[0]
        for child in ALL_TYPES.decode(proposal.points):
            ALL_TYPES.validate(child)
            names = [
                name
                for name in ALL_TYPES.names
                if child[name] != parent[name] and child[name] != pytest.approx(parent[name])
            ]
            assert len(names) == 1
            changed.update(names)
    assert changed == set(ALL_TYPES.names)


def test_the_oldest_leave_the_population_however_good_they_are() -> None:
    seen = snapshot(CONTINUOUS, [0.0, 0.1, 5.0, 4.0, 3.0])
    proposer = EvolutionProposer(CONTINUOUS, EvolutionSettings(population_size=3, sample_size=50))
    proposal = proposer.propose(seen, np.random.default_rng(0), None)
    assert proposal is not None
    assert proposal.note == {"parent": 4}


def test_the_winner_of_a_tournament_is_its_best() -> None:
    seen = snapshot(CONTINUOUS, [float(i) for i in range(20)])
    parents = {}
    for size in (1, 10):
        proposer = EvolutionProposer(CONTINUOUS, EvolutionSettings(sample_size=size))
        proposals = [proposer.propose(seen, np.random.default_rng(seed), None) for seed in range(60)]
        parents[size] = np.mean([proposal.note["parent"] for proposal in proposals if proposal])
    assert parents[1] == pytest.approx(9.5, abs=2.5)
    assert parents[10] == pytest.approx(1.3, abs=1.0)  # the least of ten of 0..19


def test_without_a_single_result_it_draws_at_random() -> None:
    proposer = EvolutionProposer(CONTINUOUS, EvolutionSettings())
    assert proposer.propose(snapshot(CONTINUOUS, []), np.random.default_rng(0), None) is None


def test_it_comes_closer_to_the_optimum_than_chance() -> None:
    settings = EvolutionSettings(population_size=10, sample_size=5)
    tuning = AskTell(
        FIFO(evolution_searcher(SearcherContext(space=CONTINUOUS, seed=0), settings, metric=LOSS)), [LOSS]
    )
    losses: list[float] = []
    for _ in range(80):
        asked = tuning.ask()
        assert asked is not None
        loss = abs(float(asked.config["x"]) - 3.0) + abs(float(asked.config["y"]) - 4.0)
        tuning.tell(asked, {"loss": loss})
        tuning.complete(asked)
        losses.append(loss)
    rng = np.random.default_rng(0)
    chance = np.abs(rng.uniform(-5, 10, 999) - 3.0) + np.abs(rng.uniform(0, 15, 999) - 4.0)
    assert np.mean(losses[-40:]) < 0.75 * np.mean(chance)


def best_of_sixty(name: str, seed: int) -> float:
    """Distance to the optimum of the best of sixty trials."""
    space = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(4)})
    benchmark = RealBenchmarkDefinition(name="bowl", script="none", space=space, metrics=(LOSS,))
    tuning = AskTell(build_scheduler(method(name), benchmark, seed, {}), [LOSS])
    for _ in range(60):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"loss": sum((float(x) - 0.3) ** 2 for x in asked.config.values())})
        tuning.complete(asked)
    best = tuning.best()
    assert best is not None
    return best.value


def test_with_its_defaults_it_is_ahead_of_random_search_after_sixty_trials() -> None:
    wins = [best_of_sixty("REA", seed) < best_of_sixty("RandomSearch", seed) for seed in range(5)]
    assert sum(wins) >= 4


@pytest.mark.parametrize("name", ["population_size", "sample_size"])
def test_settings_that_cannot_work(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        EvolutionSettings(**{name: 0})
