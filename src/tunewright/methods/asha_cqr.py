"""ASHACQR: ASHA over configurations that CQR proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.cqr import CQROptions, cqr_searcher


@final
@dataclass(frozen=True, kw_only=True)
class ASHACQRSettings(RungOptions, CQROptions):
    """Rungs, and the settings of CQR.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        CQROptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: ASHACQRSettings) -> ASHA:
    metric = only_metric(benchmark, "ASHACQR")
    rungs = settings.rungs(full_resource(benchmark, "ASHACQR"))
    searcher = cqr_searcher(context_of(benchmark, seed), settings, metric=metric)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name="ASHACQR",
    summary="ASHA whose new trials are proposed by conformal quantile regression",
    settings=ASHACQRSettings,
    build=_build,
)
