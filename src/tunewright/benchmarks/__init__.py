"""Benchmarks: training scripts with their spaces, limits and machines, by name."""

from __future__ import annotations

from tunewright.benchmarks.definition import ArgumentStyle, Benchmark, RealBenchmarkDefinition
from tunewright.benchmarks.real import REAL_BENCHMARKS, real_benchmark_definitions

__all__ = [
    "REAL_BENCHMARKS",
    "ArgumentStyle",
    "Benchmark",
    "RealBenchmarkDefinition",
    "real_benchmark_definitions",
]
