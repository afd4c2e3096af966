"""The script that the Dockerfile runs, in a fresh environment in place of an image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_image_has_the_command_line(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    script = ROOT / "scripts" / "install_image"
    done = subprocess.run(["sh", script, python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("tunewright ")
    for command in (["methods"], ["doctor"], ["tune", "--backend", "sagemaker", "--help"]):
        subprocess.run([venv / "bin" / "tunewright", *command], check=True, capture_output=True, cwd=tmp_path)
