"""Forecasts from processes over configuration and resource: at the end of a full run, or at the next level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Groups, Matern52
from tunewright.models.gp.latent_kronecker import Cells, LatentKronecker
from tunewright.models.gp.pathwise import CurvePosterior
from tunewright.models.gp.posterior import Posterior
from tunewright.models.surrogate import AtResource, Surrogate
from tunewright.searchers.candidate_selection import Forecast, ForecastLearner
from tunewright.searchers.encoding import Fit, Rows, Snapshot, limited
from tunewright.searchers.gp import FittedProcess, GPSettings, Targets, with_fantasies
from tunewright.searchers.gp_levels import JointModel, LevelMean

MOST_DENSE: Final = 1000
"""Observations up to which their covariance is factorised; beyond it, its Kronecker structure is used."""


@final
class FinalForecast(Forecast):
    """Forecast in which every run is judged by the predicted loss at the end of a full run.

    Parameters
    ----------
    final
        Losses at the end.
    observed
        Configurations of which something is known, (k, d).
    fit
        Hyperparameters.
    """

    def __init__(self, final: Surrogate, observed: Array, fit: Fit) -> None:
        means = final.means(observed)
        self._final = final, means.min(axis=0)
        self._observed = observed[np.argsort(means.mean(axis=1), kind="stable")]
        self._fit = fit

    @property
    @override
    def observed(self) -> Array:
        """The lowest predicted end first."""
        return self._observed

    @property
    @override
    def fits(self) -> Mapping[str, Fit]:
        """Of the curves."""
        return {"curves": self._fit}

    @override
    def at(self, level: int) -> tuple[Surrogate, Array]:
        """Losses at the end, and the lowest that is predicted there for any trial of which something is known."""
        return self._final


@final
class CurveLearner(ForecastLearner):
    """One process of all learning curves, seen at the end of a full run.

    Hyperparameters are found as in all our Gaussian processes, on 200 observations at most. Up to `MOST_DENSE`
    observations the posterior is computed by a Cholesky factor, and pending results are fantasised ``n_fantasies`` times;
    beyond, by conjugate gradients (`CurvePosterior`), and pending results count as their predictions.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    levels
        Resources of the grid, strictly increasing; the last one is that of a full run.
    settings
        Of the model.
    mean
        Mean along the resource.
    """

    def __init__(
        self,
        groups: Groups,
        levels: Sequence[int],
        settings: GPSettings,
        mean: LevelMean = LevelMean.CURVE,
    ) -> None:
        self._settings = settings
        self._mean = mean
        self._targets = Targets(settings.targets)
        self._resources = np.array(levels, dtype=np.float64) / levels[-1]
        self._prior = LatentKronecker(Matern52(groups))
        self._fitted = FittedProcess(self._prior.process, "learning curve")

    @override
    def forecast(self, snapshot: Snapshot, rng: np.random.Generator) -> Forecast | None:
        """None below two observations."""
        if len(snapshot.rows) < 2:
            return None
        rows = limited(snapshot.rows, self._settings.max_observations)
        final, fit = self._final(snapshot, rows, rng)
        return FinalForecast(final, snapshot.points[np.unique(rows.trials)], fit)

    def _final(self, snapshot: Snapshot, rows: Rows, rng: np.random.Generator) -> tuple[Surrogate, Fit]:
        above = self._mean.of(snapshot, len(self._resources))
        y = self._targets.of(rows.losses - above[rows.levels])
        known, n_rows = snapshot.fits.get("curves"), len(snapshot.rows)
        n_fantasies = self._settings.n_fantasies
        trials = np.union1d(rows.trials, snapshot.pending)
        places = np.searchsorted(trials, rows.trials)
        cells = Cells(snapshot.points[trials], self._resources, places, rows.levels)
        if len(rows) > MOST_DENSE:
            fit = self._fitted.hyperparameters(cells.points, y, known, n_rows)
            pending = (np.searchsorted(trials, snapshot.pending), snapshot.pending_levels)
            posterior = CurvePosterior(
                self._prior, fit.theta, cells, y, pending=pending if n_fantasies else None, rng=rng
            )
            return posterior.at_column(len(self._resources) - 1), fit
        exact, fit = self._fitted.posterior(cells.points, y, known, n_rows)
        resources = self._resources[snapshot.pending_levels][:, np.newaxis]
        running = np.concatenate([snapshot.points[snapshot.pending], resources], axis=1)
        return AtResource(with_fantasies(exact, running, n_fantasies, rng), 1.0), fit


@final
class LevelForecast(Forecast):
    """Forecast in which a run is judged by the predicted loss at its level.

    Parameters
    ----------
    joint, versions
        The process over configuration and resource, and its observations.
    rows, y
        What it learned from: transformed losses (n,).
    points
        All configurations.
    fit
        Hyperparameters.
    """

    def __init__(
        self, joint: JointModel, versions: Posterior, rows: Rows, y: Array, points: Array, fit: Fit
    ) -> None:
        self._joint, self._versions = joint, versions
        self._rows, self._y = rows, y
        self._points = points
        self._fit = fit

    @property
    @override
    def observed(self) -> Array:
        """The trials at the highest level first, the best of a level first."""
        order = np.lexsort((self._y, -self._rows.levels))
        trials = self._rows.trials[order]
        first = np.sort(np.unique(trials, return_index=True)[1])
        return self._points[trials[first]]

    @property
    @override
    def fits(self) -> Mapping[str, Fit]:
        """Of the joint process."""
        return {"joint": self._fit}

    @override
    def at(self, level: int) -> tuple[Surrogate, Array]:
        here = self._y[self._rows.levels == level]
        best = float(np.min(here if len(here) else self._y))
        return self._joint.at_level(self._versions, level), np.array([best])


@final
class LevelForecastLearner(ForecastLearner):
    """A joint process over configuration and resource, seen at the level to which a run goes.

    The best value of a level is that of Wistuba, Kadra, Grabocka ("Supervising the Multi-Fidelity Race of Hyperparameter
    Configurations", NeurIPS 2022, equation 6).

    Parameters
    ----------
    joint
        The process.
    settings
        Of the model.
    """

    def __init__(self, joint: JointModel, settings: GPSettings) -> None:
        self._joint = joint
        self._settings = settings

    @override
    def forecast(self, snapshot: Snapshot, rng: np.random.Generator) -> Forecast | None:
        """None below two observations."""
        if len(snapshot.rows) < 2:
            return None
        known = self._joint.learn(snapshot)
        n_fantasies = self._settings.n_fantasies
        versions = with_fantasies(known.posterior, self._joint.pending(snapshot), n_fantasies, rng)
        return LevelForecast(self._joint, versions, known.rows, known.y, snapshot.points, known.fit)
