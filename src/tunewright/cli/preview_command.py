"""``tunewright preview``: what a method would run, before anything runs."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence

from tunewright.backends.simulated.settings import profile
from tunewright.benchmarks import REAL_BENCHMARKS, Benchmark, RealBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments import Limits, MethodSpec
from tunewright.experiments import method as named_method
from tunewright.experiments.preview import MOST_REPORTS, Preview, preview
from tunewright.formatting import duration
from tunewright.launchers.console import print_table, say
from tunewright.launchers.flags import add_limit_flags, limits_from
from tunewright.launchers.parser import Parser, natural, positive, positive_int
from tunewright.metric import Metric
from tunewright.space import load_space

_WORKERS = 4


def run(arguments: Sequence[str]) -> int:
    """Print how many trials would get how far, the time, the worker hours and the price."""
    given = _parser().read(arguments)
    benchmark = _benchmark(given)
    chosen = _method(given)
    limits = limits_from(given, Limits())
    if limits.is_endless and benchmark.space.size is None:
        raise SettingsError("Nothing would end it: give max_num_trials, max_wallclock_time or another limit")
    settings = dataclasses.replace(
        profile(given.profile), keep_alive=given.keep_alive, dollars_per_hour=given.dollars_per_hour
    )
    found = preview(
        chosen,
        benchmark,
        limits=limits,
        seconds_per_unit=given.seconds_per_unit,
        settings=settings,
        seed=given.seed,
    )
    say(
        f"{chosen.name} with {benchmark.n_workers} workers, {given.seconds_per_unit:g} s for each unit of resource"
    )
    _show(found, benchmark.max_resource or 1)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "tunewright preview",
        "Tell what a method would run, and for how long, before anything runs: in simulated time, with random results.",
    )
    parser.flag("method", "see tunewright methods (default: ASHA)", default="ASHA")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method; may be repeated",
    )
    parser.flag("benchmark", "take space, workers and resource from this one (see tunewright benchmarks)")
    parser.flag("space", "or take the space from this TOML file")
    parser.flag("max_resource", "resource of a full run (default: the benchmark's)", type=positive_int)
    parser.flag(
        "seconds_per_unit", "seconds of one unit of resource (default: 60)", type=positive, default=60.0
    )
    parser.flag("dollars_per_hour", "price of a worker", type=positive, default=0.0)
    parser.flag(
        "profile",
        "delays: default, ideal, or sagemaker (training jobs that start in minutes)",
        choices=("default", "ideal", "sagemaker"),
        default="default",
    )
    parser.flag("keep_alive", "seconds that an instance waits for the next trial", type=positive, default=0.0)
    parser.flag("seed", "of the random results (default: 0)", type=natural, default=0)
    add_limit_flags(parser)
    return parser


def _benchmark(given: Namespace) -> Benchmark:
    if (given.benchmark is None) == (given.space is None):
        raise SettingsError("Give either --benchmark or --space")
    if given.benchmark in REAL_BENCHMARKS:
        known = REAL_BENCHMARKS[given.benchmark](False)
        return known.replace(n_workers=given.n_workers, max_resource=given.max_resource)
    if given.benchmark is not None:
        names = simulated_benchmark_names()
        if given.benchmark not in names:
            raise UnknownNameError("benchmark", given.benchmark, [*REAL_BENCHMARKS, *names])
        return simulated_benchmark(
            given.benchmark, n_workers=given.n_workers, resource_limit=given.max_resource
        )
    return RealBenchmarkDefinition(
        name="preview",
        script="preview",
        space=load_space(given.space),
        metrics=(Metric("loss"),),
        n_workers=given.n_workers or _WORKERS,
        max_resource=given.max_resource,
    )


def _method(given: Namespace) -> MethodSpec:
    pairs = [pair.partition("=") for pair in given.set]
    for name, equals, value in pairs:
        if not equals:
            raise SettingsError(f"--set takes NAME=VALUE, not {name + value!r}")
    return named_method(given.method, **{name: value for name, _, value in pairs})


def _show(found: Preview, max_resource: int) -> None:
    rows = [
        (
            level or "0 (no report)",
            n,
            found.at_least(level),
            f"{100 * found.at_least(level) / max(1, found.n_trials):.1f} %",
        )
        for level, n in found.reached.items()
    ]
    print_table(("resource", "ends there", "reached by", "share"), rows)
    statuses = ", ".join(f"{n} {status}" for status, n in found.statuses.items())
    say(f"trials         {found.n_trials} ({statuses}), {found.n_runs} runs, {found.n_reports} reports")
    full = found.n_trials * max_resource
    say(f"resource       {found.resource} units; all trials to the end would be {full}")
    say(f"time           {duration(found.time)}")
    say(f"worker hours   {found.worker_seconds / 3600:.2f}")
    if found.cost:
        say(f"cost           ${found.cost:.2f}")
    if found.is_cut:
        say(f"It ends after {MOST_REPORTS:,} reports here; the real experiment goes on until its limits")
