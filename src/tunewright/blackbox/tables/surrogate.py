"""SurrogateBlackbox: predictions for all configurations of the space, by nearest neighbours or forests."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.blackbox.tables.blackbox import Array, Blackbox, Values
from tunewright.blackbox.tables.tabular import TabularBlackbox
from tunewright.exceptions import MissingExtraError, SettingsError
from tunewright.models.arrays import from_scipy
from tunewright.space import Categorical, SearchSpace
from tunewright.types import Config

_N_TREES: Final = 100
_RANDOM_STATE: Final = 0
_TIE: Final = 1.0 + 1e-12
"""Distances that differ by less than this factor count as equal, because of rounding."""
_FEW: Final = 50_000
"""Up to this many numbers a full scan is as fast as a tree."""


class CurveModel(ABC):
    """Fitted to n points of D numbers and n curves of shape (levels, metrics)."""

    @abstractmethod
    def predict(self, point: NDArray[np.float64]) -> Array:
        """The curve of one point, of shape (levels, metrics)."""


@final
class NearestCurves(CurveModel):
    """The mean curve of the ``k`` nearest points, the first ones in case of ties."""

    def __init__(self, points: NDArray[np.float64], curves: Array, k: int) -> None:
        self._points = points
        self._curves = curves
        self._k = min(k, len(points))
        # cKDTree is KDTree without its layer of Python, which takes long to import
        self._tree: Any = None if points.size <= _FEW else from_scipy("spatial", "cKDTree")(points)

    @override
    def predict(self, point: NDArray[np.float64]) -> Array:
        """The mean of the nearest curves; a number that is missing in one of them is missing."""
        rows = self._among_all(point) if self._tree is None else self._in_tree(point)
        return self._curves[rows[0]] if self._k == 1 else self._curves[rows].mean(axis=0, dtype=np.float64)

    def _among_all(self, point: NDArray[np.float64]) -> NDArray[np.intp]:
        """The nearest rows, found by a full scan."""
        offsets = self._points - point
        squares = np.einsum("ij,ij->i", offsets, offsets)
        farthest = squares.min() if self._k == 1 else np.partition(squares, self._k - 1)[self._k - 1]
        within = np.flatnonzero(squares <= farthest * _TIE**2)
        return within if len(within) == 1 else self._first(within, squares[within])

    def _in_tree(self, point: NDArray[np.float64]) -> NDArray[np.intp]:
        """The nearest rows, found by a tree."""
        n_looked_at = self._k + (self._k == 1)
        distances, nearest = self._tree.query(point, k=n_looked_at)
        if self._k == 1 and distances[1] > distances[0] * _TIE:
            return nearest  # no other is as near
        within = np.sort(self._tree.query_ball_point(point, float(distances[self._k - 1]) * _TIE))
        offsets = self._points[within] - point
        return self._first(within, np.einsum("ij,ij->i", offsets, offsets))

    def _first(self, rows: NDArray[np.intp], squares: NDArray[np.float64]) -> NDArray[np.intp]:
        """The ``k`` nearest of some rows."""
        return rows[np.argsort(np.round(squares, 12), kind="stable")[: self._k]]


@final
class _ForestCurves(CurveModel):
    """Predictions of a regression model on flat, standardised curves."""

    def __init__(self, model: Any, scaling: tuple[NDArray[np.float64], ...], shape: tuple[int, ...]) -> None:
        self._model = model
        self._mean, self._deviation = scaling
        self._shape = shape

    @override
    def predict(self, point: NDArray[np.float64]) -> Array:
        flat = self._model.predict(point[None])[0]
        return (flat * self._deviation + self._mean).reshape(self._shape)


def forest_of_curves(points: NDArray[np.float64], curves: Array) -> CurveModel:
    """Fit one forest of 100 trees to all numbers of the curves at once.

    Every number is standardised first, so that all have the same weight. For a non-finite number, the worst finite one of
    its metric and level stands in, or that of the metric: the largest, as a diverged loss is large.

    Raises
    ------
    MissingExtraError
        scikit-learn is not installed.
    """
    try:
        ensemble: Any = importlib.import_module("sklearn.ensemble")
    except ImportError:
        raise MissingExtraError("benchmarks", "A surrogate of the kind 'forest'") from None
    flat = _finite(curves.astype(np.float64)).reshape(len(curves), -1)
    mean, deviation = flat.mean(axis=0), flat.std(axis=0)
    deviation[deviation == 0.0] = 1.0
    model = ensemble.RandomForestRegressor(n_estimators=_N_TREES, random_state=_RANDOM_STATE, n_jobs=1)
    model.fit(points, (flat - mean) / deviation)
    return _ForestCurves(model, (mean, deviation), curves.shape[1:])


def _finite(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.where(np.isfinite(curves), curves, -np.inf)
    worst: Array = finite.max(axis=0, keepdims=True)
    worst = np.where(np.isfinite(worst), worst, finite.max(axis=(0, 1), keepdims=True))
    return np.where(np.isfinite(curves), curves, worst)


_REMEMBERED: Final = 4096
"""Maximum number of cached curves."""


class SurrogateKind(StrEnum):
    """Prediction of unrecorded configurations."""

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

    @override
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
    """Standard deviations of numbers; 1 for categorical and constant columns."""
    is_number = [
        not isinstance(domain, Categorical) for domain in space.domains.values() for _ in range(domain.width)
    ]
    scale = np.where(is_number, points.std(axis=0), 1.0)
    scale[scale == 0.0] = 1.0
    return scale
