"""The metrics of the GLUE tasks."""

from __future__ import annotations

import numpy as np


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Part of the labels that are predicted."""
    return float((predicted == labels).mean())


def f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Harmonic mean of precision and recall of class 1; 0 if it occurs neither in labels nor in predictions."""
    n_hits = int(((predicted == 1) & (labels == 1)).sum())
    n_marked = int((predicted == 1).sum() + (labels == 1).sum())
    return 2 * n_hits / n_marked if n_marked else 0.0


def matthews_correlation(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Correlation of two binary variables; 0 if one of them is constant."""
    return _correlation(predicted.astype(float), labels.astype(float))


def spearmanr(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Correlation of the ranks, ties at their mean rank; 0 if all are tied."""
    return _correlation(_ranks(predicted), _ranks(labels))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    highest = np.cumsum(counts)
    return (highest - (counts - 1) / 2)[place]
