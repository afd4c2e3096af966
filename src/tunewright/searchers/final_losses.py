"""The final loss of a trial, for searchers that rank ended trials."""

from __future__ import annotations

import math

from tunewright.history import History
from tunewright.metric import Metric
from tunewright.trial import TrialStatus


def final_loss(history: History, trial_id: int, metric: Metric) -> float | None:
    """The newest loss of a trial that will not run again; infinite if it failed or diverged, None if it may still report."""
    status = history.status(trial_id)
    if status is TrialStatus.FAILED:
        return math.inf
    if status not in {TrialStatus.COMPLETED, TrialStatus.STOPPED}:
        return None
    last = history.last(trial_id)
    loss = math.inf if last is None else metric.loss_of(last.metrics)
    return loss if math.isfinite(loss) else math.inf
