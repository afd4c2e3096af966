"""mlp_digits: a small network on scikit-learn's digits; minutes on any machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "mlp_digits" / "mlp_digits.py"


def mlp_digits_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    A CPU instance serves both backends: with SageMaker each trial has one of its own.
    """
    space = SearchSpace(
        {
            "n_units": Integer(16, 256, log=True),
            "batch_size": Integer(8, 128, log=True),
            "learning_rate": Float(1e-4, 1e-1, log=True),
            "weight_decay": Float(1e-5, 1.0, log=True),
            "dropout": Float(0.0, 0.7),
            "epochs": 27,
        }
    )
    return RealBenchmarkDefinition(
        name="mlp_digits",
        script=str(SCRIPT),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=120.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.c5.xlarge" if sagemaker_backend else "ml.c5.4xlarge",
        framework="pytorch",  # its image has NumPy; requirements.txt brings scikit-learn
    ).replace(**overrides)
