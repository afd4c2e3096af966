"""Draws from a user's prior, and Bayesian optimisation that heeds it.

References
----------
.. [Hvarfner2022] Hvarfner, Stoll, Souza, Lindauer, Hutter, Nardi: piBO: Augmenting Acquisition Functions with User
   Beliefs for Bayesian Optimization. ICLR 2022.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np

from tunewright.models.acquisition import LogExpectedImprovement
from tunewright.models.arrays import Array
from tunewright.models.weighted_acquisition import Weighted
from tunewright.searchers.beliefs import Belief
from tunewright.searchers.cube import Cube
from tunewright.searchers.encoding import Snapshot
from tunewright.searchers.gp import Learned, Learner
from tunewright.searchers.model_based import Proposal, Proposer

_DRAWS: Final = 32
"""Points, of which the first that is new is taken."""


def drawn(belief: Belief, cube: Cube, rng: np.random.Generator) -> Array:
    """Points (k, d) from a belief, each independent of the others; of a list, as likely as the belief says."""
    everything = cube.everything
    if everything is None:
        return belief.draw(_DRAWS, rng)
    logs = belief.log_density(everything)[0]
    weights = np.exp(logs - logs.max())
    return everything[rng.choice(len(everything), size=_DRAWS, p=weights / weights.sum())]


@final
class BeliefProposer(Proposer):
    """Draws from a belief for the initial trials, and whenever another proposer knows too little.

    Parameters
    ----------
    belief
        What is drawn from.
    cube
        Where.
    n_initial
        Trials before the other one is asked.
    then
        The other one.
    """

    def __init__(self, belief: Belief, cube: Cube, n_initial: int, then: Proposer) -> None:
        self._belief = belief
        self._cube = cube
        self._n_initial = n_initial
        self._then = then

    def propose(
        self, snapshot: Snapshot, rng: np.random.Generator, until: int | None = None
    ) -> Proposal | None:
        """The other one's points, or draws."""
        found = self._then.propose(snapshot, rng, until) if len(snapshot.points) >= self._n_initial else None
        return Proposal(drawn(self._belief, self._cube, rng)) if found is None else found


@final
class PiBOLearner(Learner):
    """``log EI(x) + beta / n log pi(x)`` ([Hvarfner2022]_, equation 6), n being the number of trials begun.

    The belief fades: whatever it says, in the end the model decides.

    Parameters
    ----------
    learner
        Of the losses.
    belief
        pi.
    beta
        How many trials the belief is worth, >= 0.
    """

    def __init__(self, learner: Learner, belief: Belief, beta: float) -> None:
        self._learner = learner
        self._belief = belief
        self._beta = beta

    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """What the learner knows, with the weighted acquisition function."""
        learned = self._learner.learn(snapshot, rng)
        if learned is None:
            return None
        improvement = LogExpectedImprovement(
            learned.surrogate, learned.surrogate.means(learned.observed).min(axis=0)
        )
        power = self._beta / max(len(snapshot.points), 1)
        acquisition = Weighted(improvement, self._belief.log_density, power)
        return Learned(learned.surrogate, learned.observed, learned.fits, acquisition)
