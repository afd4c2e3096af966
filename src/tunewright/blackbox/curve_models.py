"""Models that predict whole curves from points: nearest neighbours, and forests through scikit-learn."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.blackbox import Array
from tunewright.exceptions import MissingExtraError
from tunewright.models.arrays import from_scipy

_N_TREES: Final = 100
_RANDOM_STATE: Final = 0
_TIE: Final = 1.0 + 1e-12
"""Distances that differ by less than this factor are equal: rounding parts them."""
_FEW: Final = 50_000
"""So many numbers are compared as quickly as a tree is searched."""


class CurveModel(ABC):
    """Fitted to n points of D numbers and n curves of shape (levels, metrics)."""

    @abstractmethod
    def predict(self, point: NDArray[np.float64]) -> Array:
        """The curve of one point, of shape (levels, metrics)."""


@final
class NearestCurves(CurveModel):
    """The mean curve of the ``k`` nearest points; of equally near ones the first count."""

    def __init__(self, points: NDArray[np.float64], curves: Array, k: int) -> None:
        self._points = points
        self._curves = curves
        self._k = min(k, len(points))
        # cKDTree is KDTree without its layer of Python, which takes long to import
        self._tree: Any = None if points.size <= _FEW else from_scipy("spatial", "cKDTree")(points)

    def predict(self, point: NDArray[np.float64]) -> Array:
        """The mean of the nearest curves; a number that is missing in one of them is missing."""
        rows = self._among_all(point) if self._tree is None else self._in_tree(point)
        return self._curves[rows[0]] if self._k == 1 else self._curves[rows].mean(axis=0, dtype=np.float64)

    def _among_all(self, point: NDArray[np.float64]) -> NDArray[np.intp]:
        """The nearest rows, after a look at each."""
        offsets = self._points - point
        squares = np.einsum("ij,ij->i", offsets, offsets)
        farthest = squares.min() if self._k == 1 else np.partition(squares, self._k - 1)[self._k - 1]
        within = np.flatnonzero(squares <= farthest * _TIE**2)
        return within if len(within) == 1 else self._first(within, squares[within])

    def _in_tree(self, point: NDArray[np.float64]) -> NDArray[np.intp]:
        """The nearest rows, where a look at each would take long."""
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

    def predict(self, point: NDArray[np.float64]) -> Array:
        flat = self._model.predict(point[None])[0]
        return (flat * self._deviation + self._mean).reshape(self._shape)


def forest_of_curves(points: NDArray[np.float64], curves: Array) -> CurveModel:
    """Fit one forest of 100 trees to all numbers of the curves at once.

    Every number is standardised first, so that all count alike. Where a number is not finite, the worst finite one of
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
    worst = finite.max(axis=0, keepdims=True)
    worst = np.where(np.isfinite(worst), worst, finite.max(axis=(0, 1), keepdims=True))
    return np.where(np.isfinite(curves), curves, worst)
