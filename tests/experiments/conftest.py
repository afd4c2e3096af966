"""Experiments with a script that trains in no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import Experiment, Limits, method


@pytest.fixture
def experiment(toy: RealBenchmarkDefinition) -> Callable[..., Experiment]:
    """Makes experiments that differ in what is given."""

    def make(**changes: Any) -> Experiment:
        fields: dict[str, Any] = {
            "tag": "t",
            "benchmark": toy,
            "method": method("RandomSearch"),
            "label": "RS",
            "backend": LocalConfig(),
            "limits": Limits(max_num_trials=2),
        }
        return Experiment(**{**fields, **changes})

    return make
