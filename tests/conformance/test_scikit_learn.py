"""TunedSearchCV with the oldest scikit-learn that the extra allows; the other tests run with the newest."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

from .conftest import PATIENCE, ROOT, Client

REQUIREMENTS = Path(__file__).parent / "environments" / "sklearn_oldest.txt"


def test_the_environment_has_the_oldest_version_that_the_extra_allows() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    oldest = extras["sklearn"][0].replace(">=", "==")
    assert f"{oldest}.0" in REQUIREMENTS.read_text().splitlines()


def test_the_tests_of_tuned_search_pass_with_the_oldest_scikit_learn(client: Client, tmp_path: Path) -> None:
    options = ["--noconftest", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests", "-q"]
    done = subprocess.run(
        [
            client("sklearn_oldest") / "python",
            "-m",
            "pytest",
            *options,
            ROOT / "tests" / "test_tuned_search.py",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
