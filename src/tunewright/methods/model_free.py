"""Methods without a model, whose trials all run to their end: RandomSearch and GridSearch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least
from tunewright.methods.building import context_of, whole_space
from tunewright.methods.method import Method, NoSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import GridSearcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GridSearchSettings:
    """Settings of GridSearch.

    Raises
    ------
    SettingsError
        ``n_per_domain`` is below 1.
    """

    n_per_domain: int = 5
    """Values per numeric hyperparameter, >= 1; categorical ones take all."""
    shuffle: bool = True
    """Whether the combinations come in random order."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_per_domain")


def _random_search(benchmark: Benchmark, seed: int, _: NoSettings) -> FIFO:
    return FIFO(context_of(benchmark, seed).random_searcher())


def _grid_search(benchmark: Benchmark, seed: int, settings: GridSearchSettings) -> FIFO:
    searcher = GridSearcher(
        whole_space(benchmark, "GridSearch", "lays a grid of its own"),
        seed=seed,
        shuffle=settings.shuffle,
        points_to_evaluate=benchmark.points_to_evaluate,
        n_per_domain=settings.n_per_domain,
    )
    return FIFO(searcher)


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="RandomSearch",
        summary="Draws configurations at random; every trial runs to its end",
        settings=NoSettings,
        build=_random_search,
        several_metrics=True,
    ),
    Method(
        name="GridSearch",
        summary="Goes through all combinations of evenly spread values",
        settings=GridSearchSettings,
        build=_grid_search,
        several_metrics=True,
        ends_by_itself=True,
    ),
)
