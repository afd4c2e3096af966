"""A kernel over (configuration, folds): results are averages over the first folds of a cross-validation."""

from __future__ import annotations

import math
from typing import cast, final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array, with_column
from tunewright.models.gp.kernels import CrossPullback, GramPullback, Kernel, Matern52, Prior


@final
class SharedScale(Kernel):
    """Matern-5/2 with one length scale for all columns. ``theta``: its logarithm.

    Parameters
    ----------
    n_columns
        d, >= 1.
    """

    def __init__(self, n_columns: int) -> None:
        self._n = n_columns
        self._inner = Matern52(n_columns)
        whole = self._inner.prior
        self._prior = Prior(whole.mean[:1], whole.deviation[:1], whole.low[:1], whole.high[:1])

    @property
    @override
    def prior(self) -> Prior:
        """That of a length scale of `Matern52`."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        covariances, inner_pullback = self._inner.gram(np.repeat(theta, self._n), x)

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_x = inner_pullback(weights)
            return by_theta.sum(keepdims=True), by_x

        return covariances, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        return self._inner.cross(np.repeat(theta, self._n), a, b)

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        return self._inner.diagonal(theta, a)


@final
class CrossValidation(Kernel):
    """Averages over the first r of R folds, each of which has a preference of its own.

    Fold k gives ``e_k(x) = f(x) + g_k(x)``: the configuration's value, and the deviation of this fold's data from it
    of it. f has the inner kernel, the g_k are independent and all have a Matern kernel with one length scale, v times as
    large on average over all R folds. The average over the first r folds then has the covariance::

        k_f(x, x') + k_g(x, x') min(r, r') / (r r') = k_f(x, x') + v k_1(x, x') R / max(r, r')

    Two averages share the folds of the shorter one, so that a longer one adds to what is known of both. It is the kernel
    that Syne Tune calls ``cross-validation``, an additive relative of the multi-task kernel by which [Swersky2013]_ (section 3.2)
    spare folds. ``theta``: the inner kernel's, then log v, then the logarithm of the folds' length scale.

    Parameters
    ----------
    inner
        The kernel over configurations.
    n_columns
        d, of the configurations.

    References
    ----------
    .. [Swersky2013] Swersky, Snoek, Adams: Multi-Task Bayesian Optimization. NeurIPS 2013.
    """

    def __init__(self, inner: Kernel, n_columns: int) -> None:
        self._inner = inner
        self._of_folds = SharedScale(n_columns)
        ratio = Prior.repeated(1, mean=math.log(0.1), deviation=1.0, low=math.log(1e-4), high=math.log(10.0))
        self._prior = inner.prior.joined(ratio).joined(self._of_folds.prior)

    @property
    @override
    def prior(self) -> Prior:
        """The inner kernel's, and folds whose average differs with a tenth of its variance."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        main, main_pullback = self._inner.gram(theta[:-2], x[:, :-1])
        alike, fold_pullback = self._of_folds.gram(theta[-1:], x[:, :-1])
        share = np.exp(theta[-2]) / np.maximum(x[:, -1:], x[:, -1])

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_x = main_pullback(weights)
            on_folds = weights * share
            by_scale, by_fold_x = fold_pullback(on_folds)
            by_ratio = float(cast("float", np.vdot(on_folds, alike)))
            return np.concatenate([by_theta, [by_ratio], by_scale]), with_column(by_x + by_fold_x, 0.0)

        return main + share * alike, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        main, main_pullback = self._inner.cross(theta[:-2], a[:, :-1], b[:, :-1])
        alike, fold_pullback = self._of_folds.cross(theta[-1:], a[:, :-1], b[:, :-1])
        share = np.exp(theta[-2]) / np.maximum(a[:, -1:], b[:, -1])

        def pullback(weights: Array) -> Array:
            return with_column(main_pullback(weights) + fold_pullback(weights * share), 0.0)

        return main + share * alike, pullback

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        return self._inner.diagonal(theta[:-2], a[:, :-1]) + np.exp(theta[-2]) / a[:, -1]
