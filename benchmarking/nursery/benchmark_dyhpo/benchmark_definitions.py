"""Networks on tabular data and architectures: what DyHPO was proposed on."""

from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names

FAMILIES = ("lcbench-", "nas201-cifar", "nas201-ImageNet")

benchmark_definitions = {
    name: simulated_benchmark(name) for name in simulated_benchmark_names() if name.startswith(FAMILIES)
}
