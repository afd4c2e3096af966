"""The benchmarks that --benchmark takes: every recorded table that is known."""

from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names

benchmark_definitions = {name: simulated_benchmark(name) for name in simulated_benchmark_names()}
