"""Targets made fit for a Gaussian process: centred, scaled, and bent where that makes them more normal."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from tunewright.models.arrays import Array


class TargetTransform(StrEnum):
    """What is done with losses before a model sees them. All keep the order."""

    STANDARDIZE = "standardize"
    """Mean 0 and deviation 1."""
    POWER = "power"
    """The power transform of Yeo and Johnson that makes them most normal, then as above."""


def transformed(losses: Array, how: TargetTransform) -> Array:
    """Targets of mean 0 and deviation 1 from finite losses (n,); zeros where all are equal."""
    plain = standardised(losses)
    return standardised(_yeo_johnson(plain)) if how is TargetTransform.POWER else plain


def standardised(values: Array) -> Array:
    """Mean 0 and deviation 1; zeros where all values are equal."""
    scale = float(np.max(np.abs(values), initial=0.0))
    if scale == 0.0 or not np.isfinite(scale):
        return np.zeros_like(values)
    scaled = values / scale  # the squares of huge values would overflow
    centred = scaled - scaled.mean()
    deviation = float(centred.std())
    return centred / deviation if deviation > 1e-12 else np.zeros_like(values)


_POWERS = np.linspace(-2.0, 2.0, 41)


def _yeo_johnson(z: Array) -> Array:
    """The transform of greatest likelihood among powers from -2 to 2.

    References
    ----------
    .. [YeoJohnson2000] Yeo, Johnson: A New Family of Power Transformations to Improve Normality or Symmetry.
       Biometrika 87 (2000).
    """
    log_jacobian = float(np.sum(np.sign(z) * np.log1p(np.abs(z))))
    candidates = [_power(z, float(power)) for power in _POWERS]
    likelihoods = [
        -len(z) / 2 * np.log(max(float(bent.var()), 1e-12)) + (power - 1) * log_jacobian
        for power, bent in zip(_POWERS, candidates, strict=True)
    ]
    return candidates[int(np.argmax(likelihoods))]


def _power(z: Array, power: float) -> Array:
    high = _box_cox(np.maximum(z, 0.0), power)
    low = _box_cox(np.maximum(-z, 0.0), 2.0 - power)
    return np.where(z >= 0, high, -low)


def _box_cox(z: Array, power: float) -> Array:
    """``((1 + z)^power - 1) / power`` for z >= 0, and its limit at power 0."""
    if abs(power) < 1e-9:
        return np.log1p(z)
    return np.expm1(power * np.log1p(z)) / power
