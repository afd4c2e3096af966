"""SyncHyperband: Hyperband in synchronous brackets over random configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.bracket_options import BracketOptions
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.sync_hyperband import SyncHyperband


@final
@dataclass(frozen=True, kw_only=True)
class SyncHyperbandSettings(BracketOptions):
    """Brackets, and nothing else.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """


def _build(benchmark: Benchmark, seed: int, settings: SyncHyperbandSettings) -> SyncHyperband:
    metric = only_metric(benchmark, "SyncHyperband")
    plan = settings.plan(full_resource(benchmark, "SyncHyperband"))
    return SyncHyperband(context_of(benchmark, seed).random_searcher(), plan, metric=metric)


METHOD = Method(
    name="SyncHyperband",
    summary="Hyperband: successive halving in rungs of fixed sizes, bracket after bracket",
    settings=SyncHyperbandSettings,
    build=_build,
)
