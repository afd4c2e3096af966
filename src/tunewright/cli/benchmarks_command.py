"""``tunewright benchmarks``: what there is to tune."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunewright.benchmarks import REAL_BENCHMARKS, RealBenchmarkDefinition
from tunewright.callbacks.wording import duration
from tunewright.exceptions import UnknownNameError
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """List all benchmarks, or show one."""
    parser = Parser("tunewright benchmarks", "List the benchmarks, or show the definition of one.")
    parser.optional("benchmark", "its name")
    given = parser.read(arguments)
    if given.benchmark is None:
        headings = ("benchmark", "metric", "workers", "time", "full run", "instance on SageMaker")
        print_table(headings, [_row(factory(True)) for factory in REAL_BENCHMARKS.values()])
        return 0
    if given.benchmark not in REAL_BENCHMARKS:
        raise UnknownNameError("benchmark", given.benchmark, REAL_BENCHMARKS)
    say(json.dumps(REAL_BENCHMARKS[given.benchmark](True).to_json(), indent=2))
    return 0


def _row(benchmark: RealBenchmarkDefinition) -> Sequence[object]:
    metric = benchmark.metrics[0]
    limit = benchmark.max_wallclock_time
    return (
        benchmark.name,
        f"{metric.name} ({metric.goal})",
        benchmark.n_workers,
        "-" if limit is None else duration(limit),
        f"{benchmark.max_resource or 1} {benchmark.resource_attr or 'report'}s",
        benchmark.instance_type or "-",
    )
