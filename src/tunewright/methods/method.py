"""Method: a named way to build a scheduler for a benchmark; and MethodSpec: the choice of one, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.methods.settings import Setting, build_settings, flat_settings, settings_of
from tunewright.metric import Constraint
from tunewright.types import Json

SettingsT = TypeVar("SettingsT")

BuildFunction: TypeAlias = Callable[[Benchmark, int, Mapping[str, Json]], Scheduler]
"""A user's own method: ``build(benchmark, seed, settings)``; the settings are those that the command line maps to it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """A method by name and those of its settings that differ from the defaults: data that a file can hold."""

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    inner: Mapping[str, Mapping[str, Json]] = field(default_factory=dict[str, Mapping[str, Json]])
    """Settings of methods that this one contains, by name, instead of their defaults; for experiments that continue."""

    def to_json(self) -> dict[str, Json]:
        """Return the data that :meth:`from_json` reads; without ``inner``, which the journal has."""
        return {"name": self.name, "settings": dict(self.settings)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MethodSpec:
        """Return the inverse of :meth:`to_json`.

        Raises
        ------
        SettingsError
            A key is missing.
        """
        try:
            return MethodSpec(name=data["name"], settings=dict(data["settings"]))
        except (KeyError, TypeError) as error:
            raise SettingsError(f"The stored method cannot be read: {error!r}") from None


BuildOther: TypeAlias = Callable[[MethodSpec, Benchmark, int], Scheduler]
"""Builds the scheduler of another method for a benchmark and a seed."""


def _none(*_: object) -> Sequence[Any]:
    return ()


def _no_promotion(_: object) -> float | None:
    return None


@final
@dataclass(frozen=True, slots=True)
class NoSettings:
    """Settings of a method that has none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[SettingsT]):
    """A named composition of scheduler and searcher."""

    name: str
    summary: str
    """One line for lists."""
    settings: type[SettingsT]
    """A frozen dataclass, all of whose fields have defaults; it checks its values when it is built. A field that holds
    another dataclass is a group of settings: see :mod:`tunewright.methods.settings`."""
    build: Callable[[Benchmark, int, SettingsT], Scheduler] | None = None
    """From benchmark, seed (>= 0) and settings to a scheduler of its own."""
    build_around: Callable[[Benchmark, int, SettingsT, BuildOther], Scheduler] | None = None
    """In place of ``build``, for a method that contains another one."""
    contains: str = ""
    """The setting that names the method that it contains, with that method's defaults; empty: it contains none."""
    decides: Callable[[Benchmark, SettingsT], MethodSpec] | None = None
    """The method that it contains for a benchmark, if it decides that itself."""
    for_trials: Callable[[SettingsT, int], SettingsT] | None = None
    """Its settings for the number of trials that the limits allow, >= 1, if some depend on it."""
    several_metrics: bool = False
    """Whether it tunes any number of metrics. Other methods are built for benchmarks with one metric only."""
    ends_by_itself: bool = False
    """Whether it runs out of configurations, whatever the space is."""
    needs_evaluations: bool = False
    """Whether it learns from earlier experiments, and decides itself which of them it uses."""
    copies_trials: bool = False
    """Whether trials begin with the checkpoints of others, so that known results cannot stand for a trial."""
    constraints: Callable[[SettingsT], Sequence[Constraint]] = _none
    """Constraints that the best result must meet."""
    reads: Callable[[Benchmark, SettingsT], Sequence[str]] = _none
    """Values that reports must hold beside the tuned metrics."""
    promotion_eta: Callable[[SettingsT], float | None] = _no_promotion
    """The reduction factor of a method whose trials wait at rungs for their promotion, as in ASHA; else None."""

    def __post_init__(self) -> None:
        if (self.build is None) == (self.build_around is None):
            raise TypeError(f"The method {self.name} needs one of build and build_around")

    @property
    def parameters(self) -> Mapping[str, Setting]:
        """Its settings by the flat names that flags, TOML and JSON use."""
        return settings_of(self.settings)

    def make_settings(self, values: Mapping[str, Json]) -> SettingsT:
        """Build settings from plain data; texts of a command line are read as the type of their setting.

        Raises
        ------
        SettingsError
            A name is unknown (the message has the nearest one), a value cannot work, or the method contains itself.
        """
        settings = build_settings(self.settings, values, self.name)
        other = self._named(settings)
        if other is not None and other.lower() == self.name.lower():
            raise SettingsError(f"{self.contains}={other!r} is this method itself: name another one")
        return settings

    def contained(self, benchmark: Benchmark, settings: SettingsT) -> MethodSpec | None:
        """Return the method that it contains for a benchmark; None: none."""
        if self.decides is not None:
            return self.decides(benchmark, settings)
        name = self._named(settings)
        return None if name is None else MethodSpec(name=name)

    def _named(self, settings: SettingsT) -> str | None:
        """The method that it contains, as the settings name it."""
        return getattr(settings, self.contains) if self.contains else None

    def resolved(self, values: Mapping[str, Json]) -> dict[str, Json]:
        """Return the values of all settings by flat name, defaults included.

        Raises
        ------
        SettingsError
            As :meth:`make_settings`.
        """
        return flat_settings(self.make_settings(values))

    def scheduler(
        self, benchmark: Benchmark, seed: int, settings: SettingsT, build_other: BuildOther
    ) -> Scheduler:
        """Build the scheduler.

        Parameters
        ----------
        benchmark, seed, settings
            As in ``build``.
        build_other
            Builds the method that this one contains.

        Raises
        ------
        SettingsError
            The settings do not fit the benchmark.
        """
        if self.build is not None:
            return self.build(benchmark, seed, settings)
        if self.build_around is not None:
            return self.build_around(benchmark, seed, settings, build_other)
        raise TypeError(f"The method {self.name} cannot be built")
