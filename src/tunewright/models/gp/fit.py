"""Finding hyperparameters: maximum a posteriori by L-BFGS-B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.late_scipy import from_scipy

_MAX_STEPS: Final = 50


def fit(process: GaussianProcess, x: Array, y: Array, starts: Sequence[Array]) -> Array | None:
    """The most probable hyperparameters, given observations.

    The best of the starting points is where L-BFGS-B begins, so that a good earlier fit is the start of the next, and
    one that new observations contradict is forgotten.

    Parameters
    ----------
    process
        What is fitted.
    x, y
        Observations (n, d) and standardised targets (n,).
    starts
        Vectors (p,); the prior's mean is always one of them.

    Returns
    -------
    (p,) or None
        None where nothing finite was found.
    """
    prior = process.prior

    def objective(theta: Array) -> tuple[float, Array]:
        value, gradient = process.log_posterior(theta, x, y)
        return -value / len(x), -gradient / len(x)

    inside = [np.clip(start, prior.low, prior.high) for start in (*starts, prior.mean)]
    values = [objective(start)[0] for start in inside]
    begin = inside[int(np.nanargmin(values))] if np.isfinite(values).any() else prior.mean
    found = from_scipy("optimize", "minimize")(
        objective,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([prior.low, prior.high], axis=1),
        options={"maxiter": _MAX_STEPS, "ftol": 1e-6, "gtol": 1e-4},
    )
    theta = np.asarray(found.x, dtype=np.float64)
    return theta if np.isfinite(found.fun) and np.isfinite(theta).all() else None
