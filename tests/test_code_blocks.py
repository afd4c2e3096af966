"""The Python blocks of README and docs run, those of a page one after the other, as a reader would type them.

A block that cannot run alone has a comment ``skip: next`` with the reason.
"""

from __future__ import annotations

from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent
SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    skipped = 0
    examples = list(SYBIL.parse(page).examples())
    for example in examples:
        try:
            example.evaluate()
        except SkipTest:
            skipped += 1
    if skipped == len(examples):
        pytest.skip("no block of this page runs alone")
