"""The benchmarks that --benchmark takes: tables with a second metric."""

from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.metric import Goal, Metric

benchmark_definitions = {
    "digits": simulated_benchmark(
        "digits", metrics=(Metric("accuracy", Goal.MAXIMIZE), Metric("elapsed_time"))
    ),
    "fcnet-protein": simulated_benchmark("fcnet-protein", metrics=(Metric("valid_loss"), Metric("n_params"))),
}
