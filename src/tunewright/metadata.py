"""Metadata of a stored experiment: the typed content of ``metadata.json``, as this version and 0.1 write it.

The file holds the fields of the experiment, so that it can be resumed, and facts about its beginning
(:class:`StartFacts`). :class:`ExperimentMetadata` are the parts that other modules read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError
from tunewright.metric import Constraint, Metric
from tunewright.replicates import Replicates
from tunewright.seeding import effective_seed_0_1
from tunewright.space import SearchSpace
from tunewright.storage import ExperimentFolder, upgrade_metadata
from tunewright.types import Json, Number

_MEASURED: Final = "measured"


@final
class BenchmarkMetadata(Struct, frozen=True, kw_only=True):
    """A benchmark; only the fields that a training script and a recorded table share, unless stated."""

    name: str
    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1)]
    """Tuned metrics; the first one decides where a single one is needed."""
    n_workers: int | None = None
    resource_attr: str | None = None
    """Of a training script: key of the resource in reports."""
    max_resource: int | None = None
    """Of a training script: resource of a full run."""
    replicates: Replicates | None = None
    """Of a training script: seeds or folds of each trial."""
    space: dict[str, Any] | None = None
    """Of a training script, as JSON data."""
    argument_style: str = "list"
    """Of a training script: form of the hyperparameters on its command line."""


@final
class TableMetadata(Struct, frozen=True, kw_only=True):
    """The recorded table of a simulated experiment."""

    table: str = ""
    dataset: str = ""
    values: str = ""
    """``recorded`` (in real training runs) or ``surrogate`` (predicted by a model)."""
    untrained: dict[str, Number] = {}
    """Metrics of an untrained model."""
    note: str = ""
    """Caveat about the values, for readers of results."""
    digest: str = ""
    """Checksum of the table."""
    resource: str = ""
    """Unit of the resource."""
    max_resource: int | None = None
    """Resource of a full run; None: unknown, or trials report once."""
    space: dict[str, Any] = {}
    """As JSON data."""


@final
class WarmStartMetadata(Struct, frozen=True, kw_only=True):
    """Evaluations of earlier experiments that an experiment began with."""

    tasks: int
    trials: int
    digest: str


@final
class LimitsMetadata(Struct, frozen=True, kw_only=True):
    """Limits that analysis reads."""

    max_wallclock_time: Number | None = None
    """Seconds of the experiment's clock."""
    max_num_trials: int | None = None
    max_num_evaluations: int | None = None
    """Number of reports."""
    max_cost: Number | None = None
    """Dollars."""


@final
class StartFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts about the beginning of an experiment, stored beside its fields."""

    evaluations: WarmStartMetadata | UnsetType = UNSET
    chosen: dict[str, Any] | UnsetType = UNSET
    """Method that ``auto`` chose, with its settings and the reason."""
    constraints: tuple[str, ...] = ()
    """Constraints on the best result, as text."""
    table: TableMetadata | UnsetType = UNSET
    experiment: str
    """Unique name."""
    identity: str
    """Equal for experiments that are the same cell of a plan."""
    clock: str
    """``wall`` or ``simulated``."""
    created: str
    """Date and time in ISO format, UTC."""
    versions: dict[str, str]
    """Of Tunewright, Python and NumPy."""
    effective_seed: int
    """Seed of all random numbers."""

    def to_json(self) -> dict[str, Json]:
        """Return the entries of ``metadata.json``."""
        return to_json(self)


@final
class ExperimentMetadata(Struct, frozen=True, kw_only=True):
    """What is read of ``metadata.json``; keys that are not listed are passed over."""

    label: str
    """Name of the method among those that are compared."""
    seed: int
    benchmark: BenchmarkMetadata
    backend: dict[str, Any]
    """Name and config of the backend."""
    tag: str = ""
    origin: str = ""
    """Name of the experiment whose best configuration it trains again."""
    imported: dict[str, Any] | None = None
    """Of an experiment that was imported: the tool, the source, and its name there."""
    random_seed: int = 0
    method: dict[str, Any] | str = ""
    """Name and settings; the import path of a method that is a function of the user."""
    settings: dict[str, Any] = {}
    """Settings from the command line."""
    limits: LimitsMetadata = LimitsMetadata()
    evaluations: WarmStartMetadata | None = None
    chosen: dict[str, Any] | None = None
    constraints: tuple[str, ...] = ()
    table: TableMetadata | None = None
    identity: str = ""
    clock: str = ""
    created: str = ""
    stored_seed: int | None = field(default=None, name="effective_seed")
    versions: dict[str, str] = {}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Tuned metrics."""
        return self.benchmark.metrics

    @property
    def backend_name(self) -> str:
        """Name of the backend."""
        return str(self.backend.get("name", ""))

    @property
    def resource(self) -> str:
        """Unit of the resource; ``report`` if reports are counted."""
        if self.benchmark.replicates is not None:
            return self.benchmark.replicates.unit
        return self.benchmark.resource_attr or (self.table.resource if self.table else "") or "report"

    @property
    def max_resource(self) -> int | None:
        """Resource of a full run; None: unknown."""
        return self.benchmark.max_resource or (self.table.max_resource if self.table else None)

    @property
    def values(self) -> str:
        """``measured`` (by real training), ``recorded`` (in a table) or ``surrogate`` (predicted)."""
        return (self.table.values if self.table else "") or _MEASURED

    @property
    def has_space(self) -> bool:
        """Whether the search space is known."""
        return bool(self.benchmark.space or (self.table and self.table.space))

    @property
    def space(self) -> SearchSpace:
        """The search space.

        Raises
        ------
        SettingsError
            Neither the benchmark nor the table has one.
        """
        stored = self.benchmark.space or (self.table.space if self.table else None)
        if not stored:
            raise SettingsError("The metadata hold no search space")
        return SearchSpace.from_json(stored)

    @property
    def effective_seed(self) -> int:
        """Seed of all random numbers; version 0.1 did not store it."""
        if self.stored_seed is not None:
            return self.stored_seed
        return effective_seed_0_1(self.seed, self.random_seed)

    @property
    def bounds(self) -> tuple[Constraint, ...]:
        """Constraints on the best result."""
        return tuple(map(Constraint.parse, self.constraints))


def read_metadata(folder: ExperimentFolder) -> ExperimentMetadata:
    """Read the metadata of a stored experiment.

    Raises
    ------
    SettingsError
        The file is missing or damaged, or was not written by this version of Tunewright or 0.1.
    """
    return metadata_from(folder.metadata(), folder)


def metadata_from(data: Mapping[str, Any], folder: ExperimentFolder) -> ExperimentMetadata:
    """Return the typed form of metadata that were read already.

    Raises
    ------
    SettingsError
        The data were not written by this version of Tunewright or 0.1.
    """
    try:
        return from_json(ExperimentMetadata, upgrade_metadata(data), "metadata")
    except SettingsError as error:
        raise SettingsError(
            f"{folder.metadata_path} was not written by this version of Tunewright: {error}"
        ) from None
