"""RandomSearch: configurations drawn independently, every trial runs to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSearchSettings:
    """Nothing to set."""


def _build(benchmark: Benchmark, seed: int, settings: RandomSearchSettings) -> FIFO:
    del settings
    return FIFO(context_of(benchmark, seed).random_searcher())


METHOD = Method(
    name="RandomSearch",
    summary="Draws configurations at random; every trial runs to its end",
    settings=RandomSearchSettings,
    build=_build,
)
