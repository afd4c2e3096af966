"""Models that predict whole curves from points: nearest neighbours, and forests through scikit-learn."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.blackbox import Array
from tunewright.exceptions import MissingExtraError

_N_TREES: Final = 100
_RANDOM_STATE: Final = 0
_TIE: Final = 1.0 + 1e-12
"""Distances that differ by less than this factor are equal: rounding parts them."""


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
        self._n_looked_at = min(self._k + (k == 1), len(points))
        spatial: Any = importlib.import_module("scipy.spatial")  # takes longer than the rest of the package
        self._tree = spatial.cKDTree(points)  # KDTree without its layer of Python, which takes as long again

    def predict(self, point: NDArray[np.float64]) -> Array:
        """The mean of the nearest curves; a number that is missing in one of them is missing."""
        distances, nearest = self._tree.query(point, k=self._n_looked_at)
        if self._k == 1 and self._n_looked_at == 2 and distances[1] > distances[0] * _TIE:
            return self._curves[nearest[0]]  # no other is as near
        distances = np.ravel(distances)[: self._k]
        within = np.sort(self._tree.query_ball_point(point, float(np.max(distances)) * _TIE))
        offsets = self._points[within] - point
        order = np.argsort(np.round(np.einsum("ij,ij->i", offsets, offsets), 12), kind="stable")
        rows = within[order[: self._k]]
        return self._curves[rows[0]] if self._k == 1 else self._curves[rows].mean(axis=0, dtype=np.float64)


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
