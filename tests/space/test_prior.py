"""Priors on domains: what they refuse, what they are as data, what defaults they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import (
    Categorical,
    FiniteRange,
    Float,
    Integer,
    Ordinal,
    Prior,
    SearchSpace,
    space_from_toml,
)

SPACE = SearchSpace(
    {
        "lr": Float(1e-5, 1.0, log=True, prior=Prior(best=1e-2, confidence="high")),
        "n": Integer(1, 64, prior=Prior(best=8, spread=0.1)),
        "kind": Categorical(["a", "b", "c"], prior=Prior(best="b")),
        "norm": Categorical([True, False], prior=Prior(weights=[1, 3])),
        "batch": Ordinal([16, 32, 64], prior=Prior(weights=[1, 2, 1])),
        "width": FiniteRange(8, 64, 4, log=True, prior=Prior(best=8.0)),
        "plain": Float(0.0, 1.0),
        "epochs": 9,
    }
)


def test_the_default_is_the_best_value_unless_it_is_given() -> None:
    default = SPACE.default_config()
    assert default["lr"] == 1e-2
    assert (default["n"], default["kind"], default["norm"], default["width"]) == (8, "b", True, 8.0)
    assert Float(0.0, 1.0, prior=Prior(best=0.2), default=0.7).default == 0.7


def test_priors_are_data() -> None:
    again = SearchSpace.from_json(SPACE.to_json())
    assert again == SPACE
    assert again["lr"].prior == Prior(best=1e-2, confidence="high")
    assert SPACE["n"].to_json()["prior"] == {"best": 8, "spread": 0.1}
    assert "prior" not in SPACE["plain"].to_json()
    assert "prior={'weights': [1.0, 3.0]}" in repr(SPACE["norm"])


def test_space_files_hold_priors() -> None:
    space = space_from_toml(
        """
        [lr]
        type = "float"
        low = 1e-5
        high = 1.0
        log = true
        prior = { best = 1e-2, confidence = "high" }

        [norm]
        type = "categorical"
        values = [true, false]
        prior = { weights = [1, 3] }
        """
    )
    assert space["lr"] == SPACE["lr"]
    assert space["norm"] == SPACE["norm"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Prior, "either best, or weights"),
        (lambda: Prior(best=1, weights=[1]), "either best, or weights"),
        (lambda: Prior(best=1, spread=0.0), "spread=0.0 must be a number > 0"),
        (lambda: Prior(best=1, spread=0.1, confidence="low"), "drop the others"),
        (lambda: Prior(weights=[1, 2], confidence="low"), "drop the others"),
        (lambda: Prior(best=1, confidence="hihg"), "Did you mean 'high'"),
        (lambda: Prior(weights=[1, -2]), "numbers > 0"),
        (lambda: Float(0.0, 1.0, prior=Prior(best=2.0)), "prior: 2.0 is outside"),
        (lambda: Float(0.0, 1.0, prior=Prior(weights=[1, 2])), "a range has no weights"),
        (lambda: Integer(1, 5, prior=3), "must be a Prior"),
        (lambda: Integer(1, 5, prior={"bst": 3}), "Did you mean 'best'"),
        (lambda: Categorical(["a", "b"], prior=Prior(weights=[1.0])), "1 weights for 2 values"),
        (lambda: Categorical(["a", "b"], prior=Prior(best="a", spread=1.5)), "below 1"),
        (lambda: Ordinal([1, 2], prior=Prior(weights=[1, 2, 3])), "3 weights for 2 values"),
        (
            lambda: SearchSpace.from_json({"x": {"type": "float", "low": 0, "high": 1, "prior": 3}}),
            "x: prior",
        ),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make()
