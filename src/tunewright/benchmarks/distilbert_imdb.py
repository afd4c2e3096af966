"""distilbert_imdb: DistilBERT fine-tuned on reviews of films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "distilbert_imdb" / "distilbert_imdb.py"


def distilbert_imdb_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker each trial has an instance with one GPU; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "learning_rate": Float(1e-6, 1e-4, log=True),
            "weight_decay": Float(1e-6, 1e-4, log=True),
            "epochs": 15,
            "dataset_path": "./",
        }
    )
    return RealBenchmarkDefinition(
        name="distilbert_imdb",
        script=str(SCRIPT),
        dependencies=shared_modules("training", "finetuning"),
        space=space,
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        max_wallclock_time=3 * 3600.0,
        n_workers=4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)
