"""Twelve benchmarks: architectures, fully connected networks on regression tasks, networks on tabular data."""

from tunewright.benchmarks.tables import simulated_benchmark

NAMES = (
    "nas201-cifar10",
    "nas201-cifar100",
    "nas201-ImageNet16-120",
    "fcnet-protein",
    "fcnet-naval",
    "fcnet-parkinsons",
    "fcnet-slice",
    "lcbench-Fashion-MNIST",
    "lcbench-airlines",
    "lcbench-albert",
    "lcbench-covertype",
    "lcbench-christine",
)

benchmark_definitions = {name: simulated_benchmark(name) for name in NAMES}
