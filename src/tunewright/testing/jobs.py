"""Benchmarks of the suites' training script, and settings of SageMaker jobs, for tests of backends."""

from __future__ import annotations

import dataclasses
from typing import Any

from tunewright.backends.sagemaker import JobSettings, SageMakerConfig
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script


def training_benchmark(**fields: Any) -> RealBenchmarkDefinition:
    """The benchmark of :mod:`tunewright.testing.training_script` with other values for some of its fields."""
    defaults: dict[str, Any] = {
        "name": "training",
        "script": str(training_script.PATH),
        "resource_attr": training_script.RESOURCE_ATTR,
        "space": SearchSpace({"x": Float(0.0, 1.0)}),
        "metrics": (Metric("loss"),),
    }
    return RealBenchmarkDefinition(**defaults | fields)


def job_settings(**given: Any) -> JobSettings:
    """Settings of the training script's jobs; each is a field of SageMakerConfig or else of the benchmark.

    Four trials run at the same time by default.
    """
    names = {field.name for field in dataclasses.fields(SageMakerConfig)}
    config = {name: value for name, value in given.items() if name in names}
    fields = {name: value for name, value in given.items() if name not in names}
    benchmark = training_benchmark(**{"n_workers": 4} | fields)
    return JobSettings(benchmark=benchmark, config=SageMakerConfig(**config))
