"""ASHACTS: ASHA over configurations that are sampled where earlier experiments did well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.quantile_transfer import warm_searcher
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.warm_benchmark import known_from_before
from tunewright.schedulers.asha import ASHA
from tunewright.transfer.sampling import QuantileOptions

NAME: Final = "ASHACTS"


@final
@dataclass(frozen=True, kw_only=True)
class ASHACTSSettings(RungOptions, QuantileOptions):
    """Rungs, and how configurations are drawn.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        QuantileOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: ASHACTSSettings) -> ASHA:
    metric = only_metric(benchmark, NAME)
    rungs = settings.rungs(full_resource(benchmark, NAME))
    searcher = warm_searcher(known_from_before(benchmark, NAME), settings, seed)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name=NAME,
    summary="ASHA whose new trials are sampled where earlier experiments did well",
    settings=ASHACTSSettings,
    build=_build,
    needs_evaluations=True,
)
