"""Results: many experiments as columns, with the metadata of each."""

# Adapter of pandas, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np

from tunewright.analysis.columns import DECISIONS, Columns, Totals, concatenate
from tunewright.analysis.extras import need
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metadata import ExperimentMetadata, metadata_from
from tunewright.metric import Constraint, Metric
from tunewright.storage import ExperimentFolder

if TYPE_CHECKING:
    from pandas import DataFrame


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentInfo:
    """Metadata and totals of one experiment."""

    name: str
    path: Path
    tag: str
    method: str
    """Label in comparisons."""
    benchmark: str
    seed: int
    effective_seed: int
    """Seed of all random numbers."""
    metrics: tuple[Metric, ...]
    """Tuned metrics; comparisons use the first by default."""
    clock: str
    """``wall`` or ``simulated``."""
    values: str
    """``measured`` (real training), ``recorded`` (a table of it) or ``surrogate`` (predicted)."""
    note: str = ""
    """Limitations of the values."""
    resource: str = "resource"
    """Unit of the resource."""
    constraints: tuple[Constraint, ...] = ()
    """Constraints on results."""
    untrained: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metrics of an untrained model, if the benchmark's table has them."""
    n_workers: int | None = None
    max_time: float | None = None
    """Time limit in seconds of the experiment's clock; None: no limit."""
    totals: Totals
    record: ExperimentMetadata | None = field(default=None, repr=False)
    """Typed metadata; None if the experiment was not stored by Tunewright."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """All entries of ``metadata.json``, for conditions and columns by name."""


def info_from(path: Path, metadata: Mapping[str, Any], totals: Totals) -> ExperimentInfo:
    """Parse the metadata of an experiment.

    Raises
    ------
    SettingsError
        The metadata are invalid.
    """
    record = metadata_from(metadata, ExperimentFolder(path))
    return ExperimentInfo(
        name=path.name,
        path=path,
        tag=record.tag,
        method=record.label,
        benchmark=record.benchmark.name,
        seed=record.seed,
        effective_seed=record.effective_seed,
        metrics=record.metrics,
        clock=record.clock,
        values=record.values,
        note=record.table.note if record.table else "",
        resource=record.resource,
        constraints=record.bounds,
        untrained=record.table.untrained if record.table else {},
        n_workers=record.benchmark.n_workers,
        max_time=record.limits.max_wallclock_time,
        totals=totals,
        record=record,
        metadata=metadata,
    )


Where: TypeAlias = Callable[[Mapping[str, Any]], bool] | Mapping[str, object]
"""A predicate of the metadata, or required values: ``{"benchmark": "digits", "seed": [0, 1]}``."""


@final
@dataclass(frozen=True, slots=True)
class Results:
    """Stored experiments with all their reports.

    Examples
    --------
    ::

        results = load("first", where={"benchmark": "digits"})
        results = results.with_setups(lambda info: info.method if info.seed < 10 else None)
        results.frame().groupby("method").accuracy.max()
    """

    infos: tuple[ExperimentInfo, ...]
    columns: tuple[Columns, ...]
    """One for each of ``infos``."""

    def __len__(self) -> int:
        """Number of experiments."""
        return len(self.infos)

    @property
    def benchmarks(self) -> list[str]:
        """Names of the benchmarks, in order of appearance."""
        return list(dict.fromkeys(info.benchmark for info in self.infos))

    @property
    def methods(self) -> list[str]:
        """Labels of the methods (setups), in order of appearance."""
        return list(dict.fromkeys(info.method for info in self.infos))

    @property
    def n_results(self) -> int:
        """Number of reports of all experiments."""
        return sum(columns.size for columns in self.columns)

    def where(self, condition: Where | None = None, /, **values: object) -> Results:
        """Select experiments by their metadata.

        Parameters
        ----------
        condition
            As `Where`; applied to the metadata with ``method``, ``benchmark``, ``seed`` and ``tag`` added.
        **values
            Further required values of the metadata.

        Raises
        ------
        SettingsError
            No experiment is left.
        """
        kept = [i for i, info in enumerate(self.infos) if _agrees(info, condition) and _agrees(info, values)]
        if not kept:
            raise SettingsError(f"No experiment is left of {len(self)}: the condition is too narrow")
        return self._of(kept)

    def with_setups(self, setup: Callable[[ExperimentInfo], str | None]) -> Results:
        """Replace the labels of comparisons; experiments with the label None are left out.

        Raises
        ------
        SettingsError
            No experiment is left.
        """
        named = [(i, label) for i, info in enumerate(self.infos) if (label := setup(info)) is not None]
        if not named:
            raise SettingsError("No experiment is left: every setup is None")
        infos = tuple(replace(self.infos[i], method=label) for i, label in named)
        return Results(infos, tuple(self.columns[i] for i, _ in named))

    def joined(self, *others: Results) -> Results:
        """These experiments and others."""
        every = (self, *others)
        return Results(
            tuple(info for results in every for info in results.infos),
            tuple(columns for results in every for columns in results.columns),
        )

    def with_metric(self, name: str, compute: Callable[[Columns], Any]) -> Results:
        """Add a metric that is computed from the columns of each experiment."""
        columns = tuple(
            replace(part, metrics={**part.metrics, name: np.asarray(compute(part), dtype=np.float64)})
            for part in self.columns
        )
        return Results(self.infos, columns)

    def metric(self, benchmark: str, name: str | None = None) -> Metric:
        """Metric of comparisons on a benchmark: the first tuned one, or the named one.

        Raises
        ------
        SettingsError
            Experiments of this benchmark tune different metrics.
        UnknownNameError
            No experiment of the benchmark reports such a metric.
        """
        tuned = {info.metrics for info in self.infos if info.benchmark == benchmark}
        if not tuned:
            raise UnknownNameError("benchmark", benchmark, self.benchmarks)
        if len(tuned) > 1:
            kinds = {
                ", ".join(f"{metric.name} ({metric.goal})" for metric in info.metrics): info.name
                for info in self.infos
                if info.benchmark == benchmark
            }
            some = "; ".join(f"{kind}: {name}" for kind, name in kinds.items())
            raise SettingsError(
                f"Experiments on {benchmark} differ in their metrics or goals, as {some}. Name those to compare, or delete "
                "the others: tunewright delete NAME"
            )
        (metrics,) = tuned
        if name is None:
            return metrics[0]
        known = {
            m
            for info, c in zip(self.infos, self.columns, strict=True)
            if info.benchmark == benchmark
            for m in c.metrics
        }
        if name not in known:
            raise UnknownNameError(f"metric of {benchmark}", name, known)
        return next((metric for metric in metrics if metric.name == name), Metric(name))

    def frame(self, *, metadata: Iterable[str] = ()) -> DataFrame:
        """All reports as a pandas DataFrame, one row each.

        Columns: ``experiment``, ``tag``, ``method``, ``benchmark``, ``seed``, ``time``, ``trial_id``, ``resource``,
        ``decision``, every metric (``metric_time`` if its name is one of these), and the requested entries of the metadata.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        pandas = need("pandas", "A frame of results")
        sizes = [columns.size for columns in self.columns]
        whole = concatenate(self.columns)
        data: dict[str, Any] = {}
        for column, key in (
            ("experiment", "name"),
            ("tag", "tag"),
            ("method", "method"),
            ("benchmark", "benchmark"),
            ("seed", "seed"),
        ):
            values = np.array([getattr(info, key) for info in self.infos])
            data[column] = (
                pandas.Categorical(np.repeat(values, sizes)) if key != "seed" else np.repeat(values, sizes)
            )
        data |= {"time": whole.time, "trial_id": whole.trial, "resource": whole.resource}
        data["decision"] = pandas.Categorical.from_codes(whole.decision, list(DECISIONS))
        data |= {f"metric_{name}" if name in data else name: values for name, values in whole.metrics.items()}
        for key in metadata:
            data[key] = np.repeat(np.array([str(info.metadata.get(key, "")) for info in self.infos]), sizes)
        return pandas.DataFrame(data)

    def to_csv(self, path: str | Path, *, metadata: Iterable[str] = ()) -> None:
        """Write the frame as CSV; compressed if the suffix says so (``.csv.gz``, ``.csv.zip``)."""
        self.frame(metadata=metadata).to_csv(path, index=False)

    def to_parquet(self, path: str | Path, *, metadata: Iterable[str] = ()) -> None:
        """Write the frame as Parquet.

        Raises
        ------
        MissingExtraError
            pyarrow is not installed.
        """
        need("pyarrow", "Parquet", extra="tables")
        self.frame(metadata=metadata).to_parquet(path, index=False)

    def _of(self, kept: Sequence[int]) -> Results:
        return Results(tuple(self.infos[i] for i in kept), tuple(self.columns[i] for i in kept))


def _agrees(info: ExperimentInfo, condition: Where | None) -> bool:
    if condition is None:
        return True
    short = {"method": info.method, "benchmark": info.benchmark, "seed": info.seed, "tag": info.tag}
    if not isinstance(condition, Mapping):
        return condition({**info.metadata, **short})
    found: Mapping[str, object] = {**info.metadata, **short, "clock": info.clock, "values": info.values}
    for key, wanted in condition.items():
        if key not in found:
            raise UnknownNameError("entry of the metadata", key, found)
        options = wanted if isinstance(wanted, list | tuple | set | frozenset | range) else [wanted]
        if found[key] not in options:
            return False
    return True
