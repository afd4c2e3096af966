"""TuRBO: Bayesian optimisation in trust regions, by Thompson sampling.

References
----------
.. [Eriksson2019] Eriksson, Pearce, Gardner, Turner, Poloczek: Scalable Global Optimization via Local Bayesian
   Optimization. NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.pathwise import FunctionDraw
from tunewright.models.gp.posterior import factorise
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.targets import TargetTransform
from tunewright.searchers.encoding import Failures, Fit, Observations, Snapshot, final_loss
from tunewright.searchers.gp import FittedProcess, SuccessModel, Targets, check_hamming, column_groups
from tunewright.searchers.model_based import NewConfigs, Proposal
from tunewright.searchers.model_free import SearcherContext
from tunewright.seeding import Stream, generator
from tunewright.trial import Suggestion
from tunewright.types import Json

_SHORTEST_SCALE: Final = 0.005
_LONGEST_SCALE: Final = 2.0
"""Length scales that shape a region, as in the authors' program: a column without influence does not shrink all others."""
_LEAST_IMPROVEMENT: Final = 1e-3
"""Part of the best loss by which a success is better."""
_PERTURBED: Final = 20
"""Expected number of hyperparameters in which a candidate differs from the centre."""
_KEPT: Final = 256
"""Candidates of which the first new one is taken."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TuRBOSettings:
    """Settings of TuRBO; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_regions: int = 1
    """Trust regions at the same time, >= 1; a new trial goes to the one with the best draw."""
    n_initial: int | None = None
    """Trials that are spread over the space before a region begins, and after each restart, >= 2; None: twice the hyperparameters, at least 4."""
    initial_length: float = 0.8
    """First side of a region, as a part of the space's, > 0."""
    shortest_length: float = 0.5**7
    """A region with shorter sides is given up, > 0."""
    longest_length: float = 1.6
    """Sides do not grow beyond it."""
    success_tolerance: int = 3
    """Successes in a row after which sides double, >= 1."""
    failure_tolerance: int | None = None
    """Results in a row without a success after which sides are halved, >= 1; None: the number of hyperparameters, at least 4."""
    n_candidates: int | None = None
    """Candidates of a draw, >= 2; None: 100 per hyperparameter, at most 5,000."""
    max_observations: int = 500
    """Results that the model of a region learns from at most, the nearest to its centre, >= 2."""
    targets: TargetTransform = TargetTransform.WINSORIZE
    """Transformation of losses before the model learns: ``winsorize`` cuts off extreme ones, ``log`` and ``rank`` are for losses that
    diverge, ``power`` and ``box_cox`` make them close to normal, ``standardize`` changes their scale only."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss, and draws are
    weighted by the probability of success; ``drop``: the model does not see them. They are no successes of a region in any case."""
    hamming_above: int | None = 5
    """A category of more values has one length scale, one of fewer a length scale for each value; None: all have one for each value."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "targets", choice("targets", TargetTransform, self.targets))
        put(self, "failures", choice("failures", Failures, self.failures))
        check_at_least(self, 1, "n_regions", "success_tolerance")
        check_at_least(self, 2, "max_observations")
        if self.n_initial is not None:
            check_at_least(self, 2, "n_initial")
        if self.failure_tolerance is not None:
            check_at_least(self, 1, "failure_tolerance")
        if self.n_candidates is not None:
            check_at_least(self, 2, "n_candidates")
        if not 0 < self.shortest_length <= self.initial_length <= self.longest_length:
            raise SettingsError("0 < shortest_length <= initial_length <= longest_length must hold")
        check_hamming(self.hamming_above)


@final
@dataclass(frozen=True, slots=True)
class _Region:
    """A trust region at one instant."""

    length: float
    n_rounds: int = 0
    """Restarts so far."""
    trials: tuple[int, ...] = ()
    """Trials of this round, oldest first; the first ones are its design."""
    n_judged: int = 0
    waiting: tuple[int, ...] = ()
    """Those of them whose results the region has not seen."""
    best: float = math.inf
    successes: int = 0
    failures: int = 0


@final
class TuRBOSearcher(Searcher):
    """Draw a function from the process of each region, and take the lowest of all regions' candidates ([Eriksson2019]_, section 2).

    A region begins with a Latin hypercube over the space. Its centre is its best trial; the sides are in proportion to the length
    scales, with the volume of a cube of the region's length. Candidates differ from the centre in ``min(20 / p, 1)`` of the p hyperparameters, at least one. A number
    is drawn within the sides; an integer or an ordered value reaches its neighbours at least; a category is one hyperparameter, and any of its values is drawn.

    Results are judged in groups of as many as there are running trials of the region and one more, so that with one worker each result is
    judged by itself, and with q workers q results are judged as a batch: a success if the best of them is better than the region's best by 0.1 %.
    Sides double after successes in a row, and are halved after results without success; a region that became too short begins anew, without its data.

    Running trials change no model: a draw of the posterior stays one if the running trials' results are drawn along with it. The
    note of a trial has its region, and the trials whose results were judged before it began, so that regions are a function of History.

    Parameters
    ----------
    context
        Space, seed and initial points, which belong to the first region's design; of listed candidates the nearest to a proposed point is suggested.
    settings
        Of regions and their models.
    metric
        What is tuned.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """

    def __init__(self, context: SearcherContext, settings: TuRBOSettings, *, metric: Metric) -> None:
        space = context.space
        n = max(len(space.domains), 1)
        self._seed = context.seed
        self._settings = settings
        self._metric = metric
        self._new = NewConfigs(context)
        self._cube = context.cube()
        self._observations = Observations(space, metric, failures=settings.failures)
        self._n_initial = settings.n_initial or max(2 * n, 4)
        self._n_candidates = settings.n_candidates or min(100 * n, 5000)
        self._failure_tolerance = settings.failure_tolerance or max(n, 4)
        self._probability = min(_PERTURBED / n, 1.0)
        self._kernel = Matern52(column_groups(space, settings.hamming_above) or 1)
        self._process = GaussianProcess(self._kernel)
        self._fitted = [FittedProcess(self._process, "region") for _ in range(settings.n_regions)]
        self._success = SuccessModel(space.n_columns)
        self._targets = Targets(settings.targets)
        self._history: History | None = None
        self._n_trials = 0
        self._regions: tuple[_Region, ...] = ()

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next given point, point of a design, or best candidate; None when every configuration was tried."""
        if history.n_suggested < self._new.n_initial:
            return self._new.drawn(history)
        self._read(history)
        judged = self._due(history)
        regions = self._judged(history, self._regions, judged)
        note: dict[str, Json] = {"judged": [*judged]} if judged else {}
        rng = generator(self._seed, Stream.MODEL, history.n_runs)
        proposal = self._design(regions) or self._drawn(history, regions, rng)
        return self._new.taken(history, Proposal(proposal.points, {**note, **proposal.note}))

    def _read(self, history: History) -> None:
        """Follow the notes of the trials that began since the last call."""
        if history is not self._history:
            self._history, self._n_trials = history, 0
            self._regions = (_Region(self._settings.initial_length),) * self._settings.n_regions
        for trial_id in range(self._n_trials, history.n_trials):
            note: Any = history.note(trial_id, 0).get("searcher", {})
            regions = [*self._judged(history, self._regions, cast("Sequence[int]", note.get("judged", ())))]
            number = int(note.get("region", 0))
            region = regions[number]
            regions[number] = replace(
                region, trials=(*region.trials, trial_id), waiting=(*region.waiting, trial_id)
            )
            self._regions = tuple(regions)
        self._n_trials = history.n_trials

    def _due(self, history: History) -> tuple[int, ...]:
        """The trials that are judged now: of each region those that have ended, if there are more of them than of the others."""
        due: list[int] = []
        for region in self._regions:
            ended = [
                trial for trial in region.waiting if final_loss(history, trial, self._metric) is not None
            ]
            if len(ended) > len(region.waiting) - len(ended):
                due += ended
        return tuple(due)

    def _judged(
        self, history: History, regions: tuple[_Region, ...], judged: Sequence[int]
    ) -> tuple[_Region, ...]:
        if not judged:
            return regions
        chosen = set(judged)
        return tuple(self._after(history, region, chosen) for region in regions)

    def _after(self, history: History, region: _Region, judged: set[int]) -> _Region:
        """A region after the judgement of some of its trials ([Eriksson2019]_, section 2 and supplement)."""
        trials = [trial for trial in region.waiting if trial in judged]
        if not trials:
            return region
        design = set(region.trials[: self._n_initial])
        losses = {trial: final_loss(history, trial, self._metric) for trial in trials}
        first = [loss for trial, loss in losses.items() if loss is not None and trial in design]
        later = [loss for trial, loss in losses.items() if loss is not None and trial not in design]
        best = min([region.best, *first])
        length, successes, failures = region.length, region.successes, region.failures
        if later:
            if min(later) < best - (_LEAST_IMPROVEMENT * abs(best) if math.isfinite(best) else 0.0):
                successes, failures = successes + 1, 0
            else:
                successes, failures = 0, failures + len(later)
            best = min(best, *later)
        if successes >= self._settings.success_tolerance:
            length, successes = min(2.0 * length, self._settings.longest_length), 0
        elif failures >= self._failure_tolerance:
            length, failures = length / 2.0, 0
        if length < self._settings.shortest_length:
            return _Region(self._settings.initial_length, region.n_rounds + 1)
        return replace(
            region,
            length=length,
            waiting=tuple(trial for trial in region.waiting if trial not in losses),
            best=best,
            successes=successes,
            failures=failures,
        )

    def _design(self, regions: Sequence[_Region]) -> Proposal | None:
        """The next point of a design, of the region with the fewest trials; None if all designs have begun."""
        number = min(range(len(regions)), key=lambda i: len(regions[i].trials))
        region = regions[number]
        if len(region.trials) >= self._n_initial:
            return None
        rng = generator(self._seed, Stream.DESIGN, number + len(regions) * region.n_rounds)
        points = self._cube.spread(self._n_initial, rng)
        return Proposal(points[len(region.trials) :], {"region": number})

    def _drawn(self, history: History, regions: Sequence[_Region], rng: np.random.Generator) -> Proposal:
        """Candidates of the region whose draw is lowest, best first."""
        snapshot = self._observations.read(history)
        losses = dict(zip(snapshot.rows.trials.tolist(), snapshot.rows.losses.tolist(), strict=True))
        known = [np.array([t for t in region.trials if t in losses], dtype=np.intp) for region in regions]
        if max(map(len, known)) < 2:
            return Proposal(self._cube.spread(_KEPT, rng), {"region": 0})
        targets = self._targets.of(np.array([losses[t] for trials in known for t in trials.tolist()]))
        log_success, fits = self._success.learn(snapshot)
        found: list[tuple[float, Proposal]] = []
        end = 0
        for number, (region, trials) in enumerate(zip(regions, known, strict=True)):
            y = targets[end : end + len(trials)]
            end += len(trials)
            if len(trials) < 2:
                continue
            points, values, fit = self._candidates(snapshot, number, region, trials, y, rng)
            if log_success is not None:
                values = values - max(float(y.std()), 1e-6) * log_success(points)[0]
            order = np.argsort(values, kind="stable")[:_KEPT]
            note = {"region": number, **snapshot.note_of({**fits, **fit})}
            found.append((float(values[order[0]]), Proposal(points[order], note)))
        return min(found, key=lambda pair: pair[0])[1]

    def _candidates(
        self,
        snapshot: Snapshot,
        number: int,
        region: _Region,
        trials: Indices,
        y: Array,
        rng: np.random.Generator,
    ) -> tuple[Array, Array, Mapping[str, Fit]]:
        """Points (m, d) of a region, the values (m,) of one draw there in the units of ``y``, and the fit."""
        name = f"region {number}.{region.n_rounds}"
        known = snapshot.fits.get(name)
        x = snapshot.points[trials]
        best = int(np.argmin(y))
        centre = x[best]
        if len(x) > self._settings.max_observations:
            start = self._process.prior.mean if known is None else known.theta
            inverse = self._kernel.inverse_scales(self._process.read(start).kernel)
            distances = (((x - centre) * inverse) ** 2).sum(axis=1)
            near = np.sort(np.argsort(distances, kind="stable")[: self._settings.max_observations])
            x, y = x[near], y[near]
        middle, scale = float(y.mean()), max(float(y.std()), 1e-6)
        z = (y - middle) / scale
        fit = self._fitted[number].hyperparameters(x, z, known, len(trials))
        factor = factorise(self._process, fit.theta, x, len(x))
        draw = FunctionDraw(self._kernel, self._process, fit.theta, factor, z, rng)
        inverse = self._kernel.inverse_scales(self._process.read(fit.theta).kernel)
        sides = region.length * self._cube.relative(np.clip(1.0 / inverse, _SHORTEST_SCALE, _LONGEST_SCALE))
        points = self._cube.within(centre, sides / 2.0, self._n_candidates, self._probability, rng)
        return points, middle + scale * draw.values(points), {name: fit}


def turbo_searcher(context: SearcherContext, settings: TuRBOSettings, *, metric: Metric) -> TuRBOSearcher:
    """The searcher, for any scheduler."""
    return TuRBOSearcher(context, settings, metric=metric)
