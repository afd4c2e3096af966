"""The example with conditional hyperparameters: scripts get what is active, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

from tunewright.journal import read_events
from tunewright.storage import experiments


def test_scripts_get_what_is_active(run_example: Callable[[str], CompletedProcess[str]]) -> None:
    done = run_example("conditional")
    assert done.stdout.startswith("Best(trial_id=")
    (folder,) = experiments("conditional")
    configs = [line.config for line in read_events(folder.journal_path) if line.kind == "start"]
    assert len(configs) == 8
    for config in configs:
        inactive = "beta" if config["optimizer"] == "sgd" else "momentum"
        assert config.keys() == {"optimizer", "lr", "momentum", "beta"} - {inactive}
    assert {config["optimizer"] for config in configs} == {"sgd", "adam"}
