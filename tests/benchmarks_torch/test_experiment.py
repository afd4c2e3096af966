"""The document's command: ASHA on resnet_cifar10 as training jobs with warm pools, on small pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.storage import experiments

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.slow

HPO_MAIN = """
import sys
from tunewright.benchmarks.real import resnet_cifar10_benchmark
from tunewright.experiments import method
from tunewright.launchers.hpo_main_sagemaker import main

benchmark = resnet_cifar10_benchmark(sagemaker_backend=True, environment={"PYTHONPATH": sys.argv.pop()})
main({"ASHA": method("ASHA", kind="promotion")}, {"resnet_cifar10": benchmark})
"""
"""The experiment folder's, but for PyTorch, which AWS's image has and this test's jobs find on their path."""


def test_trials_are_paused_resumed_and_start_warm(
    torch_python: Path, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = torch_python.parent.parent / "lib" / version / "site-packages"
    if not packages.is_dir():
        pytest.skip(f"The PyTorch of .venv-torch is not for {version}")
    with np.load(shared_data("cifar10_subset.npz"), allow_pickle=False) as arrays:
        chosen = np.random.default_rng(0).permutation(len(arrays["y_train"]))[:200]
        np.savez(tmp_path / "small.npz", x_train=arrays["x_train"][chosen], y_train=arrays["y_train"][chosen])
    (tmp_path / "hpo_main.py").write_text(HPO_MAIN)
    line = "--experiment_tag tutorial_sagemaker --benchmark resnet_cifar10 --method ASHA --num_seeds 1"
    line += " --warm_pool 1 --endpoint embedded --dataset_path small.npz --config width=4 --config epochs=3"
    line += " --n_workers 2 --max_num_trials 3 --max_wallclock_time 900 --min_interval 0.2"
    done = subprocess.run(
        [sys.executable, "hpo_main.py", *line.split(), str(packages)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = experiments("tutorial-sagemaker")
    lines = [json.loads(line) for line in folder.journal_path.read_text().splitlines()]
    starts = [line for line in lines if line.get("kind") == "start"]
    resumed = [line for line in starts if line["attempt"] > 0 or line["from_checkpoint"]]
    assert any(line.get("status") == "paused" for line in lines if line.get("kind") == "end")
    assert resumed
    epochs = [line["resource"] for line in lines if line.get("kind") == "result"]
    assert max(epochs) > 1  # a resumed trial went on after its checkpoint
    assert not [line for line in lines if line.get("kind") == "end" and line["status"] == "failed"]
    jobs, warm = map(int, _numbers(done.stdout))
    assert warm >= jobs - 3  # the first job of each worker starts cold, one more where both wait


def _numbers(shown: str) -> tuple[str, str]:
    """Jobs and warm starts of the summary."""
    (line,) = (line for line in shown.splitlines() if line.startswith("Jobs:"))
    words = line.split()
    return words[1], words[words.index("warm") - 1]
