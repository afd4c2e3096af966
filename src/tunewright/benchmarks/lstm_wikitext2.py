"""lstm_wikitext2: a recurrent language model on WikiText-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.shared import shared_modules
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

SCRIPT = Path(__file__).parent / "scripts" / "lstm_wikitext2" / "lstm_wikitext2.py"


def lstm_wikitext2_benchmark(sagemaker_backend: bool = False, **overrides: Any) -> RealBenchmarkDefinition:
    """The definition; ``overrides`` replace its fields.

    With SageMaker eight trials have an instance with one GPU each; on one machine four trials share four GPUs.
    """
    space = SearchSpace(
        {
            "lr": Float(1.0, 50.0, log=True),
            "dropout": Float(0.0, 0.99),
            "batch_size": Integer(8, 256),
            "clip": Float(0.1, 2.0),
            "lr_factor": Float(1.0, 100.0, log=True),
            "epochs": 81,
            "dataset_path": "./",
            "report_current_best": "False",
        }
    )
    return RealBenchmarkDefinition(
        name="lstm_wikitext2",
        script=str(SCRIPT),
        dependencies=shared_modules("training", "wikitext"),
        space=space,
        metrics=(Metric("objective", Goal.MAXIMIZE),),
        max_wallclock_time=7 * 3600.0,
        n_workers=8 if sagemaker_backend else 4,
        resource_attr="epoch",
        max_resource_attr="epochs",
        instance_type="ml.g4dn.xlarge" if sagemaker_backend else "ml.g4dn.12xlarge",
    ).replace(**overrides)
