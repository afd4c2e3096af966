"""The contract of a domain, the legal values of one hyperparameter, and the prior over them."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, cast, final, get_args

import numpy as np

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.types import ConfigValue

Confidence = Literal["low", "medium", "high"]

_SPREADS: Final[Mapping[str, float]] = {"low": 0.5, "medium": 0.25, "high": 0.125}

PriorSpec = dict[str, ConfigValue | list[float]]
"""A prior as data, as in the entry ``prior`` of a space file."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A belief about the best value of one hyperparameter; methods recover from a wrong one.

    On a range or an ordered list: a normal distribution around ``best`` along the domain's own scale (in the logarithm
    if ``log=True``), cut off at the ends; ``spread`` is its deviation as a part of the whole scale. Among categories:
    ``best`` with probability 1 - ``spread``, the others share the rest; or ``weights``, one per listed value.

    Raises
    ------
    SpaceError
        If the arguments contradict each other or cannot work.

    Examples
    --------
    >>> from tunewright.space import Float, Prior
    >>> Float(1e-5, 1.0, log=True, prior=Prior(best=1e-2, confidence="high")).default
    0.01
    """

    best: ConfigValue | None = None
    """Value that is believed to be best; also the domain's default, unless one is given."""
    confidence: Confidence | None = None
    """``low``, ``medium`` (default) or ``high``: a spread of 0.5, 0.25 or 0.125."""
    spread: float | None = None
    """Instead of ``confidence``, > 0; below 1 among categories."""
    weights: Sequence[float] | None = None
    """Instead of all others: how likely each listed value is to be best, > 0, in any unit."""

    def __post_init__(self) -> None:
        if (self.best is None) == (self.weights is None):
            raise SpaceError("a prior needs either best, or weights for listed values")
        if self.confidence not in {None, *get_args(Confidence)}:
            hint = nearest_hint(str(self.confidence), get_args(Confidence))
            raise SpaceError(f"confidence is low, medium or high, not {self.confidence!r}.{hint}")
        if self.spread is not None and (self.confidence is not None or self.weights is not None):
            raise SpaceError("a prior has one of confidence, spread and weights: drop the others")
        if self.weights is not None and self.confidence is not None:
            raise SpaceError("a prior has one of confidence, spread and weights: drop the others")
        if self.spread is not None and not _is_positive(self.spread):
            raise SpaceError(f"spread={self.spread!r} must be a number > 0")
        if self.weights is not None:
            is_list = isinstance(self.weights, list | tuple)
            if not is_list or not self.weights or not all(map(_is_positive, self.weights)):
                raise SpaceError(f"weights={self.weights!r} must be a list of numbers > 0")
            object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))

    @property
    def deviation(self) -> float:
        """The spread, given or that of the confidence."""
        return self.spread if self.spread is not None else _SPREADS[self.confidence or "medium"]

    def to_json(self) -> PriorSpec:
        """Describe the prior as data."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        spec: PriorSpec = {name: value for name, value in data.items() if value is not None}
        if self.weights is not None:
            spec["weights"] = list(self.weights)
        return spec

    @staticmethod
    def read(data: object) -> Prior:
        """A prior from itself or from the data of :meth:`to_json`.

        Raises
        ------
        SpaceError
            It is neither.
        """
        if isinstance(data, Prior):
            return data
        if not isinstance(data, Mapping):
            raise SpaceError(
                f"prior={data!r} must be a Prior, or a table such as {{ best = 0.1, spread = 0.2 }}"
            )
        fields = cast("Mapping[Any, Any]", data)
        known = [f.name for f in dataclasses.fields(Prior)]
        for name in fields:
            if name not in known:
                raise SpaceError(f"a prior has no key {name!r}.{nearest_hint(str(name), known)}")
        return Prior(**fields)


def check_weights(prior: Prior, n: int) -> None:
    """Raise `SpaceError` if there are weights, but not one for each of ``n`` values."""
    if prior.weights is not None and len(prior.weights) != n:
        raise SpaceError(f"{len(prior.weights)} weights for {n} values: give one for each")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


MIDPOINT: Final[Any] = None
"""Given as a domain's ``default``, it stands for the domain's midpoint, which replaces it at construction."""

ActiveIf: TypeAlias = Mapping[str, ConfigValue | Sequence[ConfigValue]]
"""By name of another hyperparameter, the value or the values with which one is active; all names must agree."""

Spec = dict[str, ConfigValue | list[ConfigValue] | PriorSpec | dict[str, ConfigValue | list[ConfigValue]]]
"""A domain as data, as in one table of a space file."""


@dataclass(frozen=True, slots=True)
class Domain(ABC):
    """The legal values of one hyperparameter, and how they are drawn, encoded and listed.

    Domains are immutable and are checked when they are built: a wrong argument raises `SpaceError`.
    The unit cube has `width` columns for a domain. Every point of it decodes to a legal value, and
    ``decode(encode(value))`` is ``value`` (for a continuous range up to rounding).
    """

    default: ConfigValue = field(default=MIDPOINT, kw_only=True)
    """Default value: given, or else the prior's best value, or the domain's midpoint."""
    prior: Prior | None = field(default=None, kw_only=True)
    """Prior over the best value, or None. Data of `Prior.to_json` are parsed."""
    active_if: ActiveIf | None = field(default=None, kw_only=True)
    """Of another hyperparameter the value, or the values, with which this one exists; None: it always does.

    ``{"optimizer": "sgd"}``, ``{"optimizer": ["sgd", "momentum"]}``; if several are named, all must hold. A configuration
    lacks the hyperparameters that are not active, and so do the script's arguments. `SearchSpace` checks the names.
    """

    def _settle_prior(self) -> None:
        """Parse and check the prior, which provides a missing default; the last but one step of construction.

        Raises
        ------
        SpaceError
            If the prior does not suit the domain.
        """
        if self.prior is None:
            return
        prior = Prior.read(self.prior)
        put = object.__setattr__
        try:
            self._check_prior(prior)
            if prior.best is not None:
                prior = replace(prior, best=self.cast(prior.best))
        except SpaceError as error:
            raise SpaceError(f"prior: {error}") from None
        put(self, "prior", prior)
        if self.default is MIDPOINT and prior.best is not None:
            put(self, "default", prior.best)

    def _check_prior(self, prior: Prior) -> None:
        """Raise `SpaceError` if a prior does not suit this type of domain."""
        if prior.weights is not None:
            raise SpaceError("a range has no weights: give best")

    def _described(self, spec: Spec) -> Spec:
        """A description, completed by the prior and the condition."""
        if self.prior is not None:
            spec = spec | {"prior": self.prior.to_json()}
        if self.active_if is not None:
            spec = spec | {"active_if": condition_to_json(self.active_if)}
        return spec

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of legal values; None for a continuous range."""

    @property
    def width(self) -> int:
        """Number of columns in the unit cube."""
        return 1

    @abstractmethod
    def quantile(self, u: float) -> ConfigValue:
        """Map a uniform number of [0, 1] to a value, such that values follow the domain's distribution."""

    @abstractmethod
    def cast(self, value: object) -> ConfigValue:
        """Convert text, NumPy scalars and whole floats to the legal value that they stand for.

        Raises
        ------
        SpaceError
            If ``value`` stands for no legal value.
        """

    @abstractmethod
    def encode(self, value: ConfigValue) -> Sequence[float]:
        """Map a legal value to `width` numbers in [0, 1]."""

    @abstractmethod
    def decode(self, point: Sequence[float]) -> ConfigValue:
        """Map `width` numbers to a legal value; numbers outside [0, 1] count as the nearer end."""

    @abstractmethod
    def at(self, index: int) -> ConfigValue:
        """Return the value number ``index``, ``0 <= index < size``, in ascending or given order.

        Raises
        ------
        SpaceError
            If the domain is continuous.
        """

    @abstractmethod
    def grid(self, n: int) -> list[ConfigValue]:
        """List at most ``n`` values, spread evenly over the domain's scale, both ends included.

        One value is the default. Categorical values have no order to thin out: all are listed.
        """

    @abstractmethod
    def to_json(self) -> Spec:
        """Describe the domain as data, as `tunewright.space.domain_from_json` reads it."""

    def __repr__(self) -> str:
        arguments = (f"{key}={value!r}" for key, value in self.to_json().items() if key != "type")
        return f"{type(self).__name__}({', '.join(arguments)})"

    def sample(self, rng: np.random.Generator) -> ConfigValue:
        """Draw a value from the domain's distribution."""
        return self.quantile(rng.random())

    def contains(self, value: object) -> bool:
        """Tell whether ``value`` is legal as it stands: `cast` leaves it alone (an int may stand for a float)."""
        try:
            legal = self.cast(value)
        except SpaceError:
            return False
        return legal == value and isinstance(value, int | float if isinstance(legal, float) else type(legal))


def condition_to_json(condition: ActiveIf) -> dict[str, ConfigValue | list[ConfigValue]]:
    """A condition as data, the same for a list and a tuple."""
    return {
        name: list(given) if isinstance(given, list | tuple) else cast("ConfigValue", given)
        for name, given in condition.items()
    }


def check_n_levels(n: int) -> None:
    """Raise `SpaceError` if a grid cannot have ``n`` levels."""
    if n < 1:
        raise SpaceError(f"a grid needs at least 1 level per domain, got {n}")


def spread(size: int, n: int) -> list[int]:
    """List at most ``n`` of ``size`` indices, evenly spread, both ends included (so ``n >= 2`` where n < size).

    Raises
    ------
    SpaceError
        If ``n`` is below 1.
    """
    check_n_levels(n)
    if n >= size:
        return list(range(size))
    return [(2 * i * (size - 1) + n - 1) // (2 * (n - 1)) for i in range(n)]


def part(u: float, size: int) -> int:
    """Return which of ``size`` equal parts of [0, 1] holds ``u``."""
    return min(max(int(u * size), 0), size - 1)
