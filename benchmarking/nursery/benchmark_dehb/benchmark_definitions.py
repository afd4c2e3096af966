"""Architectures, fully connected networks, and networks on tabular data: recorded and predicted."""

from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names

FAMILIES = ("nas201-cifar", "nas201-ImageNet", "fcnet-", "lcbench-", "yahpo-lcbench-")

benchmark_definitions = {
    name: simulated_benchmark(name) for name in simulated_benchmark_names() if name.startswith(FAMILIES)
}
