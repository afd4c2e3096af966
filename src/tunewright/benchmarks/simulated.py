"""SurrogateBenchmarkDefinition: a recorded table with the settings of its tuning in simulated time, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tunewright.blackbox import Blackbox, Description, TabularBlackbox, get_blackbox
from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Metric
from tunewright.replicates import Replicates
from tunewright.space import SearchSpace
from tunewright.types import Config, Json, Number


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateBenchmarkDefinition:
    """A data set of a table with the settings of its tuning. The table is opened on first access to its space.

    Raises
    ------
    SettingsError
        A field has a value that cannot work.
    """

    name: str
    table: str
    dataset: str
    metrics: tuple[Metric, ...]
    max_wallclock_time: Number | None = None
    """Simulated seconds; None: no limit."""
    n_workers: int = 4
    max_num_evaluations: int | None = None
    """Number of reports after which the experiment ends; None: no limit."""
    surrogate: str | None = None
    """Prediction of unrecorded configurations (`SurrogateKind`); None: no prediction."""
    restrict_configurations: bool = False
    """Whether only recorded configurations are suggested."""
    search_space: SearchSpace | None = None
    """Replacement of the table's space: other ranges or scales for the same hyperparameters, and constants."""
    resource_limit: int | None = None
    """Resource of a full run; None: the last recorded level."""
    table_seed: int | None = None
    """Recorded seed of all trials; None: drawn for each trial."""
    points_to_evaluate: tuple[Config, ...] | None = None
    """First configurations; None: the space's defaults, or none if only recorded ones are suggested."""

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SettingsError(f"Benchmark {self.name!r} needs a metric of its table")
        for limit in ("max_wallclock_time", "n_workers", "max_num_evaluations", "resource_limit"):
            value = getattr(self, limit)
            if value is not None and not value > 0:
                raise SettingsError(f"{limit} must be positive, not {value!r}")

    def blackbox(self) -> Blackbox:
        """The opened table, checked against this definition.

        Raises
        ------
        TableError
            The table is not here (the message says how to get it) or damaged.
        UnknownNameError
            The table has no such data set or metric.
        SettingsError
            The search space has not the hyperparameters of the table, or there is no such recorded seed.
        """
        blackbox = get_blackbox(self.table, self.dataset, surrogate=self.surrogate)
        for metric in self.metrics:
            blackbox.metric_index(metric.name)
        space = self.search_space
        if space is not None and space.has_conditions and not blackbox.space.has_conditions:
            raise SettingsError(
                f"{blackbox.description.full_name} has no conditions: drop active_if from the search space"
            )
        if space is not None:
            missing = [name for name in blackbox.space.names if name not in space]
            unknown = [name for name in space.names if name not in blackbox.space]
            if missing or unknown:
                wrong = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}, which the table has not"
                names = ", ".join(blackbox.space.names)
                raise SettingsError(f"The search space {wrong}: {blackbox.description.full_name} has {names}")
        if self.table_seed is not None and not 0 <= self.table_seed < blackbox.n_seeds:
            raise SettingsError(f"table_seed must be from 0 to {blackbox.n_seeds - 1}, not {self.table_seed}")
        return blackbox

    @property
    def space(self) -> SearchSpace:
        """Search space; errors as `blackbox`."""
        return self.search_space or self.blackbox().space

    @property
    def max_resource(self) -> int | None:
        """Resource of a full run; None if the table has one level, so that trials report once."""
        levels = self.blackbox().levels
        return None if len(levels) == 1 else self.resource_limit or levels[-1]

    @property
    def resource_attr(self) -> str:
        """The key of the resource in reports."""
        return self.blackbox().description.resource

    @property
    def replicates(self) -> Replicates | None:
        """None: trials are learning curves."""
        return None

    @property
    def time_attr(self) -> str:
        """The table's elapsed time: seconds since the training began."""
        return self.description.elapsed

    @property
    def description(self) -> Description:
        """Description of the numbers; surrogate values are labelled."""
        return self.blackbox().description

    def candidates(self) -> Sequence[Config] | None:
        """The only configurations that may be suggested; None: all of the space.

        Raises
        ------
        SettingsError
            The table answers by a network, so that nothing was recorded.
        """
        if not self.restrict_configurations:
            return None
        table = get_blackbox(self.table, self.dataset)
        if not isinstance(table, TabularBlackbox):
            raise SettingsError(
                f"{table.description.full_name} has no recorded configurations: drop restrict_configurations"
            )
        space = self.search_space
        if space is None:
            return table.configs
        return [{**space.constants, **config} for config in table.configs if _fits(space, config)]

    def replace(self, **overrides: Any) -> SurrogateBenchmarkDefinition:
        """Copy with other values for some fields; None keeps the old value.

        Raises
        ------
        UnknownNameError
            There is no such field.
        SettingsError
            As the constructor.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in overrides:
            if name not in known:
                raise UnknownNameError("field of a benchmark", name, known)
        return dataclasses.replace(self, **{name: v for name, v in overrides.items() if v is not None})

    def to_json(self) -> dict[str, Json]:
        """Return the definition as data, from which :meth:`from_json` makes an equal one."""
        return to_json(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> SurrogateBenchmarkDefinition:
        """Build a definition from the data of :meth:`to_json`.

        Raises
        ------
        SettingsError
            The data do not describe a benchmark.
        """
        return from_json(SurrogateBenchmarkDefinition, data, "benchmark")


def _fits(space: SearchSpace, config: Config) -> bool:
    """Whether the values of a recorded configuration are in the space; conditional ones may be missing."""
    return all(
        domain.contains(config[name]) if name in config else bool(domain.active_if)
        for name, domain in space.domains.items()
    )
