"""mlp_fashionmnist: a network with two hidden layers on Fashion-MNIST; no GPU needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "mlp_fashionmnist" / "mlp_fashionmnist.py"


def mlp_fashionmnist_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    The same instance for both backends; where a trial has it for itself, it computes with eight cores.
    """
    space = SearchSpace(
        {
            "n_units_1": Integer(4, 1024),
            "n_units_2": Integer(4, 1024),
            "batch_size": Integer(8, 128),
            "dropout_1": Float(0.0, 0.99),
            "dropout_2": Float(0.0, 0.99),
            "learning_rate": Float(1e-6, 1.0, log=True),
            "weight_decay": Float(1e-8, 1.0, log=True),
            "epochs": 81,
            "dataset_path": "./",
            "report_current_best": "False",
        }
    )
    return RealBenchmarkDefinition(
        name="mlp_fashionmnist",
        script=str(SCRIPT),
        dependencies=shared_modules("training"),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.c5.4xlarge",
        environment={"OMP_NUM_THREADS": "8"} if sagemaker_backend else {},
    ).replace(**overrides)
