from __future__ import annotations

import pytest

from tunewright.searchers.model_free import draw_unseen, place
from tunewright.seeding import Stream, generator
from tunewright.state import State
from tunewright.testing.histories import begin_trial
from tunewright.testing.spaces import SMALL


@pytest.mark.parametrize("left", range(6))
def test_the_only_one_left_is_found_however_unlucky_the_draws(left: int) -> None:
    everything, history = SMALL.enumerate(), State()
    for number, config in enumerate(everything):
        if number != left:
            begin_trial(history, config)
    tried = everything.at(0 if left else 1)
    for count in range(20):
        rng = generator(0, Stream.CONFIG, count)
        assert draw_unseen(history, lambda: tried, everything, rng) == everything.at(left)
    begin_trial(history, everything.at(left))
    assert draw_unseen(history, lambda: tried, everything, generator(0, Stream.CONFIG, 0)) is None


def test_places_lie_in_the_range_however_large_it_is() -> None:
    rng = generator(0, Stream.CONFIG, 0)
    for size in (1, 2, 10**40):
        assert all(0 <= place(rng, size) < size for _ in range(50))
