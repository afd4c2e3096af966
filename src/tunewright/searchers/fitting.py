"""A Gaussian process from one suggestion to the next: when it is fitted anew, and what is kept."""

from __future__ import annotations

import logging
import math
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.gp.factor import Factor
from tunewright.models.gp.fit import fit
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.targets import TargetTransform, have_one_sign, transformed
from tunewright.searchers.encoding import Fit

_log = logging.getLogger(__name__)

_GROWTH: Final = 1.15
"""A fit lasts until there are so many times as many rows: its cost, spread over them, stays that of a few."""

_MOST_FITTED: Final = 200
"""Rows that tell enough about the hyperparameters; more would cost their cube in each step of a fit."""


@final
class FittedProcess:
    """Hyperparameters come from the notes, and are found anew where there is enough news.

    Whether a fit is due depends on the number of rows alone, and it begins where the newest one in the notes ended. Of
    more than 200 rows it looks at so many, spread evenly over their order; predictions use all of them. The
    factor of the covariance is built at once for the rows of the fit and extended by the later ones. So everything is
    a function of History; the factor and the last fit are kept to save time.

    Parameters
    ----------
    process
        The prior.
    name
        For messages.
    """

    def __init__(self, process: GaussianProcess, name: str) -> None:
        self._process = process
        self._name = name
        self._factor: Factor | None = None
        self._factor_of: tuple[bytes, int] = (b"", 0)
        self._last: tuple[tuple[bytes, ...], Fit] | None = None
        self._has_warned = False

    def posterior(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> tuple[Posterior, Fit]:
        """Learn from observations.

        Parameters
        ----------
        x, y
            Points (n, d) and standardised targets (n,), n >= 1.
        known
            The newest fit in the notes.
        n_rows
            How many rows there are, those included that were left out because a model cannot bear more.

        Returns
        -------
        posterior, fit
            The fit is ``known`` itself where none was due.
        """
        at = self.hyperparameters(x, y, known, n_rows)
        base = min(at.n_rows, len(x))
        factor_of = (at.theta.tobytes(), base)
        if self._factor is None or self._factor_of != factor_of:
            self._factor = factorise(self._process, at.theta, x, base)
            self._factor_of = factor_of
        else:
            self._factor = self._factor.extended(x)
        return Posterior(self._process, at.theta, x, self._factor.lower, y[:, np.newaxis]), at

    def hyperparameters(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> Fit:
        """The fit alone, as in :meth:`posterior`."""
        is_due = known is None or n_rows >= max(known.n_rows + 1, math.ceil(_GROWTH * known.n_rows))
        return self._refit(x, y, known, n_rows) if known is None or is_due else known

    def _refit(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> Fit:
        start = () if known is None else (known.theta,)
        asked = (x.tobytes(), y.tobytes(), *(theta.tobytes() for theta in start))
        if self._last is not None and self._last[0] == asked:
            return self._last[1]
        if len(x) > _MOST_FITTED:
            chosen = np.linspace(0, len(x) - 1, _MOST_FITTED).round().astype(np.intp)
            x, y = x[chosen], y[chosen]
        theta = fit(self._process, x, y, start)
        if theta is None:
            theta = self._process.prior.mean if known is None else known.theta
            self._warn()
        found = Fit(n_rows, theta)
        self._last = (asked, found)
        return found

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("The fit of the %s model failed: its last good hyperparameters are used", self._name)


@final
class Targets:
    """Losses as a model wants them; says once where the wanted transform is impossible.

    Parameters
    ----------
    how
        The wanted one.
    """

    def __init__(self, how: TargetTransform) -> None:
        self._how = how
        self._has_warned = False

    def of(self, losses: Array) -> Array:
        """Targets (n,) of mean 0 and deviation 1 from finite losses (n,)."""
        if self._how is TargetTransform.BOX_COX and not self._has_warned and not have_one_sign(losses):
            self._has_warned = True
            _log.warning(
                "targets=box_cox needs a metric whose values are all above zero, or all below: "
                "targets=power is used instead"
            )
        return transformed(losses, self._how)
