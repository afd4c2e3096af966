"""Benchmarks: training scripts with their spaces, limits and machines, by name."""

from __future__ import annotations

from tunewright.benchmarks.definition import Benchmark, RealBenchmarkDefinition
from tunewright.benchmarks.mlp_digits import mlp_digits_benchmark
from tunewright.benchmarks.mlp_fashionmnist import mlp_fashionmnist_benchmark
from tunewright.benchmarks.real import REAL_BENCHMARKS, real_benchmark_definitions
from tunewright.benchmarks.resnet_cifar10 import resnet_cifar10_benchmark

__all__ = [
    "REAL_BENCHMARKS",
    "Benchmark",
    "RealBenchmarkDefinition",
    "mlp_digits_benchmark",
    "mlp_fashionmnist_benchmark",
    "real_benchmark_definitions",
    "resnet_cifar10_benchmark",
]
