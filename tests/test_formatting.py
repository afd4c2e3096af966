"""What is said of backends."""

from __future__ import annotations

from tunewright.formatting import spot_text


def test_savings_of_spot_instances() -> None:
    assert spot_text(0.0, 100.0, 0) == ""
    assert spot_text(70.0, 30.0, 1) == "spot instances saved 70% with 1 interruption"
    assert spot_text(0.0, 0.0, 2) == "spot instances saved 0% with 2 interruptions"
