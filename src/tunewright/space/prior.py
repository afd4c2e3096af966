"""What a user believes about the best value of a hyperparameter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, final, get_args

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.types import ConfigValue

Confidence = Literal["low", "medium", "high"]

_SPREADS: Final[Mapping[str, float]] = {"low": 0.5, "medium": 0.25, "high": 0.125}

PriorSpec = dict[str, ConfigValue | list[float]]
"""A prior as data: what the entry ``prior`` of a table of a space file holds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A belief about the best value of one hyperparameter; methods that use it recover where it is wrong.

    On a range or an ordered list: a normal distribution around ``best`` along the domain's own scale (in the logarithm
    where ``log=True``), cut off at the ends; ``spread`` is its deviation as a part of the whole scale. Among categories:
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
    """The value that is believed to be best; also the domain's default, where none is given."""
    confidence: Confidence | None = None
    """``low``, ``medium`` or ``high``: a spread of 0.5, 0.25 or 0.125; medium where nothing is said."""
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
