"""RUSH's limit of promotions: the best loss of the first candidates at each rung.

References
----------
.. [Zappella2021] Zappella, Salinas, Archambeau: A Resource-Efficient Method for Repeated HPO and NAS. AutoML workshop
   at ICML 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from typing_extensions import override

from tunewright.schedulers.asha import PromotionLimit
from tunewright.schedulers.rungs import Rung


@final
class CandidateLimit(PromotionLimit):
    """The lowest loss of the first trials at each rung; it binds all other trials ([Zappella2021]_, section 3).

    The first rungs may be exempt: few units of training rank trials by chance, and one lucky candidate would then end
    nearly all others.

    Parameters
    ----------
    n_candidates
        Number of first trials that set it, >= 0; only the rungs limit these trials themselves.
    max_resource
        Of a full run.
    first_level
        The first level whose limit binds.
    """

    def __init__(self, n_candidates: int, max_resource: int, first_level: float = 0) -> None:
        self._n_candidates = n_candidates
        self._first_level = first_level
        self._max_resource = max_resource
        self._lowest: dict[int, float] = {}
        self._seen: dict[int, int] = {}

    @property
    @override
    def resource(self) -> int:
        """Promotions go up to the full resource."""
        return self._max_resource

    @override
    def observe(self, trial_id: int, resource: int, loss: float, rungs: Sequence[Rung]) -> None:
        """Lower the limit of the rungs that a candidate reaches with this result."""
        if trial_id >= self._n_candidates:
            return
        for rung in rungs:
            if self._seen.get(trial_id, 0) < rung.level <= resource and trial_id in rung:
                self._lowest[rung.level] = min(self._lowest.get(rung.level, math.inf), loss)
        self._seen[trial_id] = resource

    @override
    def admits(self, trial_id: int, level: int, loss: float) -> bool:
        if trial_id < self._n_candidates or level < self._first_level:
            return True
        return loss <= self._lowest.get(level, math.inf)
