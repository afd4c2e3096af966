"""What is tuned: the script, its search space, and what it reports."""

from pathlib import Path

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Integer, SearchSpace

benchmark = RealBenchmarkDefinition(
    name="train",
    script=str(Path(__file__).parent / "train.py"),
    space=SearchSpace(
        {
            "lr": Float(0.001, 10, log=True),
            "width": Integer(2, 512, log=True),
            "epochs": 9,
        }
    ),
    metrics=(Metric("loss", Goal.MINIMIZE),),
    resource_attr="epoch",
    max_resource_attr="epochs",
    n_workers=4,
    max_wallclock_time=600.0,
    instance_type="ml.c5.xlarge",
)
benchmark_definitions = {"train": benchmark}
