"""The benchmarks that --benchmark takes: tables of learning curves, with the seconds that they took as second metric."""

from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.metric import Goal, Metric

benchmark_definitions = {
    "digits": simulated_benchmark(
        "digits", metrics=(Metric("accuracy", Goal.MAXIMIZE), Metric("elapsed_time"))
    ),
    **{
        name: simulated_benchmark(name, metrics=(Metric("val_accuracy", Goal.MAXIMIZE), Metric("time")))
        for name in ("lcbench-Fashion-MNIST", "lcbench-airlines", "lcbench-albert")
    },
}
