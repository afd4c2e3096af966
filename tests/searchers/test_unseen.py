from __future__ import annotations

import pytest

from tunewright.ledger import Book
from tunewright.searchers.model_free import draw_unseen, place
from tunewright.seeding import Stream, generator
from tunewright.testing.spaces import SMALL


@pytest.mark.parametrize("left", range(6))
def test_the_only_one_left_is_found_however_unlucky_the_draws(left: int) -> None:
    everything, book = SMALL.enumerate(), Book()
    for number, config in enumerate(everything):
        if number != left:
            book.begin_trial(config)
    tried = everything.at(0 if left else 1)
    for count in range(20):
        rng = generator(0, Stream.CONFIG, count)
        assert draw_unseen(book, lambda: tried, everything, rng) == everything.at(left)
    book.begin_trial(everything.at(left))
    assert draw_unseen(book, lambda: tried, everything, generator(0, Stream.CONFIG, 0)) is None


def test_places_lie_in_the_range_however_large_it_is() -> None:
    rng = generator(0, Stream.CONFIG, 0)
    for size in (1, 2, 10**40):
        assert all(0 <= place(rng, size) < size for _ in range(50))
