"""What ``import tunewright`` offers, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tunewright


@pytest.mark.parametrize("name", sorted(set(dir(tunewright)) - {"__version__"}))
def test_every_public_name_is_there(name: str) -> None:
    assert callable(getattr(tunewright, name))


def test_the_type_checker_sees_the_same_names() -> None:
    text = Path(tunewright.__file__).read_text(encoding="utf-8")
    assert {
        line.split(" as ")[1] for line in text.splitlines() if line.startswith("    from tunewright.")
    } == {*(set(dir(tunewright)) - {"__version__"})}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Tunner'"):
        _ = tunewright.Tunner


def test_report_is_a_function_whatever_was_imported_first() -> None:
    code = """
import tunewright.report
from tunewright import Reporter, report
report(a=1)
tunewright.report.Reporter()(a=2)
import sys
print(sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'scipy', 'rich', 'boto3', 'cyclopts'}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("[tune-metric]") == 2
    assert done.stdout.endswith("[]\n")
