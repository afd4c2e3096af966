"""transformer_wikitext2: a small transformer as language model on WikiText-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "transformer_wikitext2" / "transformer_wikitext2.py"


def transformer_wikitext2_benchmark(
    sagemaker_backend: bool = False, **overrides: Any
) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "lr": Float(1e-6, 1e-3, log=True),
            "dropout": Float(0.0, 0.99),
            "batch_size": Integer(16, 48),
            "momentum": Float(0.0, 0.99),
            "clip": Float(0.0, 1.0),
            "epochs": 40,
            "d_model": 256,
            "ffn_ratio": 1,
            "nlayers": 2,
            "nhead": 2,
            "bptt": 35,
            "optimizer": "sgd",
            "dataset_path": "./",
            "seed": 1111,
            "precision": "float",
            "log_interval": 200,
            "use_cuda": 1,
        }
    )
    return RealBenchmarkDefinition(
        name="transformer_wikitext2",
        script=str(SCRIPT),
        dependencies=shared_modules("training", "wikitext"),
        space=space,
        metrics=(Metric("val_loss", Goal.MINIMIZE),),
        max_wallclock_time=5 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)
