"""The real benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.distilbert_imdb import distilbert_imdb_benchmark
from tunewright.benchmarks.glue import GLUE_BENCHMARKS
from tunewright.benchmarks.lstm_wikitext2 import lstm_wikitext2_benchmark
from tunewright.benchmarks.mlp_digits import mlp_digits_benchmark
from tunewright.benchmarks.mlp_fashionmnist import mlp_fashionmnist_benchmark
from tunewright.benchmarks.resnet_cifar10 import resnet_cifar10_benchmark
from tunewright.benchmarks.swag import finetune_transformer_swag_benchmark
from tunewright.benchmarks.transformer_wikitext2 import transformer_wikitext2_benchmark

REAL_BENCHMARKS: Mapping[str, Callable[..., RealBenchmarkDefinition]] = {
    "mlp_digits": mlp_digits_benchmark,
    "mlp_fashionmnist": mlp_fashionmnist_benchmark,
    "resnet_cifar10": resnet_cifar10_benchmark,
    "lstm_wikitext2": lstm_wikitext2_benchmark,
    "transformer_wikitext2": transformer_wikitext2_benchmark,
    "distilbert_imdb": distilbert_imdb_benchmark,
    **GLUE_BENCHMARKS,
    "finetune_transformer_swag": finetune_transformer_swag_benchmark,
}
"""Name -> factory ``(sagemaker_backend, **overrides)``; one line per benchmark."""


def real_benchmark_definitions(
    sagemaker_backend: bool = False, **overrides: Any
) -> dict[str, RealBenchmarkDefinition]:
    """All real benchmarks by name.

    Parameters
    ----------
    sagemaker_backend
        Whether each trial has an instance of its own (SageMaker), or all of them share this machine.
    **overrides
        Fields of `RealBenchmarkDefinition` that replace those of every benchmark; None changes nothing.

    Raises
    ------
    SettingsError
        An override names no field, or its value cannot work.
    """
    return {name: factory(sagemaker_backend, **overrides) for name, factory in REAL_BENCHMARKS.items()}
