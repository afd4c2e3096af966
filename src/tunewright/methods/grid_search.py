"""GridSearch: all combinations of evenly spread values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.method import Method
from tunewright.methods.needs import whole_space
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import GridSearcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GridSearchSettings:
    """How the grid is laid.

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
        if self.n_per_domain < 1:
            raise SettingsError(f"n_per_domain must be >= 1, not {self.n_per_domain}")


def _build(benchmark: Benchmark, seed: int, settings: GridSearchSettings) -> FIFO:
    searcher = GridSearcher(
        whole_space(benchmark, "GridSearch", "lays a grid of its own"),
        seed=seed,
        shuffle=settings.shuffle,
        points_to_evaluate=benchmark.points_to_evaluate,
        n_per_domain=settings.n_per_domain,
    )
    return FIFO(searcher)


METHOD = Method(
    name="GridSearch",
    summary="Goes through all combinations of evenly spread values",
    settings=GridSearchSettings,
    build=_build,
    ends_by_itself=True,
)
