"""CMA-ES: a normal distribution that adapts its mean, step size and covariance to the ranks of its draws.

References
----------
.. [Hansen2016] Hansen: The CMA Evolution Strategy: A Tutorial. arXiv 1604.00772.
.. [Hansen2011] Hansen: Injecting External Solutions Into CMA-ES. arXiv 1110.4181.
.. [Hamano2022] Hamano, Saito, Nomura, Shirakawa: CMA-ES with Margin: Lower-Bounding Marginal Probability for
   Mixed-Integer Black-Box Optimization. GECCO 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, final

import numpy as np
from scipy.special import ndtr, ndtri

from tunewright.models.arrays import Array

_SMALLEST_STEP: Final = 1e-12
"""TolX, in units of the first step size."""
_SMALLEST_DIFFERENCE: Final = 1e-12
"""TolFun."""
_LARGEST_CONDITION: Final = 1e14
"""ConditionCov."""


def default_size(n_columns: int) -> int:
    """Lambda of [Hansen2016]_, table 1."""
    return 4 + int(3.0 * math.log(n_columns))


@final
class Constants:
    """Weights and rates of [Hansen2016]_, table 1 (equations 49 to 58), negative weights included.

    Parameters
    ----------
    n_columns
        Dimension, >= 1.
    size
        lambda, >= 2: number of results of an update.
    """

    def __init__(self, n_columns: int, size: int) -> None:
        n = n_columns
        raw: Array = math.log((size + 1) / 2) - np.log(np.arange(1, size + 1))
        n_parents = size // 2
        good, bad = raw[:n_parents], raw[n_parents:]
        self.size = size
        self.mu_eff = float(good.sum() ** 2 / (good**2).sum())
        mu_eff = self.mu_eff
        mu_eff_bad = float(bad.sum() ** 2 / (bad**2).sum())
        self.c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
        self.damping = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + self.c_sigma
        self.c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
        self.c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
        self.c_mu = min(1 - self.c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))
        share = min(
            1 + self.c_1 / self.c_mu,
            1 + 2 * mu_eff_bad / (mu_eff + 2),
            (1 - self.c_1 - self.c_mu) / (n * self.c_mu),
        )
        negative = np.minimum(raw, 0.0)
        losers: Array = share * negative / max(-float(negative.sum()), 1e-300)
        winners: Array = np.maximum(raw, 0.0) / float(good.sum())
        self.weights: Array = np.add(winners, losers)
        """(lambda,), best first; the positive ones sum to 1."""
        self.parents = winners
        self.length = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        """Expected length of a standard normal vector."""


@final
@dataclass(frozen=True)
class Evolution:
    """The distribution of one generation, ``N(mean, sigma^2 C)`` in the unit cube. Updates give new objects."""

    constants: Constants
    mean: Array
    """(d,), in [0, 1]."""
    sigma: float
    first_sigma: float
    covariance: Array
    """C, (d, d)."""
    path_sigma: Array
    path_c: Array
    spread: Array
    """(d,): the diagonal matrix A of [Hamano2022]_, by which draws are stretched before they are evaluated."""
    generation: int = 0
    bests: tuple[float, ...] = ()
    """Best losses of the newest generations, oldest first."""
    last_range: float = math.inf
    """Difference of the worst and the best loss of the newest generation."""

    @staticmethod
    def start(mean: Array, sigma: float, size: int) -> Evolution:
        """A round distribution; ``size`` is the number of results of an update."""
        d = len(mean)
        zero = np.zeros(d)
        return Evolution(Constants(d, size), mean, sigma, sigma, np.eye(d), zero, zero, np.ones(d))

    @cached_property
    def _axes(self) -> tuple[Array, Array]:
        """Standard deviations along the principal axes (d,), and the axes (d, d)."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.sqrt(np.maximum(values, 1e-300)), vectors

    def draws(self, n: int, rng: np.random.Generator) -> Array:
        """Points (n, d), also outside of the cube ([Hansen2016]_, equations 38 to 40)."""
        deviations, vectors = self._axes
        return self.mean + self.sigma * (rng.standard_normal((n, len(self.mean))) * deviations) @ vectors.T

    def evaluated(self, points: Array) -> Array:
        """The points (n, d) of the cube at which draws are evaluated: stretched, then reflected at its faces."""
        folded = np.mod(self.mean + self.spread * (points - self.mean), 2.0)
        return np.minimum(folded, 2.0 - folded)

    def clipped(self, points: Array) -> Array:
        """The draws (n, d) that are evaluated at the points of the cube nearest to where these would be, after stretching."""
        places = np.clip(self.mean + self.spread * (points - self.mean), 0.0, 1.0)
        return self.mean + (places - self.mean) / self.spread

    def updated(self, points: Array, losses: Array, is_late: Array) -> Evolution:
        """The distribution after as many results as the constants say.

        Equations 41 to 47 of [Hansen2016]_. The steps of late results, whose draws come from earlier distributions, are
        cut to the length ``sqrt(d) + 2 d / (d + 2)`` ([Hansen2011]_, section 3.2). If no loss is finite only the number of the generation changes.

        Parameters
        ----------
        points
            As they were drawn, (lambda, d).
        losses
            (lambda,); infinite ones are last.
        is_late
            (lambda,): 1 for late ones, else 0.
        """
        finite = losses[np.isfinite(losses)]
        if not len(finite):
            return replace(self, generation=self.generation + 1)
        at, d = self.constants, len(self.mean)
        order = np.argsort(losses, kind="stable")
        deviations, vectors = self._axes
        steps = (points[order] - self.mean) / self.sigma
        white = (steps @ vectors) / deviations
        lengths = np.sqrt(np.einsum("ij,ij->i", white, white))
        longest = np.where(is_late[order] > 0, math.sqrt(d) + 2 * d / (d + 2), np.inf)
        cut = np.minimum(1.0, longest / np.maximum(lengths, 1e-300))
        steps, lengths, white = steps * cut[:, np.newaxis], lengths * cut, white * cut[:, np.newaxis]
        step = at.parents @ steps
        path_sigma: Array = (1 - at.c_sigma) * self.path_sigma
        path_sigma += math.sqrt(at.c_sigma * (2 - at.c_sigma) * at.mu_eff) * (vectors @ (at.parents @ white))
        length = float(np.linalg.norm(path_sigma))
        sigma = self.sigma * math.exp(min(1.0, at.c_sigma / at.damping * (length / at.length - 1)))
        settled = math.sqrt(1 - (1 - at.c_sigma) ** (2 * (self.generation + 1)))
        is_short = length / settled < (1.4 + 2 / (d + 1)) * at.length
        path_c = (1 - at.c_c) * self.path_c
        if is_short:
            path_c = path_c + math.sqrt(at.c_c * (2 - at.c_c) * at.mu_eff) * step
        lost = 0.0 if is_short else at.c_c * (2 - at.c_c)
        weights: Array = np.where(
            at.weights >= 0, at.weights, at.weights * d / np.maximum(lengths**2, 1e-300)
        )
        covariance: Array = (1 + at.c_1 * lost - at.c_1 - at.c_mu * at.weights.sum()) * self.covariance
        covariance += at.c_1 * np.outer(path_c, path_c)
        covariance += at.c_mu * (steps.T * weights) @ steps
        widest = math.sqrt(float(covariance.diagonal().max()))
        n_kept = 10 + math.ceil(30 * d / at.size)
        return replace(
            self,
            mean=np.clip(self.mean + self.sigma * step, 0.0, 1.0),
            sigma=min(sigma, 1.0 / widest),
            covariance=(covariance + covariance.T) / 2,
            path_sigma=path_sigma,
            path_c=path_c,
            generation=self.generation + 1,
            bests=(*self.bests, float(finite.min()))[-n_kept:],
            last_range=float(losses.max() - losses.min()),
        )

    @property
    def has_converged(self) -> bool:
        """Whether further draws are useless: TolX, TolFun or ConditionCov of [Hansen2016]_, section B.3."""
        deviations, _ = self._axes
        largest = max(float(np.abs(self.path_c).max()), math.sqrt(float(self.covariance.diagonal().max())))
        if self.sigma * largest < _SMALLEST_STEP * self.first_sigma:
            return True
        if float(deviations.max() / deviations.min()) ** 2 > _LARGEST_CONDITION:
            return True
        n_kept = 10 + math.ceil(30 * len(self.mean) / self.constants.size)
        is_flat = len(self.bests) == n_kept and max(self.bests) - min(self.bests) < _SMALLEST_DIFFERENCE
        return is_flat and self.last_range < _SMALLEST_DIFFERENCE

    def with_margin(self, borders: Mapping[int, Array]) -> Evolution:
        """The distribution, moved and stretched so that every discrete column keeps a chance of another value.

        [Hamano2022]_, section 4: below and above the mean's value together at least the probability ``1 / (d lambda)``.

        Parameters
        ----------
        borders
            By column the borders between neighbouring values, ascending.
        """
        if not borders:
            return self
        mean, spread = self.mean.copy(), self.spread.copy()
        margin = 1.0 / (len(mean) * self.constants.size)
        for column, places in borders.items():
            unit = self.sigma * math.sqrt(float(self.covariance[column, column]))
            at = float(mean[column])
            above = int(np.searchsorted(places, at))
            if above in (0, len(places)):  # the lowest or the highest value: equation 15
                border = float(places[min(above, len(places) - 1)])
                farthest = unit * spread[column] * float(ndtri(1 - margin))
                mean[column] = min(max(at, border - farthest), border + farthest)
            else:
                low, high = float(places[above - 1]), float(places[above])
                mean[column], deviation = _inner(at, unit * spread[column], low, high, margin)
                spread[column] = deviation / unit
        return replace(self, mean=mean, spread=spread)


def _inner(mean: float, deviation: float, low: float, high: float, margin: float) -> tuple[float, float]:
    """Mean and deviation with a chance of at least ``margin / 2`` below ``low`` and above ``high`` ([Hamano2022]_, equations 17 to 24)."""
    below, above = float(ndtr((low - mean) / deviation)), float(ndtr((mean - high) / deviation))
    within = 1.0 - below - above
    raised = max(below, margin / 2), max(above, margin / 2)
    total = sum(raised) + within
    excess = (1.0 - total) / (total - 1.5 * margin)
    parts = [min(max(part + excess * (part - margin / 2), 1e-10), 0.5 - 1e-10) for part in raised]
    left, right = (float(ndtri(1.0 - part)) for part in parts)
    return (low * right + high * left) / (left + right), (high - low) / (left + right)
