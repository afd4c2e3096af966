"""OneEpochTopK: all configurations for one unit, the best of them to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.top_k import TopK, TopKSettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OneEpochTopKSettings:
    """`TopKSettings` without the resource of a full run, which the benchmark knows.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    n_configs: int = 100
    """Trials of a round."""
    k: int = 3
    """How many of a round are trained to the end."""
    resource: int = 1
    """How far all trials of a round are trained."""
    n_rounds: int | None = None
    """Rounds; None: one after the other until the experiment ends."""

    def __post_init__(self) -> None:
        self.complete(self.resource + 1)

    def complete(self, max_resource: int) -> TopKSettings:
        """The scheduler's settings for a benchmark whose full run is ``max_resource`` long."""
        return TopKSettings(
            max_resource=max_resource,
            n_configs=self.n_configs,
            k=self.k,
            resource=self.resource,
            n_rounds=self.n_rounds,
        )


def _build(benchmark: Benchmark, seed: int, settings: OneEpochTopKSettings) -> TopK:
    metric = only_metric(benchmark, "OneEpochTopK")
    complete = settings.complete(full_resource(benchmark, "OneEpochTopK"))
    return TopK(context_of(benchmark, seed).random_searcher(), complete, metric=metric)


METHOD = Method(
    name="OneEpochTopK",
    summary="Trains all configurations for one unit and the best three of each hundred to the end",
    settings=OneEpochTopKSettings,
    build=_build,
)
