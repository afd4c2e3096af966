"""Kernels over (configuration, resource): the resource is the last column, scaled to (0, 1] by its largest value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast, final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array, with_column
from tunewright.models.gp.kernels import CrossPullback, GramPullback, Kernel, Prior, matern52


@final
class OneColumn(Kernel):
    """A kernel over distances of one column, divided by a length scale. ``theta``: the log of the length scale.

    Parameters
    ----------
    function
        From scaled columns (n, 1) and (m, 1) to covariances (n, m), and their derivatives with respect to ``theta``.
    prior
        Of ``theta``.
    is_log
        Whether distances are those of the column's natural logarithm.
    """

    def __init__(
        self, function: Callable[[Array, Array], tuple[Array, Array]], prior: Prior, *, is_log: bool = False
    ) -> None:
        self._function = function
        self._prior = prior
        self._is_log = is_log

    @property
    @override
    def prior(self) -> Prior:
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        scaled = self._coordinate(x) * np.exp(-theta[-1])
        covariances, by_log_scale = self._function(scaled, scaled)

        def pullback(weights: Array) -> tuple[Array, Array]:
            return np.array([float(np.vdot(weights, by_log_scale))]), np.zeros_like(x)

        return covariances, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        scale = np.exp(-theta[-1])
        covariances, _ = self._function(self._coordinate(a) * scale, self._coordinate(b) * scale)
        return covariances, lambda weights: np.zeros((len(weights), 1))

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        return np.ones(len(a))

    def _coordinate(self, x: Array) -> Array:
        return np.log(x) if self._is_log else x


def log_resource(*, is_rough: bool = False) -> OneColumn:
    """Return a Matern kernel over the natural logarithm of the resource; its length scale is around six, or a factor 400.

    Parameters
    ----------
    is_rough
        Whether its smoothness is 1/2, so that small steps of curves tell how far they may still go, instead of 5/2.
    """
    prior = Prior.repeated(1, mean=math.log(6.0), deviation=1.0, low=math.log(0.3), high=math.log(100.0))
    return OneColumn(_exponential if is_rough else _smooth, prior, is_log=True)


def forgetting() -> OneColumn:
    """Return covariances that fade with time, ``exp(-|t - t'| / l)``, where l is about ten units of time.

    This is ``(1 - omega)^(|t - t'| / 2)`` of [Bogunovic2016]_ (equation 2) with ``l = -2 / log(1 - omega)``.

    References
    ----------
    .. [Bogunovic2016] Bogunovic, Scarlett, Cevher: Time-Varying Gaussian Process Bandit Optimization. AISTATS 2016.
    """
    prior = Prior.repeated(1, mean=math.log(10.0), deviation=1.0, low=math.log(0.5), high=math.log(1000.0))
    return OneColumn(_exponential, prior)


def _smooth(scaled_a: Array, scaled_b: Array) -> tuple[Array, Array]:
    """Matern-5/2, and its derivative with respect to the logarithm of the length scale."""
    covariances, slope = matern52(scaled_a, scaled_b)
    return covariances, slope * (scaled_a - scaled_b.T) ** 2


def _exponential(scaled_a: Array, scaled_b: Array) -> tuple[Array, Array]:
    """Matern-1/2, and its derivative with respect to the logarithm of the length scale."""
    r = np.abs(scaled_a - scaled_b.T)
    covariances = np.exp(-r)
    return covariances, r * covariances


@final
class ResourceProduct(Kernel):
    """A kernel over configurations times one over resources.

    Learning curves of similar configurations are similar, and results at near resources say more about each other
    than those at distant ones. ``theta``: the inner kernel's, then that of the resource.

    Parameters
    ----------
    inner
        The kernel over configurations.
    resources
        That over resources; None: a smooth `log_resource`.
    """

    def __init__(self, inner: Kernel, resources: OneColumn | None = None) -> None:
        self._inner = inner
        self._resources = resources or log_resource()
        self._prior = inner.prior.joined(self._resources.prior)

    @property
    @override
    def prior(self) -> Prior:
        """Of both."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        of_configs, inner_pullback = self._inner.gram(theta[:-1], x[:, :-1])
        of_resources, resource_pullback = self._resources.gram(theta[-1:], x[:, -1:])

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_x = inner_pullback(weights * of_resources)
            by_scale, by_resource = resource_pullback(weights * of_configs)
            return np.concatenate([by_theta, by_scale]), np.concatenate([by_x, by_resource], axis=1)

        return of_configs * of_resources, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        of_configs, inner_pullback = self._inner.cross(theta[:-1], a[:, :-1], b[:, :-1])
        at = a[:, -1:]
        if len(at) > 1 and (at == at[0]).all():
            at = at[:1]  # candidates are compared at one resource: a row for all of them
        of_resources, _ = self._resources.cross(theta[-1:], at, b[:, -1:])

        def pullback(weights: Array) -> Array:
            return with_column(inner_pullback(weights * of_resources), 0.0)

        return of_configs * of_resources, pullback

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        """The inner kernel's."""
        return self._inner.diagonal(theta[:-1], a[:, :-1])


@final
class ExponentialDecay(Kernel):
    """Curves that fall exponentially to a limit that depends on the configuration.

    With ``f(x, r) = g(x) (1 - delta exp(-l r)) + gamma a exp(-l r)``, where g has the inner kernel, a is standard
    normal, and the rate l of curves is Gamma distributed with shape alpha and rate beta, the covariance is::

        k(x, x') (1 - delta (c(r) + c(r')) + delta^2 c(r + r')) + gamma^2 c(r + r'),   c(r) = (beta / (r + beta))^alpha

    ``delta = 0`` is the sum of [Swersky2014]_; with ``0 < delta <= 1`` early results also depend less on the
    configuration than late ones do, as in [Tiao2020]_. ``theta``: the inner kernel's, then log alpha, log beta (in
    units of the largest resource), log gamma.

    Parameters
    ----------
    inner
        The kernel over configurations.
    delta
        In [0, 1].

    References
    ----------
    .. [Swersky2014] Swersky, Snoek, Adams: Freeze-Thaw Bayesian Optimization. arXiv 1406.3896.
    .. [Tiao2020] Tiao, Klein, Lienart, Archambeau, Seeger: Model-based Asynchronous Hyperparameter and Neural
       Architecture Search. arXiv 2003.10865.
    """

    def __init__(self, inner: Kernel, *, delta: float = 0.0) -> None:
        self._inner = inner
        self._delta = delta
        own = Prior(
            np.array([0.0, math.log(0.1), 0.0]),
            np.ones(3),
            np.log([0.01, 1e-3, 0.01]),
            np.log([100.0, 100.0, 10.0]),
        )
        self._prior = inner.prior.joined(own)

    @property
    @override
    def prior(self) -> Prior:
        """The inner kernel's, and curves that have fallen to a half after a tenth of the resource."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        of_configs, inner_pullback = self._inner.gram(theta[:-3], x[:, :-1])
        alpha, beta, gamma = np.exp(theta[-3:])
        r, delta = x[:, -1], self._delta
        single, single_by = _decay(r, alpha, beta)
        double, double_by = _decay(r[:, np.newaxis] + r, alpha, beta)
        share = 1.0 - delta * (single[:, np.newaxis] + single) + delta**2 * double
        covariances = of_configs * share + gamma**2 * double

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_x = inner_pullback(weights * share)
            on_configs = weights * of_configs
            on_single = -2.0 * delta * on_configs.sum(axis=1)
            on_double = delta**2 * on_configs + gamma**2 * weights
            shape, rate = (
                float(on_single @ one + cast("float", np.vdot(on_double, two)))
                for one, two in zip(single_by, double_by, strict=True)
            )
            height = 2.0 * gamma**2 * float(np.vdot(weights, double))
            return np.concatenate([by_theta, [shape, rate, height]]), with_column(by_x, 0.0)

        return covariances, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        of_configs, inner_pullback = self._inner.cross(theta[:-3], a[:, :-1], b[:, :-1])
        alpha, beta, gamma = np.exp(theta[-3:])
        r, other, delta = a[:, -1], b[:, -1], self._delta
        double, _ = _decay(r[:, np.newaxis] + other, alpha, beta)
        of_a, of_b = _decay(r, alpha, beta)[0], _decay(other, alpha, beta)[0]
        share = 1.0 - delta * (of_a[:, np.newaxis] + of_b) + delta**2 * double

        def pullback(weights: Array) -> Array:
            return with_column(inner_pullback(weights * share), 0.0)

        return of_configs * share + gamma**2 * double, pullback

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        alpha, beta, gamma = np.exp(theta[-3:])
        single, double = _decay(a[:, -1], alpha, beta)[0], _decay(2.0 * a[:, -1], alpha, beta)[0]
        share = 1.0 - 2.0 * self._delta * single + self._delta**2 * double
        return self._inner.diagonal(theta[:-3], a[:, :-1]) * share + gamma**2 * double


def _decay(r: Array, alpha: float, beta: float) -> tuple[Array, tuple[Array, Array]]:
    """The mean of ``exp(-l r)`` over l, and its derivatives with respect to log alpha and log beta."""
    base = beta / (r + beta)
    mean = base**alpha
    return mean, (alpha * mean * np.log(base), alpha * mean * (1.0 - base))
