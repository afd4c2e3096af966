"""The table of assumptions: complete, with tests that exist, and equal to its page."""

from __future__ import annotations

from pathlib import Path

from tunewright.backends.sagemaker.verification import ASSUMPTIONS, Audit, assumptions_table

ROOT = Path(__file__).parents[3]


def test_each_assumption_has_a_test_or_needs_an_account() -> None:
    assert [one.number for one in ASSUMPTIONS] == list(range(1, 45))
    assert all(one.settled_by for one in ASSUMPTIONS)
    assert all(one.was and one.tests for one in ASSUMPTIONS if one.audit is Audit.CONTRADICTED)


def test_the_named_tests_exist() -> None:
    for one in ASSUMPTIONS:
        for test in one.tests:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (ROOT / path).read_text(), f"{one.number}: {test}"


def test_the_page_has_the_table() -> None:
    """Written by ``assumptions_table()``."""
    page = (ROOT / "docs" / "sagemaker_assumptions.md").read_text()
    assert page[page.index("| # |") :] == assumptions_table() + "\n"
