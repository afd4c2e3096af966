"""TabularBlackbox: recorded configurations, looked up exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, final, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.blackbox.tables.blackbox import Array, Blackbox, Description
from tunewright.exceptions import SpaceError, TableError
from tunewright.space import SearchSpace
from tunewright.types import Config, ConfigValue

MIN_STEP = 0.01
"""Seconds that `repair_elapsed` puts between two reports, at least."""


@final
class TabularBlackbox(Blackbox):
    """Configurations x seeds x levels x metrics.

    Parameters
    ----------
    description
        Meaning of the numbers.
    columns
        For each hyperparameter the values of all configurations, in the types that the space gives them; the default where
        it is not active.
    values
        Numbers of shape (configurations, seeds, levels, metrics), also memory-mapped ones; they are not copied.

    Raises
    ------
    TableError
        A shape does not fit, two configurations are equal, times are missing or decrease (see `repair_elapsed`), or a
        metric holds no number at all.
    SpaceError
        The first configuration does not fit the space.
    """

    def __init__(
        self, description: Description, columns: Mapping[str, Sequence[ConfigValue]], values: Array
    ) -> None:
        super().__init__(description)
        self._values = values
        self._names = description.space.names
        self._rows = self._number_rows(columns)
        self._check_shape()
        self._check_space()
        self._check_numbers()

    @property
    def n_configs(self) -> int:
        """Number of recorded configurations."""
        return len(self._rows)

    @property
    def values(self) -> Array:
        """All numbers, of shape (configurations, seeds, levels, metrics). Not to be written to."""
        return self._values

    @property
    def configs(self) -> Sequence[Config]:
        """The recorded configurations, built on access; without the hyperparameters that are not active."""
        return _Configs(self.space, list(self._rows))

    def row(self, config: Config) -> int:
        """The number of a configuration.

        Raises
        ------
        TableError
            It was not recorded.
        """
        if self.space.has_conditions:
            config = self.space.filled(config)
        try:
            key = tuple([config[name] for name in self._names])
        except KeyError as missing:
            raise TableError(f"The configuration lacks {missing}") from None
        row = self._rows.get(key)
        if row is None:
            shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._names, key, strict=True))
            raise TableError(
                f"{self.description.full_name} holds no recorded run of {shown}: "
                "set restrict_configurations or a surrogate such as 'nearest'"
            )
        return row

    @override
    def curve(self, config: Config, seed: int = 0) -> Array:
        """Recorded values of a configuration and seed."""
        return self._values[self.row(config), seed]

    def _number_rows(
        self, columns: Mapping[str, Sequence[ConfigValue]]
    ) -> dict[tuple[ConfigValue, ...], int]:
        missing = [name for name in self._names if name not in columns]
        if missing:
            raise TableError(f"{self.description.full_name} lacks the column {missing[0]!r} of its space")
        keys = list(zip(*(columns[name] for name in self._names), strict=True))
        rows = {key: row for row, key in enumerate(keys)}
        if len(rows) < len(keys):
            double = next(row for row, key in enumerate(keys) if rows[key] != row)
            raise TableError(
                f"{self.description.full_name}: configurations {double} and {rows[keys[double]]} are equal: keep one"
            )
        return rows

    def _check_shape(self) -> None:
        wanted = (self.n_configs, self.n_seeds, len(self.levels), len(self.metrics))
        if self._values.shape != wanted:
            raise TableError(
                f"{self.description.full_name} has the shape {self._values.shape}, not {wanted} "
                "(configurations, seeds, levels, metrics)"
            )
        if not self.n_configs:
            raise TableError(f"{self.description.full_name} holds no configuration")

    def _check_space(self) -> None:
        first = next(iter(self._rows))
        for (name, domain), value in zip(self.space.domains.items(), first, strict=True):
            if not domain.contains(value):
                raise SpaceError(f"{self.description.full_name}: {name}={value!r} does not fit {domain!r}")

    def _check_numbers(self) -> None:
        fault = find_bad_time(self._values[..., self.elapsed_index])
        if fault is not None:
            row, seed = fault
            raise TableError(
                f"{self.description.full_name}: times of configuration {row}, seed {seed} are missing, negative or "
                "decrease: mend them with repair_elapsed, or leave the configuration out"
            )
        for index, name in enumerate(self.metrics):
            if not np.isfinite(self._values[..., index]).any():
                raise TableError(
                    f"{self.description.full_name}: the metric {name!r} holds no number: leave it out"
                )


@final
class _Configs(Sequence[Config]):
    def __init__(self, space: SearchSpace, keys: Sequence[tuple[ConfigValue, ...]]) -> None:
        self._space = space
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> Config: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Config]: ...
    def __getitem__(self, index: int | slice) -> Config | Sequence[Config]:
        if isinstance(index, slice):
            return _Configs(self._space, self._keys[index])
        config = dict(zip(self._space.names, self._keys[index], strict=True))
        return self._space.active(config) if self._space.has_conditions else config


def find_bad_time(elapsed: Array) -> tuple[int, int] | None:
    """The first (configuration, seed) whose times, along the last axis, are not >= 0 and ascending; None: all are.

    NaN may stand at the end of a curve that is shorter than the others.
    """
    with np.errstate(invalid="ignore"):
        is_bad = ~(elapsed[..., 0] >= 0) | (np.diff(elapsed, axis=-1) < 0).any(axis=-1)
        is_bad |= np.isinf(elapsed).any(axis=-1)
    ended = np.isnan(elapsed)
    is_bad |= (ended[..., :-1] & ~ended[..., 1:]).any(axis=-1)
    bad = np.argwhere(is_bad)
    return (int(bad[0][0]), int(bad[0][1])) if len(bad) else None


def repair_elapsed(elapsed: Array) -> tuple[NDArray[np.float64], int]:
    """Make times strictly increase along the last axis, by at least `MIN_STEP` seconds, the first one included.

    Returns
    -------
    array, int
        The times, and how many curves were changed. NaN at the end of a curve stays.
    """
    times = elapsed.astype(np.float64)
    ramp = cast("NDArray[np.float64]", MIN_STEP * np.arange(times.shape[-1]))
    steps = cast("NDArray[np.float64]", np.fmax(times - ramp, MIN_STEP))
    raised = cast("NDArray[np.float64]", np.fmax.accumulate(steps, axis=-1)) + ramp
    raised[np.isnan(times)] = np.nan
    n_changed = int((np.abs(raised - times) > 1e-9).any(axis=-1).sum())
    return raised, n_changed
