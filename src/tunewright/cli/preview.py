"""``tunewright preview``: simulate a method before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from cyclopts.types import PositiveFloat, PositiveInt

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import REAL_BENCHMARKS, Benchmark, RealBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names
from tunewright.cli.exits import say
from tunewright.cli.flags import FileFlags, WorkerFlags
from tunewright.cli.output import print_table
from tunewright.cli.parsing import record_app
from tunewright.cli.records import Given, RecordCommand
from tunewright.cli.tune import MethodFlags
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments import Limits
from tunewright.experiments.preview import MOST_REPORTS, Preview, preview
from tunewright.formatting import duration, plural
from tunewright.metric import Metric
from tunewright.space import load_space

_WORKERS: Final = 4
_METHOD: Final = "ASHA"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFlags:
    """The simulated experiment."""

    benchmark: str | None = None
    """Take space, workers and resource from this one: see tunewright benchmarks."""
    space: str | None = None
    """Take the space from this TOML file."""
    max_resource: PositiveInt | None = None
    """Resource of a full run (default: the benchmark's)."""
    seconds_per_unit: PositiveFloat = 60.0
    """Seconds of one unit of resource."""


def show_preview(given: Given) -> int:
    """Print how many trials would get how far, the time, the worker hours and the price.

    Raises
    ------
    SettingsError
        A flag or setting is not valid, or nothing would end the experiment.
    """
    flags, limits = given.record(PreviewFlags), given.over(Limits())
    chosen = given.over(MethodFlags(method=_METHOD))
    spec = chosen.spec()
    benchmark = _benchmark(flags, given.record(WorkerFlags).n_workers)
    if limits.is_endless and benchmark.space.size is None:
        raise SettingsError("Nothing would end it: give max_num_trials, max_wallclock_time or another limit")
    found = preview(
        spec,
        benchmark,
        limits=limits,
        seconds_per_unit=flags.seconds_per_unit,
        config=given.record(SimulatedConfig),
        seed=chosen.seed,
    )
    say(
        f"{spec.name} with {plural(benchmark.n_workers, 'worker')}, {flags.seconds_per_unit:g} s for each unit of resource"
    )
    _show(found, benchmark.max_resource or 1)
    return 0


app = record_app(
    RecordCommand(
        show_preview,
        {
            "Experiment": [PreviewFlags, FileFlags],
            "Method": [MethodFlags],
            "Limits": [WorkerFlags, Limits],
            "Simulation": [SimulatedConfig],
        },
        docs={"method": f"Name of a method: see tunewright methods (default: {_METHOD})"},
    ),
    "preview",
    "Simulate a method before anything runs, with random results: which trials it runs, and for how long.",
)


def _benchmark(flags: PreviewFlags, n_workers: int | None) -> Benchmark:
    if (flags.benchmark is None) == (flags.space is None):
        raise SettingsError("Give either --benchmark or --space")
    if flags.space is not None:
        return RealBenchmarkDefinition(
            name="preview",
            script="preview",
            space=load_space(flags.space),
            metrics=(Metric("loss"),),
            n_workers=n_workers or _WORKERS,
            max_resource=flags.max_resource,
        )
    name = str(flags.benchmark)
    if name in REAL_BENCHMARKS:
        return REAL_BENCHMARKS[name](False).replace(n_workers=n_workers, max_resource=flags.max_resource)
    names = simulated_benchmark_names()
    if name not in names:
        raise UnknownNameError("benchmark", name, [*REAL_BENCHMARKS, *names])
    return simulated_benchmark(name, n_workers=n_workers, resource_limit=flags.max_resource)


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
