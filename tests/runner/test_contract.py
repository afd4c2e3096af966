"""Names that two parts which travel apart define each on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright import report
from tunewright.runner import __main__, contract
from tunewright.runner.contract import Mode


@pytest.mark.parametrize("name", ["CHECKPOINT_DIR", "UNTIL", "RESOURCE_ATTR", "RESUME_FROM"])
def test_the_reporter_reads_the_variables_that_the_runner_sets(name: str) -> None:
    assert getattr(report, name) == getattr(contract, f"{name}_VARIABLE")


def test_the_reporter_and_the_runner_agree_about_the_price() -> None:
    assert report.DOLLARS_PER_HOUR == contract.PRICE_VARIABLE


def test_each_mode_has_a_module_with_a_main() -> None:
    folder = Path(__main__.__file__).parent
    assert set(__main__.MODULES) == {mode.value for mode in Mode}
    for module in __main__.MODULES.values():
        assert "\ndef main(arguments: list[str]) -> int:" in (folder / f"{module}.py").read_text()
