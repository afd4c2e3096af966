"""Functions of many dimensions, in the literature's domains: NumPy only, so that other interpreters can import them."""

from __future__ import annotations

import numpy as np


def ackley(x: np.ndarray) -> float:
    """Least value 0 at 0."""
    root = np.sqrt(np.mean(x**2))
    return float(20.0 + np.e - 20.0 * np.exp(-0.2 * root) - np.exp(np.mean(np.cos(2.0 * np.pi * x))))


def levy(x: np.ndarray) -> float:
    """Least value 0 at 1."""
    w = 1.0 + (x - 1.0) / 4.0
    inner = (w[:-1] - 1.0) ** 2 * (1.0 + 10.0 * np.sin(np.pi * w[:-1] + 1.0) ** 2)
    last = (w[-1] - 1.0) ** 2 * (1.0 + np.sin(2.0 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + inner.sum() + last)


def rosenbrock(x: np.ndarray) -> float:
    """Least value 0 at 1."""
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (x[:-1] - 1.0) ** 2))


def sphere(x: np.ndarray) -> float:
    """Least value 0 at 0."""
    return float(x @ x)


def rastrigin(x: np.ndarray) -> float:
    """Least value 0 at 0."""
    return float(np.sum(x**2 - 10.0 * np.cos(2.0 * np.pi * x) + 10.0))


FUNCTIONS = {
    "ackley": ackley,
    "levy": levy,
    "rosenbrock": rosenbrock,
    "sphere": sphere,
    "rastrigin": rastrigin,
}
