"""Surrogates: functions of points with uncertainty, their weighted sums, and how well they rank observations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.models.arrays import Array, with_column

Pullback: TypeAlias = Callable[[Array, Array], Array]
"""dF/dmeans (m, s) and dF/ddeviations (m,) -> dF/dpoints (m, d)."""


class Surrogate(ABC):
    """A function predicted at points, in s versions (fantasies) that share their uncertainty; lower is better."""

    @property
    def n_parts(self) -> int:
        """Independent functions that it is made of: :meth:`samples` needs as many columns of numbers."""
        return 1

    @abstractmethod
    def means(self, a: Array) -> Array:
        """Means (m, s) at points (m, d)."""

    @abstractmethod
    def predict(self, a: Array) -> tuple[Array, Array]:
        """Means (m, s) and deviations (m,), > 0, at points (m, d)."""

    @abstractmethod
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        """As :meth:`predict`, and its derivative."""

    @abstractmethod
    def samples(self, a: Array, normal: Array) -> Array:
        """Joint draws (m, k) of the function of the first version at points (m, d).

        Parameters
        ----------
        a
            Points (m, d).
        normal
            Standard normal numbers (m, k), k >= :attr:`n_parts`.
        """


@final
class AtResource(Surrogate):
    """A surrogate over (configuration, resource), seen at one resource.

    Parameters
    ----------
    joint
        Of points with the resource as their last column.
    resource
        What that column holds.
    """

    def __init__(self, joint: Surrogate, resource: float) -> None:
        self._joint = joint
        self._resource = resource

    @property
    @override
    def n_parts(self) -> int:
        """Versions of the inner surrogate."""
        return self._joint.n_parts

    @override
    def means(self, a: Array) -> Array:
        return self._joint.means(self._with_resource(a))

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        return self._joint.predict(self._with_resource(a))

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        means, deviations, pullback = self._joint.predict_with_pullback(self._with_resource(a))
        return means, deviations, lambda by_means, by_deviations: pullback(by_means, by_deviations)[:, :-1]

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        return self._joint.samples(self._with_resource(a), normal)

    def _with_resource(self, a: Array) -> Array:
        return with_column(a, self._resource)


@final
class WeightedSum(Surrogate):
    """The weighted sum of independent surrogates, each with its own number of versions.

    Its versions are taken in step: number i of each part, in turn again if a part has fewer.

    Parameters
    ----------
    parts
        Surrogates and their weights, > 0; at least one.
    """

    def __init__(self, parts: Sequence[tuple[Surrogate, float]]) -> None:
        self._parts = tuple(parts)

    @property
    @override
    def n_parts(self) -> int:
        """Of all parts."""
        return sum(part.n_parts for part, _ in self._parts)

    @override
    def means(self, a: Array) -> Array:
        return self._sum([part.means(a) for part, _ in self._parts])

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        """``sum w mu`` and ``sqrt(sum w^2 sigma^2)``."""
        predictions = [part.predict(a) for part, _ in self._parts]
        return self._sum([means for means, _ in predictions]), self._deviations([d for _, d in predictions])

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        predictions = [part.predict_with_pullback(a) for part, _ in self._parts]
        deviations = self._deviations([d for _, d, _ in predictions])
        widths = [means.shape[1] for means, _, _ in predictions]

        def back(by_means: Array, by_deviations: Array) -> Array:
            gradient = np.zeros_like(a)
            for (_, weight), (_, own, pullback), width in zip(self._parts, predictions, widths, strict=True):
                folded = np.zeros((len(a), width))
                for version in range(by_means.shape[1]):
                    folded[:, version % width] += by_means[:, version]
                gradient += pullback(weight * folded, weight**2 * own / deviations * by_deviations)
            return gradient

        return self._sum([means for means, _, _ in predictions]), deviations, back

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        """Joint draws (m, k): the parts use the columns of ``normal`` rotated, so that each draw has its own numbers for each."""
        draws: list[Array] = []
        shift = 0
        for part, weight in self._parts:
            draws.append(weight * part.samples(a, np.roll(normal, shift, axis=1)))
            shift += part.n_parts
        return np.sum(draws, axis=0)

    def _sum(self, means: Sequence[Array]) -> Array:
        n_versions = max(m.shape[1] for m in means)
        versions = cast("NDArray[np.intp]", np.arange(n_versions))
        weighted = [
            weight * m[:, versions % m.shape[1]] for m, (_, weight) in zip(means, self._parts, strict=True)
        ]
        return np.sum(weighted, axis=0)

    def _deviations(self, deviations: Sequence[Array]) -> Array:
        squares = [(w * d) ** 2 for d, (_, w) in zip(deviations, self._parts, strict=True)]
        return np.sqrt(np.sum(squares, axis=0))


def misranked(observed: Array, draws: Array) -> Array:
    """Pairs of observations (n,) that each of k draws (n, k) of a function ranks wrongly, (k,).

    A pair is wrong if the lower observation does not have the lower value.
    """
    is_less = observed[:, np.newaxis] < observed
    is_wrong = is_less[:, :, np.newaxis] & (draws[:, np.newaxis] >= draws[np.newaxis])
    return np.count_nonzero(is_wrong, axis=(0, 1)).astype(np.float64)


def shares_of_wins(errors: Array) -> Array:
    """The share of draws in which each function has the fewest errors; of equal ones the last wins.

    Parameters
    ----------
    errors
        (functions, draws)

    Returns
    -------
    (functions,)
        Sum 1.
    """
    winners = len(errors) - 1 - np.argmin(errors[::-1], axis=0)
    return np.bincount(winners, minlength=len(errors)) / errors.shape[1]
