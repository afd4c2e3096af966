"""One BLAS thread for tuners, and the user's own values for trials."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tunewright.threads import use_one_thread, users_environment

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_what_nobody_set_is_one_and_goes_to_no_trial() -> None:
    environment = {"HOME": "/root"}
    use_one_thread(environment)
    assert [environment[name] for name in NAMES] == ["1"] * 3
    use_one_thread(environment)  # a process that inherited it
    assert users_environment(environment) == {"HOME": "/root"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_set_stays_and_goes_to_trials(name: str) -> None:
    environment = {name: "8"}
    use_one_thread(environment)
    assert environment == users_environment(environment) == {name: "8"}


@pytest.mark.parametrize(
    "module",
    ["tunewright.launchers.hpo_main_local", "tunewright.launchers.hpo_main_simulated", "tunewright.cli"],
)
def test_entry_points_settle_it_before_numpy_is_loaded(module: str) -> None:
    clean = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    code = f"""
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENBLAS_NUM_THREADS"))
sys.meta_path.insert(0, Finder())
import {module}
import numpy
"""
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
