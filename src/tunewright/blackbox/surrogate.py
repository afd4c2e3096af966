"""SurrogateBlackbox: an answer for every configuration of the space, predicted from the recorded ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.blackbox import Array, Blackbox, Values
from tunewright.blackbox.curve_models import CurveModel, NearestCurves, forest_of_curves
from tunewright.blackbox.tabular import TabularBlackbox
from tunewright.exceptions import SettingsError
from tunewright.space import Categorical, SearchSpace
from tunewright.types import Config

_REMEMBERED: Final = 4096
"""Predicted curves that are kept."""


class SurrogateKind(StrEnum):
    """How unrecorded configurations are answered."""

    NEAREST = "nearest"
    """The curve of the nearest recorded configuration."""
    NEIGHBOURS = "neighbours"
    """The mean curve of the nearest five."""
    FOREST = "forest"
    """A random forest of 100 trees (scikit-learn)."""


_MODELS: Final[Mapping[SurrogateKind, Callable[[NDArray[np.float64], Array], CurveModel]]] = {
    SurrogateKind.NEAREST: partial(NearestCurves, k=1),
    SurrogateKind.NEIGHBOURS: partial(NearestCurves, k=5),
    SurrogateKind.FOREST: forest_of_curves,
}

_NOTES: Final[Mapping[SurrogateKind, str]] = {
    SurrogateKind.NEAREST: "curves of the nearest recorded configuration",
    SurrogateKind.NEIGHBOURS: "mean curves of the five nearest recorded configurations",
    SurrogateKind.FOREST: "curves predicted by a random forest of 100 trees",
}


@final
class SurrogateBlackbox(Blackbox):
    """Predicts curves from a table; for each recorded seed from that seed's curves alone.

    Models are fitted when they are first asked, once, and give the same answers for the same table. Configurations lie
    in the unit cube of the table's space: numbers divided by their standard deviation over the recorded
    configurations, categorical values one-hot. The choice of the surrogate changes the problem: results of different
    kinds cannot be compared.

    Parameters
    ----------
    table
        The recorded runs.
    kind
        How it predicts.

    Raises
    ------
    SettingsError
        There is no such kind.
    """

    def __init__(self, table: TabularBlackbox, kind: SurrogateKind | str = SurrogateKind.NEAREST) -> None:
        try:
            self.kind = SurrogateKind(kind)
        except ValueError:
            known = ", ".join(SurrogateKind)
            raise SettingsError(f"Unknown surrogate {kind!r}: one of {known}") from None
        note = f"surrogate values: {_NOTES[self.kind]}"
        old = table.description
        super().__init__(
            replace(old, values=Values.SURROGATE, note=f"{note}; {old.note}" if old.note else note)
        )
        self._table = table
        self._points: NDArray[np.float64] | None = None
        self._scale = np.ones(table.space.n_columns)
        self._models: dict[int, CurveModel] = {}
        self._curves: OrderedDict[tuple[object, ...], Array] = OrderedDict()

    def curve(self, config: Config, seed: int = 0) -> Array:
        """The predicted curve."""
        key = (seed, *self.space.key(config))
        curve = self._curves.get(key)
        if curve is None:
            model = self._model(seed)
            point = self.space.encode([config])[0] / self._scale
            curve = self._curves[key] = model.predict(point)
            if len(self._curves) > _REMEMBERED:
                self._curves.popitem(last=False)
        return curve

    def _model(self, seed: int) -> CurveModel:
        if seed not in self._models:
            if self._points is None:
                encoded = self.space.encode(self._table.configs)
                self._scale = _scale(self.space, encoded)
                self._points = encoded / self._scale
            self._models[seed] = _MODELS[self.kind](self._points, self._table.values[:, seed])
        return self._models[seed]


def _scale(space: SearchSpace, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard deviations of numbers; 1 for columns of categorical values and those that never vary."""
    is_number = [
        not isinstance(domain, Categorical) for domain in space.domains.values() for _ in range(domain.width)
    ]
    scale = np.where(is_number, points.std(axis=0), 1.0)
    scale[scale == 0.0] = 1.0
    return scale
