"""ASHABORE: ASHA over configurations that BORE proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.bore import BOREOptions, bore_searcher


@final
@dataclass(frozen=True, kw_only=True)
class ASHABORESettings(RungOptions, BOREOptions):
    """Rungs, and the settings of BORE.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        BOREOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: ASHABORESettings) -> ASHA:
    metric = only_metric(benchmark, "ASHABORE")
    rungs = settings.rungs(full_resource(benchmark, "ASHABORE"))
    levels = (*rungs.levels, rungs.max_resource)
    searcher = bore_searcher(context_of(benchmark, seed), settings, metric=metric, levels=levels)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name="ASHABORE",
    summary="ASHA whose new trials are proposed by a classifier of good and bad results",
    settings=ASHABORESettings,
    build=_build,
)
