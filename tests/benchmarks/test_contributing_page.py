"""``docs/contributing_benchmark.md``, done word by word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.storage import experiments

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "contributing_benchmark.md"
FILE = re.compile(
    r"^`([\w.]+)`:\n\n(?:<!-- skip[^\n]*\n\n)?```\w+\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL
)
SHELL = re.compile(r"^```bash\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_benchmark_of_the_page_runs(tmp_path: Path) -> None:
    page = PAGE.read_text()
    files = dict(FILE.findall(page))
    assert sorted(files) == ["benchmark_definitions.py", "hpo_main.py", "requirements.txt", "train.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = ""
    for command in "".join(SHELL.findall(page)).splitlines():
        done = subprocess.run(
            command.split(),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown += done.stdout
    assert "Best:    loss" in shown
    (folder,) = experiments("own")
    lines = [json.loads(line) for line in folder.journal_path.read_text().splitlines()]
    assert sum(line.get("status") == "failed" for line in lines) == 0
    assert len({line["trial_id"] for line in lines if line.get("kind") == "result"}) == 6
