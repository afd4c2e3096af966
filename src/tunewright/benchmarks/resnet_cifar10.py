"""resnet_cifar10: a ResNet-18 on CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "resnet_cifar10" / "resnet_cifar10.py"


def resnet_cifar10_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "batch_size": Integer(8, 256),
            "momentum": Float(0.0, 0.99),
            "weight_decay": Float(1e-5, 1e-3, log=True),
            "lr": Float(1e-3, 0.1, log=True),
            "epochs": 27,
            "dataset_path": "./",
            "num_gpus": 1,
        }
    )
    return RealBenchmarkDefinition(
        name="resnet_cifar10",
        script=str(SCRIPT),
        dependencies=shared_modules("training"),
        space=space,
        metrics=(Metric("objective", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)
