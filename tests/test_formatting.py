"""What is said of backends."""

from __future__ import annotations

import pytest

from tunewright.formatting import percent, plural, seconds_of, spot_text


def test_savings_of_spot_instances() -> None:
    assert spot_text(0.0, 100.0, 0) == ""
    assert spot_text(70.0, 30.0, 1) == "spot instances saved 70 % with 1 interruption"
    assert spot_text(0.0, 0.0, 2) == "spot instances saved 0 % with 2 interruptions"


def test_shares_and_counts() -> None:
    assert [percent(share) for share in (0.0, 0.125, 0.985, 1.0)] == ["0 %", "13 %", "99 %", "100 %"]
    assert [plural(n, "trial") for n in (1, 2, 10_000)] == ["1 trial", "2 trials", "10,000 trials"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("30s", 30),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("2D", 172800),
    ],
)
def test_times_are_read_with_units(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5x", "m", "10m!", "1x2"])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: give seconds, or a time such as 90s, 10m"):
        seconds_of(text)
