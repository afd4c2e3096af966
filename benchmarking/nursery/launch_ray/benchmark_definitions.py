"""The benchmarks that --benchmark takes."""

from tunewright.benchmarks import real_benchmark_definitions

benchmark_definitions = real_benchmark_definitions()
