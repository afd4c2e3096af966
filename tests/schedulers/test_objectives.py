"""Several objectives at rungs: rankings, and ASHA's promotions and stops by them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.models.pareto import pareto_mask
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.schedulers.objectives import Objectives, RankingKind
from tunewright.schedulers.rungs import Rung
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.trial import Decision, TrialStatus

ERROR, SPEED = Metric("error"), Metric("speed", Goal.MAXIMIZE)
BOTH = Objectives(metrics=(ERROR, SPEED))
SPACE = SearchSpace({"x": Float(0.0, 1.0)})


def test_points_with_known_ranks_get_these() -> None:
    """A chain of five, whatever the order in which they come (the system that we replace gives it as 1 3 2 4 0)."""
    ranks = [4, 0, 2, 1, 3]
    assert BOTH.scores([(float(rank), 10.0 * rank) for rank in ranks]) == ranks


def test_a_front_is_ordered_so_that_its_first_are_spread() -> None:
    front = [(0.0, 100.0), (0.4, 60.0), (0.5, 50.0), (1.0, 0.0)]
    assert BOTH.scores([*front, (2.0, 200.0), (math.inf, 0.0), (0.0, math.inf)]) == [
        0.0,
        3.0,
        2.0,
        1.0,
        4.0,
        math.inf,
        math.inf,
    ]


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    losses = rng.random((30, 2))
    scaled = losses * [1.0, 1e6] + [0.0, -3e5]
    for ranking in RankingKind:
        objectives = Objectives(metrics=(ERROR, SPEED), ranking=ranking)
        one, two = (objectives.scores([(float(a), float(b)) for a, b in rows]) for rows in (losses, scaled))
        assert one == pytest.approx(two)


def test_linear_ranks_by_the_weighted_sum() -> None:
    objectives = Objectives(metrics=(ERROR, SPEED), ranking=RankingKind.LINEAR, weights=(3.0, 1.0))
    assert objectives.scores([(0.0, 2.0), (1.0, 0.0), (0.5, 1.0), (math.nan, 0.0)]) == [
        1.0,
        3.0,
        2.0,
        math.inf,
    ]


def test_one_objective_is_ranked_by_its_loss() -> None:
    rung, plain = Rung(3, 3, Objectives(metrics=(ERROR,)).scores), Rung(3, 3)
    rng = np.random.default_rng(1)
    for trial_id in range(40):
        loss = float(rng.random()) if trial_id % 7 else math.inf
        for one in (rung, plain):
            one.record(trial_id, loss)
        assert rung.survives(trial_id) == plain.survives(trial_id)
        if math.isfinite(loss):
            assert rung.admit(trial_id)
            assert plain.admit(trial_id)
        assert rung.promotable() == plain.promotable()
        assert [i for _, i in rung.entries] == [i for _, i in plain.entries]
        if trial_id % 5 == 4 and (found := rung.promotable()) is not None:
            rung.release(found)
            plain.release(found)


def run(kind: ASHAKind, n_trials: int) -> AskTell:
    """Trials whose speed is x and whose error is 1 - x, but for those above 0.5, which are dominated."""
    settings = ASHASettings(max_resource=9, kind=kind)
    tuning = AskTell(ASHA(RandomSearcher(SPACE, seed=0), settings, metric=BOTH, seed=0), [ERROR, SPEED])
    while tuning.history.n_trials < n_trials:
        asked = tuning.ask()
        assert asked is not None
        x = float(asked.config["x"])
        error = math.nan if x > 0.9 else x + (1.0 if x > 0.5 else 0.0)
        for epoch in range(asked.resume_from + 1, 10):
            if (
                tuning.tell(asked, {"error": error, "speed": x}, resource=epoch).decision
                is not Decision.CONTINUE
            ):
                break
        else:
            tuning.complete(asked)
    return tuning


@pytest.mark.parametrize("kind", ASHAKind)
def test_trials_that_others_dominate_go_no_further_and_fronts_do(kind: ASHAKind) -> None:
    history = run(kind, 60).history
    reached = [last.resource for i in range(60) if (last := history.last(i)) is not None]
    xs = np.array([float(history.trial(i).config["x"]) for i in range(60)])
    losses = np.stack([np.where(xs > 0.5, xs + 1.0, xs), -xs], axis=1)
    far = np.flatnonzero(np.array(reached) == 9)
    assert len(far) >= 4
    assert pareto_mask(losses)[far].mean() > 0.7
    assert max(np.array(reached)[xs > 0.9][2:]) < 9
    assert np.ptp(xs[far]) > 0.25
    assert len(history.ids(TrialStatus.COMPLETED)) == len(far)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ()}, "need a metric"),
        ({"ranking": "pareto"}, "non_dominated, linear"),
        ({"weights": (1.0,)}, "2 metrics: error, speed"),
        ({"weights": (1.0, -1.0)}, ">= 0"),
        ({"weights": (0.0, 0.0)}, "above 0"),
    ],
)
def test_objectives_that_cannot_work(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Objectives(**{"metrics": (ERROR, SPEED), **fields})  # type: ignore[arg-type]
