"""What is tuned: every recorded table that is known; see: tunewright tables list."""

from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names

benchmark_definitions = {name: simulated_benchmark(name) for name in simulated_benchmark_names()}
