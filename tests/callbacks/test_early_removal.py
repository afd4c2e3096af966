"""Checkpoints of paused trials are given up by how likely they are resumed, and a resume knows it."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from typing import Any

import pytest
from scipy.stats import betabinom

from tunewright.backends.simulated import SimulatedBackend
from tunewright.callbacks.checkpoints import RemoveEarly, ahead_by_limits, promotion_probability
from tunewright.events import decode_mapping, encode_event
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import Journal, MemoryJournal
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.fault_injection import CrashingJournal, SimulatedCrash
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0)})


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    return {"loss": float(config["x"]) + 1 / epoch}, 1.0


def tune(journal: Journal, most: int | None) -> History:
    policy = RemoveEarly(most, metric=LOSS, eta=3, ahead=ahead_by_limits(None, 40)) if most else None
    return Tuner(
        ASHA(RandomSearcher(SPACE, seed=0), ASHASettings(max_resource=9), metric=LOSS, seed=0),
        SimulatedBackend(train, n_workers=2, max_resource=9),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(40),
        journal=journal,
        checkpoint_policies=[policy] if policy else [],
    ).run()


def lines_of(journal: MemoryJournal) -> list[dict[str, Any]]:
    volatile = ("wall", "suggest_time")
    return [
        {k: v for k, v in e.items() if k not in volatile}
        for e in map(decode_mapping, map(encode_event, journal.events()))
        if e["kind"] != "session"
    ]


@pytest.mark.parametrize(("rank", "n", "ahead"), list(itertools.product((1, 3, 8), (8, 20), (0, 7, 40))))
def test_probabilities_are_those_of_the_beta_binomial(rank: int, n: int, ahead: int) -> None:
    a, b = 2 / 3 + rank - 1, 4 / 3 + n - rank
    times = {round(ahead * step / 24) for step in range(25)}
    in_time = [
        float(betabinom.cdf(math.floor((n + t) / 3) - rank, t, a, b)) if t else float(rank <= n // 3)
        for t in times
    ]
    found = promotion_probability(rank, n, ahead, 3)
    assert found == pytest.approx(max(in_time), abs=1e-9)
    assert 0.0 <= found <= 1.0


def test_better_ranks_and_longer_experiments_are_more_likely() -> None:
    by_rank = [promotion_probability(rank, 20, 20, 3) for rank in range(1, 21)]
    assert by_rank == sorted(by_rank, reverse=True)
    assert by_rank[0] == 1.0 > by_rank[-1] >= 0.0
    by_time = [promotion_probability(9, 20, ahead, 3) for ahead in (0, 24, 240)]
    assert by_time == sorted(by_time)


def test_no_more_are_kept_and_promoted_trials_begin_anew() -> None:
    journal = MemoryJournal()
    tune(journal, 3)
    kept: set[int] = set()
    n_dropped = n_from_scratch = 0
    dropped: set[int] = set()
    for line in lines_of(journal):
        if line["kind"] == "start":
            if line["attempt"] and line["trial_id"] in dropped:
                assert line["from_checkpoint"] is None
                n_from_scratch += 1
            kept.discard(line["trial_id"])
        elif line["kind"] == "end" and line["status"] == "paused":
            kept.add(line["trial_id"])
            dropped.discard(line["trial_id"])
        elif line["kind"] == "drop":
            kept.remove(line["trial_id"])
            dropped.add(line["trial_id"])
            n_dropped += 1
        assert len(kept) <= 4  # the one that came with this line goes with the next
    assert n_dropped > 15
    resumed = [e for e in lines_of(journal) if e["kind"] == "start" and e["attempt"]]
    assert n_from_scratch < len(resumed) / 2


def test_all_may_stay_and_decisions_are_the_same() -> None:
    with_policy, without = MemoryJournal(), MemoryJournal()
    tune(with_policy, 1000)
    tune(without, None)
    assert lines_of(with_policy) == lines_of(without)


def test_killed_again_and_again() -> None:
    undisturbed, killed = MemoryJournal(), MemoryJournal()
    tune(undisturbed, 3)
    expected = lines_of(undisturbed)
    n_kills = 0
    while len(lines_of(killed)) < len(expected):
        with suppress(SimulatedCrash):
            tune(CrashingJournal(killed, 5 + n_kills % 6), 3)
        n_kills += 1
    assert lines_of(killed) == expected
    assert n_kills >= 10


def test_what_is_ahead() -> None:
    history = tune(MemoryJournal(), None)
    assert ahead_by_limits(None, None)(history) == 1.0
    assert ahead_by_limits(None, 60)(history) == pytest.approx(0.5)
    assert ahead_by_limits(1e-9, 60)(history) == 0.0
    with pytest.raises(SettingsError, match="max_num_checkpoints must be >= 1"):
        RemoveEarly(0, metric=LOSS, eta=3, ahead=ahead_by_limits(None, None))
