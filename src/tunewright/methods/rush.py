"""RUSH: ASHA that begins with the best of earlier experiments, which all others must match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.methods.warm_benchmark import WarmBenchmark, known_from_before
from tunewright.schedulers.asha import ASHA
from tunewright.schedulers.rush import CandidateLimit
from tunewright.searchers.model_free import initial_configs

NAME: Final = "RUSH"


@final
@dataclass(frozen=True, kw_only=True)
class RUSHSettings(RungOptions):
    """Rungs, and who sets the limit.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    n_per_task: int = 1
    """Best configurations of each earlier benchmark that come first, beside points of the user's, >= 1."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        check_at_least(self, 1, "n_per_task")


def _build(benchmark: Benchmark, seed: int, settings: RUSHSettings) -> ASHA:
    metric = only_metric(benchmark, NAME)
    known = known_from_before(benchmark, NAME)
    rungs = settings.rungs(full_resource(benchmark, NAME))
    best = [config for task in known.evaluations.tasks for config in task.best(settings.n_per_task)]
    listed = known.benchmark.candidates()
    if listed is not None:
        keys = {known.space.key(config) for config in listed}
        best = [config for config in best if known.space.key(config) in keys]
    points = initial_configs(known.space, (*(known.benchmark.points_to_evaluate or ()), *best))
    warm = WarmBenchmark(benchmark=known.benchmark, evaluations=known.evaluations, points=points)
    limit = CandidateLimit(len(points), rungs.max_resource)
    return ASHA(context_of(warm, seed).random_searcher(), rungs, metric=metric, seed=seed, limit=limit)


METHOD = Method(
    name=NAME,
    summary="ASHA that begins with the best of earlier experiments; all others must match them at every rung",
    settings=RUSHSettings,
    build=_build,
    needs_evaluations=True,
)
