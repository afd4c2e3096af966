"""``--dataset_path`` and ``--config``: what a command line changes in a benchmark's space."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.launchers.parser import Parser
from tunewright.space import SearchSpace
from tunewright.types import ConfigValue


def add_fixed_flags(parser: Parser) -> None:
    """Flags for arguments that a script gets in every trial."""
    parser.flag("dataset_path", "where the script finds its data (default: the benchmark's)")
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the script in all trials, which fixes it where it is tuned; may be repeated",
    )


def with_fixed_values(benchmark: RealBenchmarkDefinition, arguments: Namespace) -> RealBenchmarkDefinition:
    """The benchmark in whose space the given values are constants: changed, added, or no longer tuned.

    A path of data that exists here is made absolute.

    Raises
    ------
    SettingsError
        What was given is not of the form ``NAME=VALUE``, or the resource of a full run is no whole number >= 1.
    SpaceError
        A value is illegal for the hyperparameter that it fixes, or nothing is left to tune.
    """
    values = _read(arguments.config, benchmark.space)
    if arguments.dataset_path is not None:
        path = Path(arguments.dataset_path).expanduser()
        is_here = arguments.dataset_path != "./" and path.exists()
        values["dataset_path"] = str(path.resolve()) if is_here else arguments.dataset_path
    if not values:
        return benchmark
    points = benchmark.points_to_evaluate
    if points is not None:
        points = tuple({n: v for n, v in point.items() if n not in values} for point in points)
    return dataclasses.replace(
        benchmark,
        space=benchmark.space.with_values(values),
        max_resource=None if benchmark.max_resource_attr else benchmark.max_resource,  # the space says it
        points_to_evaluate=points,
    )


def _read(given: Sequence[str], space: SearchSpace) -> dict[str, ConfigValue]:
    values: dict[str, ConfigValue] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise SettingsError(f"--config takes NAME=VALUE, as in --config width=16, not {item!r}")
        is_text = isinstance(space.constants.get(name), str)
        values[name] = text if is_text else _value(text)
    return values


def _value(text: str) -> ConfigValue:
    """A number or a truth value where JSON reads one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | str) else text
