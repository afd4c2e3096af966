"""Searchers that use the priors of a space's domains: PiBO and PriorBand.

References
----------
.. [Hvarfner2022] Hvarfner, Stoll, Souza, Lindauer, Hutter, Nardi: piBO: Augmenting Acquisition Functions with User
   Beliefs for Bayesian Optimization. ICLR 2022.
.. [Kool2019] Kool, van Hoof, Welling: Stochastic Beams and Where to Find Them: The Gumbel-Top-k Trick for Sampling
   Sequences Without Replacement. ICML 2019.
.. [Mallik2023] Mallik, Bergman, Hvarfner, Stoll, Janowski, Lindauer, Nardi, Hutter: PriorBand: Practical Hyperparameter
   Optimization in the Age of Deep Learning. NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.models.acquisition import LogExpectedImprovement, Weighted
from tunewright.models.arrays import Array, Indices
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.gp import Learned, Learner, SuccessModel
from tunewright.searchers.model_based import Proposal, Proposer
from tunewright.searchers.prior_densities import PriorDensity, density_around
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace

_DRAWS: Final = 32
"""Points, of which the first that is new is taken."""


def drawn(density: PriorDensity, cube: UnitCube, rng: np.random.Generator) -> Array:
    """Points (k, d) from a density, each independent of the others; points of a list are drawn in proportion to the density."""
    everything = cube.everything
    if everything is None:
        return density.draw(_DRAWS, rng)
    logs = density.log_density(everything)[0]
    weights = np.exp(logs - logs.max())
    return everything[rng.choice(len(everything), size=_DRAWS, p=weights / weights.sum())]


@final
class PriorProposer(Proposer):
    """Draws from a density.

    Parameters
    ----------
    density
        The density to draw from.
    cube
        The unit cube to search.
    """

    def __init__(self, density: PriorDensity, cube: UnitCube) -> None:
        self._density = density
        self._cube = cube

    @override
    def propose(self, snapshot: Snapshot, rng: np.random.Generator, until: int | None = None) -> Proposal:
        return Proposal(drawn(self._density, self._cube, rng))


@final
class PiBOLearner(Learner):
    """``log EI(x) + beta / n log pi(x)`` ([Hvarfner2022]_, equation 6), n being the number of trials begun.

    The density fades: in the end the model decides.

    Parameters
    ----------
    learner
        Of the losses.
    density
        pi.
    beta
        How many trials the density is worth, >= 0.
    """

    def __init__(self, learner: Learner, density: PriorDensity, beta: float) -> None:
        self._learner = learner
        self._density = density
        self._beta = beta

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """The learner's surrogate, with the weighted acquisition function."""
        learned = self._learner.learn(snapshot, rng)
        if learned is None:
            return None
        improvement = LogExpectedImprovement(
            learned.surrogate, learned.surrogate.means(learned.observed).min(axis=0)
        )
        power = self._beta / max(len(snapshot.points), 1)
        acquisition = Weighted(improvement, self._density.log_density, power)
        return Learned(learned.surrogate, learned.observed, learned.fits, acquisition)


_SPREAD: Final = 0.25
"""Of draws near the incumbent, on each hyperparameter's scale."""
_CHANGED: Final = 0.5
"""How often each hyperparameter of the incumbent is changed."""


