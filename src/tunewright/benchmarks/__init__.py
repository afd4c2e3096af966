"""Benchmarks: training scripts with their spaces, limits and machines, by name."""

from __future__ import annotations

from tunewright.benchmarks.definition import Benchmark, RealBenchmarkDefinition
from tunewright.benchmarks.distilbert_imdb import distilbert_imdb_benchmark
from tunewright.benchmarks.glue import finetune_transformer_glue_benchmark
from tunewright.benchmarks.lstm_wikitext2 import lstm_wikitext2_benchmark
from tunewright.benchmarks.mlp_digits import mlp_digits_benchmark
from tunewright.benchmarks.mlp_fashionmnist import mlp_fashionmnist_benchmark
from tunewright.benchmarks.real import REAL_BENCHMARKS, real_benchmark_definitions
from tunewright.benchmarks.resnet_cifar10 import resnet_cifar10_benchmark
from tunewright.benchmarks.swag import finetune_transformer_swag_benchmark
from tunewright.benchmarks.transformer_wikitext2 import transformer_wikitext2_benchmark

__all__ = [
    "REAL_BENCHMARKS",
    "Benchmark",
    "RealBenchmarkDefinition",
    "distilbert_imdb_benchmark",
    "finetune_transformer_glue_benchmark",
    "finetune_transformer_swag_benchmark",
    "lstm_wikitext2_benchmark",
    "mlp_digits_benchmark",
    "mlp_fashionmnist_benchmark",
    "real_benchmark_definitions",
    "resnet_cifar10_benchmark",
    "transformer_wikitext2_benchmark",
]
