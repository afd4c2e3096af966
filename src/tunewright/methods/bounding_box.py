"""BoundingBox: another method, in the box where earlier experiments did best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.methods.method import Method, MethodSpec
from tunewright.methods.registry import build_scheduler
from tunewright.methods.warm_benchmark import WarmBenchmark, known_from_before
from tunewright.transfer.box import bounding_box

NAME: Final = "BoundingBox"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BoundingBoxSettings:
    """What spans the box, and the method within.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    within: str = "BayesianOptimization"
    """The method that searches the box, with its defaults."""
    n_per_task: int | None = None
    """Best configurations of each earlier benchmark that span the box, >= 1; None: so many that there are eight."""

    def __post_init__(self) -> None:
        if self.n_per_task is not None and self.n_per_task < 1:
            raise SettingsError(f"n_per_task={self.n_per_task} must be >= 1")
        if self.within.lower() == NAME.lower():
            raise SettingsError(f"within={self.within!r} is this method itself: name another one")


def _build(benchmark: Benchmark, seed: int, settings: BoundingBoxSettings) -> Scheduler:
    known = known_from_before(benchmark, NAME)
    space, points = known.space, known.benchmark.points_to_evaluate
    given = [space.complete(point) for point in points or ()]
    box = bounding_box(known.evaluations, space, n_per_task=settings.n_per_task, include=given)
    warm = WarmBenchmark(
        benchmark=known.benchmark,
        evaluations=known.evaluations,
        part=box,
        points=None if points is None else tuple(given),
    )
    return build_scheduler(MethodSpec(name=settings.within), warm, seed, {})


METHOD = Method(
    name=NAME,
    summary="Another method (Bayesian optimisation by default) in the box of the best earlier configurations",
    settings=BoundingBoxSettings,
    build=_build,
    needs_evaluations=True,
)
