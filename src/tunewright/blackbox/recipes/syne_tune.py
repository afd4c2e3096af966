"""Tables in the stored form of Syne Tune (``~/.blackbox-repository/{name}``): whatever its users have already."""

# Adapter of Syne Tune's serialised search spaces, which are untyped JSON.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import UNREADABLE, read_columns
from tunewright.blackbox.tables.tabular import repair_elapsed
from tunewright.exceptions import TableError
from tunewright.space import Categorical, Domain, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.types import ConfigValue

_ELAPSED: Final = ("metric_elapsed_time", "time", "runtime", "timetrain")
"""Names that its tables have for the elapsed time."""


def is_stored_by_syne_tune(source: Path) -> bool:
    """Whether a folder holds a table in this form."""
    return (source / "configspace.json").is_file() and (source / "metadata.json").is_file()


def syne_tune_recipe(name: str) -> Recipe:
    """The recipe for a table of this form, under any name."""

    def convert(source: Path) -> Iterator[Recorded]:
        return _convert(name, source)

    return Recipe(
        name=name,
        title=f"{name}, from the repository of Syne Tune",
        licence="that of the original data",
        wanted="a folder of ~/.blackbox-repository",
        install=stores(convert),
    )


def _convert(name: str, source: Path) -> Iterator[Recorded]:
    metadata, space = _read_json(source / "metadata.json"), _read_json(source / "configspace.json")
    try:
        tasks, metrics = metadata["task_names"], metadata["objectives_names"]
    except KeyError as missing:
        raise TableError(f"{source / 'metadata.json'} lacks {missing}") from None
    entries = {plain_name(key): _domain(key, spec) for key, spec in space.items()}
    domains = SearchSpace({key: entry for key, entry in entries.items() if isinstance(entry, Domain)})
    has_common_files = (source / "hyperparameters.parquet").is_file()
    for index, task in enumerate(tasks):
        prefix = "" if has_common_files else f"{task}-"
        levels_file = "fidelities_values.npy" if has_common_files else f"{task}-fidelity_values.npy"
        values = _load(source / f"{prefix}objectives_evaluations.npy")
        columns = read_columns(source / f"{prefix}hyperparameters.parquet")
        yield _record(
            Description(
                name=name,
                dataset=str(task),
                space=domains,
                metrics=tuple(map(plain_name, metrics)),
                elapsed=plain_name(_elapsed(metrics, metadata)),
                levels=_levels(_load(source / levels_file)),
                n_seeds=values.shape[-3],
            ),
            {plain_name(key): column for key, column in columns.items()},
            np.array(values[index] if values.ndim == 5 else values, dtype=np.float64),
        )


def plain_name(name: str) -> str:
    """A name without the prefixes ``hp_`` and ``metric_``."""
    return name.removeprefix("hp_").removeprefix("metric_")


def _record(
    description: Description, columns: Mapping[str, list[Any]], values: NDArray[np.float64]
) -> Recorded:
    """Fill seeds that were not recorded by the mean of the others, and leave out configurations without any."""
    elapsed = description.metrics.index(description.elapsed)
    with np.errstate(all="ignore"):
        n_recorded = (~np.isnan(values)).sum(axis=1, keepdims=True)
        means = np.nansum(values, axis=1, keepdims=True) / n_recorded
    is_absent = np.isnan(values[..., :1, elapsed : elapsed + 1])
    values = np.where(is_absent, means, values)
    kept = [not np.isnan(times).any() for times in values[:, :, 0, elapsed]]
    values = values[kept]
    values[..., elapsed], n_repaired = repair_elapsed(values[..., elapsed])
    note = (
        f"{int(is_absent.sum())} unrecorded seeds are means of the others; {kept.count(False)} configurations without "
        f"times were left out; times of {n_repaired} curves were made ascending"
    )
    return Recorded(
        replace(description, note=note),
        {name: [v for v, keep in zip(column, kept, strict=True) if keep] for name, column in columns.items()},
        values,
    )


def _elapsed(metrics: list[str], metadata: Mapping[str, Any]) -> str:
    for name in (metadata.get("metric_elapsed_time"), *_ELAPSED):
        if name in metrics:
            return str(name)
    raise TableError(f"None of the metrics {', '.join(metrics)} is the elapsed time")


def _levels(levels: NDArray[Any]) -> tuple[int, ...]:
    if not np.array_equal(levels, np.round(levels)):
        raise TableError(f"The fidelities must be whole numbers, not {levels.tolist()}")
    return tuple(int(level) for level in levels)


def _domain(name: str, spec: Any) -> Domain | ConfigValue:
    """A domain from its JSON form ``{domain_cls, domain_kwargs, sampler_cls}``."""
    if not isinstance(spec, dict):
        return spec
    kind, given = spec.get("domain_cls"), spec.get("domain_kwargs", {})
    sampler = str(spec.get("sampler_cls"))
    try:
        if kind in {"Float", "Integer"}:
            range_of = Float if kind == "Float" else Integer
            return range_of(
                given["lower"], given["upper"], log="LogUniform" in sampler and "Reverse" not in sampler
            )
        if kind == "FiniteRange":
            return FiniteRange(
                given["lower"],
                given["upper"],
                given["size"],
                log=bool(given.get("log_scale")),
                integer=bool(given.get("cast_int")),
            )
        if kind in {"Ordinal", "OrdinalNearestNeighbor"}:
            return Ordinal(given["categories"])
        if kind == "Categorical":
            return Categorical(given["categories"])
    except KeyError as missing:
        raise TableError(f"The space's {name!r} lacks {missing}") from None
    raise TableError(f"The space's {name!r} is of the unknown kind {kind!r}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"Cannot read {path}: {error}") from None


def _load(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise TableError(f"Cannot read {path}: {error}") from None
