"""``tunewright benchmarks``: what there is to tune."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tunewright.aws import has_gpu, image_uri, price_per_hour
from tunewright.aws.catalog import IMAGES_DATE, PRICES_DATE
from tunewright.benchmarks import REAL_BENCHMARKS, RealBenchmarkDefinition
from tunewright.exceptions import UnknownNameError
from tunewright.formatting import duration
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser


def run(arguments: Sequence[str]) -> int:
    """List all benchmarks, show one, or print one as data."""
    if list(arguments[:1]) == ["show"]:
        return _show(arguments[1:])
    parser = Parser(
        "tunewright benchmarks",
        "List the benchmarks, or print one as JSON; tunewright benchmarks show NAME tells what it runs on, and costs.",
    )
    parser.optional("benchmark", "its name")
    given = parser.read(arguments)
    if given.benchmark is None:
        headings = ("benchmark", "metric", "workers", "time", "full run", "instance on SageMaker")
        print_table(headings, [_row(factory(True)) for factory in REAL_BENCHMARKS.values()])
        return 0
    say(json.dumps(_find(given.benchmark, sagemaker_backend=True).to_json(), indent=2))
    return 0


def _show(arguments: Sequence[str]) -> int:
    parser = Parser("tunewright benchmarks show", "Show a benchmark: definition, machines, image and price.")
    parser.positional("benchmark", "its name")
    parser.flag("region", "of the image (default: us-east-1)", default="us-east-1")
    given = parser.read(arguments)
    for label, text in _facts(given.benchmark, given.region):
        say(f"{label + ':':<13}{text}")
    return 0


def _facts(name: str, region: str) -> Iterator[tuple[str, str]]:
    jobs, here = _find(name, sagemaker_backend=True), _find(name, sagemaker_backend=False)
    metric = jobs.metrics[0]
    yield "Benchmark", jobs.name
    yield "Script", jobs.script
    yield "Metric", f"{metric.name} ({metric.goal})"
    yield "Full run", f"{_full_run(jobs)} ({jobs.max_resource_attr})"
    if jobs.max_wallclock_time is not None:
        yield "Time", duration(jobs.max_wallclock_time)
    for hyperparameter, domain in jobs.space.domains.items():
        yield "Tuned", f"{hyperparameter} {domain!r}"
    yield "Fixed", " ".join(f"{entry}={value}" for entry, value in jobs.space.constants.items())
    for point in jobs.points_to_evaluate or ():
        yield "First", " ".join(f"{entry}={value}" for entry, value in point.items())
    yield "SageMaker", _machines(jobs, jobs.n_workers * jobs.instance_count)
    yield "One machine", _machines(here, 1)
    uses_gpu = has_gpu(str(jobs.instance_type))
    yield "Image", image_uri(region, for_gpu=uses_gpu, framework=jobs.framework)
    yield "Dates", f"prices {PRICES_DATE}; images {IMAGES_DATE}"


def _machines(benchmark: RealBenchmarkDefinition, n: int) -> str:
    """Instances that ``n_workers`` trials keep busy, with their price."""
    kind = str(benchmark.instance_type)
    price = price_per_hour(kind)
    cost = "price unknown" if price is None else f"${n * price:.2f} per hour"
    return f"{n} x {kind} for {benchmark.n_workers} workers, {cost}"


def _find(name: str, *, sagemaker_backend: bool) -> RealBenchmarkDefinition:
    if name not in REAL_BENCHMARKS:
        raise UnknownNameError("benchmark", name, REAL_BENCHMARKS)
    return REAL_BENCHMARKS[name](sagemaker_backend)


def _full_run(benchmark: RealBenchmarkDefinition) -> str:
    return f"{benchmark.max_resource or 1} {benchmark.resource_attr or 'report'}s"


def _row(benchmark: RealBenchmarkDefinition) -> Sequence[object]:
    metric = benchmark.metrics[0]
    limit = benchmark.max_wallclock_time
    return (
        benchmark.name,
        f"{metric.name} ({metric.goal})",
        benchmark.n_workers,
        "-" if limit is None else duration(limit),
        _full_run(benchmark),
        benchmark.instance_type or "-",
    )
