"""Choice between paused trials and new ones by their forecasts, for schedulers that own their candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.history import History
from tunewright.models.acquisition import Acquisition, LogExpectedImprovement, Weighted
from tunewright.models.arrays import Array
from tunewright.models.surrogate import Surrogate
from tunewright.searchers.acquisition_optimizer import N_INCUMBENTS, AcquisitionOptimizer, SearchWidth, Spread
from tunewright.searchers.encoding import Fit, Observations, Snapshot
from tunewright.searchers.gp import SuccessModel
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.seeding import Stream, generator
from tunewright.trial import Suggestion
from tunewright.types import Note


class Forecast(ABC):
    """Predicted losses of trials at one instant."""

    @property
    @abstractmethod
    def observed(self) -> Array:
        """Points (k, d), k >= 1, at which something was observed, the most promising first."""

    @property
    @abstractmethod
    def fits(self) -> Mapping[str, Fit]:
        """Hyperparameters by model, also those that the notes already hold."""

    @abstractmethod
    def at(self, level: int) -> tuple[Surrogate, Array]:
        """Losses over configurations that judge a run to a level, and the best so far in each version."""


class ForecastLearner(ABC):
    """Makes a forecast from observations."""

    @abstractmethod
    def forecast(self, snapshot: Snapshot, rng: np.random.Generator) -> Forecast | None:
        """A function of the arguments; None if there are too few results. ``rng`` draws fantasies."""


@final
class NewTrials(Proposer):
    """New configurations of the largest expected improvement in a run to the first level, times the probability of success.

    Parameters
    ----------
    learner
        Makes the forecast.
    cube
        The unit cube to search.
    spread
        Distribution of the candidates.
    width
        How many there are.
    """

    def __init__(self, learner: ForecastLearner, cube: UnitCube, spread: Spread, width: SearchWidth) -> None:
        self._learner = learner
        self._optimizer = AcquisitionOptimizer(cube, spread, width)
        self._success = SuccessModel(cube.n_columns)

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        forecast = self._learner.forecast(snapshot, rng)
        return None if forecast is None else self.proposal(forecast, snapshot, rng)

    def proposal(self, forecast: Forecast, snapshot: Snapshot, rng: np.random.Generator) -> Proposal:
        """As :meth:`propose`, from a forecast."""
        acquisition, fits = self.acquisition(forecast, snapshot)
        incumbents = forecast.observed[:N_INCUMBENTS]
        points = self._optimizer.best_points(acquisition, incumbents, rng, len(snapshot.rows))
        return Proposal(points, snapshot.note_of({**forecast.fits, **fits}))

    def acquisition(self, forecast: Forecast, snapshot: Snapshot) -> tuple[Acquisition, Mapping[str, Fit]]:
        """The function that is maximised, and the hyperparameters of the model of success."""
        improvement = LogExpectedImprovement(*forecast.at(0))
        log_success, fits = self._success.learn(snapshot)
        return improvement if log_success is None else Weighted(improvement, log_success, 1.0), fits


@final
@dataclass(frozen=True, slots=True)
class Chosen:
    """The next run: of a paused trial, or of a new one."""

    trial_id: int | None
    suggestion: Suggestion | None
    note: Note
    """The searcher's part."""


@final
class CandidateSelector:
    """Weighs paused trials against the best new configuration, by the logarithm of the expected improvement.

    Parameters
    ----------
    context
        Space, seed and initial points.
    learner
        Makes the forecast.
    observations
        Reads History at the levels.
    n_initial
        Trials that are begun before the model is asked, the given points included.
    spread, width
        How candidates for new trials are spread, and how many there are.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """

    def __init__(
        self,
        context: SearcherContext,
        learner: ForecastLearner,
        observations: Observations,
        *,
        n_initial: int = 6,
        spread: Spread = Spread.LATIN_HYPERCUBE,
        width: SearchWidth = SearchWidth.NARROW,
    ) -> None:
        self._context = context
        self._learner = learner
        self._observations = observations
        self._new = NewTrials(learner, context.cube(), spread, width)
        self._searcher = ModelBasedSearcher(context, self._new, observations, n_initial=n_initial)

    def chosen(
        self, history: History, waiting: Mapping[int, int], *, paused_first: bool = False
    ) -> Chosen | None:
        """Return the trial with the highest expected improvement of its next run; None if nothing is left to run.

        Parameters
        ----------
        history
            Everything observed.
        waiting
            Paused trials, and the number of the level up to which each would run.
        paused_first
            Whether new trials are considered only if none waits.
        """
        snapshot = self._observations.read(history)
        rng = generator(self._context.seed, Stream.MODEL, history.n_runs)
        is_early = history.n_suggested < self._searcher.n_initial
        forecast = None if is_early else self._learner.forecast(snapshot, rng)
        if forecast is None:
            drawn = self._searcher.drawn(history)
            if drawn is not None:
                return Chosen(None, drawn, {})
            forecast = self._learner.forecast(snapshot, rng)
            if forecast is None:
                return Chosen(min(waiting), None, {}) if waiting else None
        best, value = self._best_of(waiting, snapshot, forecast)
        if best is not None and paused_first:
            return Chosen(best, None, snapshot.note_of(forecast.fits))
        proposal = self._new.proposal(forecast, snapshot, rng)
        new = self._searcher.taken(history, proposal)
        if best is None:
            return None if new is None else Chosen(None, new, proposal.note)
        if new is not None:
            point = self._context.space.encode([new.config])
            if self._new.acquisition(forecast, snapshot)[0].values(point)[0] > value:
                return Chosen(None, new, proposal.note)
        return Chosen(best, None, proposal.note)

    @staticmethod
    def _best_of(
        waiting: Mapping[int, int], snapshot: Snapshot, forecast: Forecast
    ) -> tuple[int | None, float]:
        """The paused trial with the highest expected improvement; of equal ones the oldest."""
        best, most = None, -np.inf
        for level in sorted(set(waiting.values())):
            trials = sorted(trial for trial, up_to in waiting.items() if up_to == level)
            values = LogExpectedImprovement(*forecast.at(level)).values(snapshot.points[trials])
            place = int(np.argmax(values))
            if best is None or values[place] > most:
                best, most = trials[place], float(values[place])
        return best, most
