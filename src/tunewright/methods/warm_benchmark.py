"""A benchmark of which something is known from earlier experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.zero_shot import zero_shot_configs
from tunewright.types import Config


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WarmBenchmark:
    """What methods read of a benchmark, with what is known from before."""

    benchmark: Benchmark
    evaluations: TransferEvaluations
    """Mapped to the benchmark's space."""
    points: tuple[Config, ...] | None = None
    """Configurations to begin with, instead of the benchmark's own."""
    part: SearchSpace | None = None
    """The part of the space that is searched; None: all of it."""

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self.part or self.benchmark.space

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """As the benchmark."""
        return self.benchmark.metrics

    @property
    def max_resource(self) -> int | None:
        """As the benchmark."""
        return self.benchmark.max_resource

    @property
    def n_workers(self) -> int:
        """As the benchmark."""
        return self.benchmark.n_workers

    @property
    def points_to_evaluate(self) -> tuple[Config, ...] | None:
        """The given points, else the benchmark's."""
        return self.benchmark.points_to_evaluate if self.points is None else self.points

    @property
    def time_attr(self) -> str:
        """As the benchmark."""
        return self.benchmark.time_attr

    def candidates(self) -> Sequence[Config] | None:
        """The benchmark's candidates in the part that is searched.

        Raises
        ------
        SettingsError
            There is none.
        """
        listed = self.benchmark.candidates()
        if listed is None or self.part is None:
            return listed
        part = self.part
        inside = [config for config in listed if part.contains(config)]
        if not inside:
            raise SettingsError(
                "None of the recorded configurations lies where the earlier experiments did best"
            )
        return inside


def with_first_points(benchmark: Benchmark, evaluations: TransferEvaluations, n: int) -> WarmBenchmark:
    """The benchmark that begins with its own points and the ``n`` that jointly did best before; 0: with its own."""
    if n == 0:
        return WarmBenchmark(benchmark=benchmark, evaluations=evaluations)
    chosen = zero_shot_configs(evaluations, benchmark.space, n, benchmark.candidates())
    points = (*(benchmark.points_to_evaluate or ()), *chosen)
    return WarmBenchmark(benchmark=benchmark, evaluations=evaluations, points=points)


def known_from_before(benchmark: Benchmark, method: str) -> WarmBenchmark:
    """The benchmark as a method of transfer needs it.

    Raises
    ------
    SettingsError
        Nothing is known.
    """
    if isinstance(benchmark, WarmBenchmark):
        return benchmark
    raise SettingsError(
        f"{method} learns from earlier experiments: give --warm_start with a tag or an experiment (in Python, warm_start=)"
    )
