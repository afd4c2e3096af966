"""finetune_transformer_swag: a transformer fine-tuned to choose how a sentence ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "finetune_transformer_swag" / "finetune_transformer_swag.py"

DEFAULT_CONFIG = {
    "learning_rate": 5e-5,
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
}
"""What one would use without tuning; the first configuration."""


def finetune_transformer_swag_benchmark(
    sagemaker_backend: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "warmup_ratio": Float(0.0, 0.5),
            "weight_decay": Float(0.0, 0.1),
            "adam_beta1": Float(0.0, 0.9999),
            "adam_beta2": Float(0.0, 0.9999),
            "adam_epsilon": Float(1e-10, 1e-6, log=True),
            "max_grad_norm": Float(0.0, 2.0),
            "per_device_train_batch_size": 8,
            "epochs": 3,
            "dataset_path": "./",
        }
    )
    return RealBenchmarkDefinition(
        name="finetune_transformer_swag",
        script=str(SCRIPT),
        dependencies=shared_modules("training", "finetuning"),
        space=space,
        metrics=(Metric("eval_accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=5 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
        points_to_evaluate=(DEFAULT_CONFIG,),
    ).replace(**overrides)
