"""What methods need of a benchmark, checked before they are built."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.metric import Metric


def only_metric(benchmark: Benchmark, method: str) -> Metric:
    """The benchmark's metric.

    Raises
    ------
    SettingsError
        It has several.
    """
    if len(benchmark.metrics) != 1:
        names = ", ".join(metric.name for metric in benchmark.metrics)
        raise SettingsError(f"{method} tunes one metric, not {len(benchmark.metrics)} ({names})")
    return benchmark.metrics[0]


def full_resource(benchmark: Benchmark, method: str) -> int:
    """The resource of a full run.

    Raises
    ------
    SettingsError
        The benchmark does not say.
    """
    if benchmark.max_resource is None:
        raise SettingsError(
            f"{method} compares trials at rungs, so it needs to know how far a full run goes: give max_resource"
        )
    return benchmark.max_resource