@final
class PriorBandProposer(Proposer):
    """The ensemble of random search, prior and incumbent ([Mallik2023]_, section 5 and Algorithm 1).

    A trial that first runs to level number r is random with probability ``1 / (1 + eta**r)``: the more it costs, the more
    the prior is trusted. Once a trial has reached the full resource, the rest is shared between the prior and draws
    near the incumbent, the best trial there, by how likely each makes the best configurations of the highest
    level with at least eta results (the best of them counts most); a bad prior so loses its share.

    Once trials have failed, draws of the prior and near the incumbent are taken in proportion to their probability of success;
    random configurations stay random.

    Parameters
    ----------
    space
        Legal values.
    density
        The user's prior.
    cube
        The unit cube to search.
    levels
        Resources at which trials are compared, strictly increasing; the last one is that of a full run.
    eta
        Reduction factor, >= 2.
    """

    def __init__(
        self, space: SearchSpace, density: PriorDensity, cube: UnitCube, *, levels: Sequence[int], eta: float
    ) -> None:
        self._space = space
        self._density = density
        self._cube = cube
        self._levels = tuple(levels)
        self._eta = eta
        self._success = SuccessModel(cube.n_columns)

    @override
    def propose(
        self, snapshot: Snapshot, rng: np.random.Generator, until: int | None = None
    ) -> Proposal | None:
        """Draws of one of the three; None: at random. The note names it."""
        place = float(rng.random())
        rung = self._levels.index(until) if until in self._levels else len(self._levels) - 1
        incumbent = self._incumbent(snapshot)
        shares = self.shares(snapshot, rung)
        if place < shares["random"]:
            return None
        if incumbent is None or place < shares["random"] + shares["prior"]:
            return self._likely(snapshot, drawn(self._density, self._cube, rng), "prior", rng)
        near = density_around(self._space, self._space.decode(incumbent[np.newaxis])[0], _SPREAD)
        return self._likely(snapshot, self._near(incumbent, near, rng), "incumbent", rng)

    def _likely(self, snapshot: Snapshot, points: Array, source: str, rng: np.random.Generator) -> Proposal:
        """Draws (k, d) in an order of their probabilities of success, without replacement ([Kool2019]_, section 2.3)."""
        log_success, fits = self._success.learn(snapshot)
        if log_success is not None:
            keys = log_success(points)[0] + rng.gumbel(size=len(points))
            points = points[np.argsort(-keys, kind="stable")]
        return Proposal(points, {**snapshot.note_of(fits), "from": source})

    def shares(self, snapshot: Snapshot, rung: int) -> dict[str, float]:
        """How likely a trial that first runs to level number ``rung`` comes from ``random``, ``prior``, ``incumbent``."""
        random = 1.0 / (1.0 + self._eta**rung)
        incumbent = self._incumbent(snapshot)
        level = snapshot.target_level(math.ceil(self._eta))
        if incumbent is None or level is None:
            return {"random": random, "prior": 1.0 - random, "incumbent": 0.0}
        near = density_around(self._space, self._space.decode(incumbent[np.newaxis])[0], _SPREAD)
        best = _best(snapshot.succeeded_at(level), self._eta)
        points = snapshot.points[best]
        ranks = np.arange(len(points), 0, -1, dtype=np.float64)
        logs = [density.log_density(points)[0] + np.log(ranks) for density in (self._density, near)]
        prior, local = (float(np.logaddexp.reduce(values)) for values in logs)
        prior_share = 1.0 / (1.0 + math.exp(min(local - prior, 700.0)))
        return {
            "random": random,
            "prior": (1.0 - random) * prior_share,
            "incumbent": (1.0 - random) * (1.0 - prior_share),
        }

    def _incumbent(self, snapshot: Snapshot) -> Array | None:
        """The best point (d,) at the full resource."""
        rows = snapshot.succeeded_at(len(self._levels) - 1)
        return snapshot.points[rows.trials[int(np.argmin(rows.losses))]] if len(rows) else None

    def _near(self, incumbent: Array, near: PriorDensity, rng: np.random.Generator) -> Array:
        """Points (k, d): about half of the incumbent's hyperparameters are drawn anew around their values."""
        points = np.tile(incumbent, (_DRAWS, 1))
        others = near.draw(_DRAWS, rng)
        start = 0
        is_changed = rng.random((_DRAWS, len(self._space.domains))) < _CHANGED
        for number, domain in enumerate(self._space.domains.values()):
            columns = slice(start, start + domain.width)
            start += domain.width
            points[is_changed[:, number], columns] = others[is_changed[:, number], columns]
        return self._cube.settled(points)


def _best(rows: Rows, eta: float) -> Indices:
    """Trials of the best ``1 / eta`` of a level, at least ceil(eta) of them, best first."""
    n = max(math.ceil(eta), len(rows) // math.ceil(eta))
    return rows.trials[np.argsort(rows.losses, kind="stable")[:n]]
