"""TransferGP: Bayesian optimisation with an ensemble of earlier tasks' models and the present one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.methods.warm_benchmark import known_from_before, with_first_points
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp import GPOptions
from tunewright.transfer.ensemble import transfer_gp_searcher

NAME: Final = "TransferGP"


@final
@dataclass(frozen=True, kw_only=True)
class TransferGPSettings(GPOptions):
    """The first configurations, and the present process.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_initial: int = 1
    """Trials before the ensemble is asked, given points included, >= 1."""
    n_first: int = 3
    """Configurations that jointly did best before and come first, >= 1."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        check_at_least(self, 1, "n_first")


def _build(benchmark: Benchmark, seed: int, settings: TransferGPSettings) -> FIFO:
    known = known_from_before(benchmark, NAME)
    warm = with_first_points(known.benchmark, known.evaluations, settings.n_first)
    metric = only_metric(benchmark, NAME)
    return FIFO(transfer_gp_searcher(context_of(warm, seed), warm.evaluations, settings, metric=metric))


METHOD = Method(
    name=NAME,
    summary="Bayesian optimisation by an ensemble of earlier experiments' models, weighted by how they rank the results",
    settings=TransferGPSettings,
    build=_build,
    needs_evaluations=True,
)
