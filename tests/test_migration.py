"""The guide for those who come from Syne Tune names every flag that their launchers took, and nothing that is not here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunewright.experiments.methods import find_method
from tunewright.launchers.parser import _RETIRED

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "migration.md").read_text()
FLAGS = [
    "experiment_tag",
    "num_seeds",
    "start_seed",
    "method",
    "save_tuner",
    "n_workers",
    "max_wallclock_time",
    "benchmark",
    "verbose",
    "instance_type",
    "max_failures",
    "warm_pool",
    "start_jobs_without_delay",
    "support_checkpointing",
    "fcnet_ordinal",
    "benchmark_key",
    "random_seed",
    "max_size_data_for_model",
    "scale_max_wallclock_time",
    "use_long_tuner_name_prefix",
    "launched_remotely",
    "estimator_fit_backoff_wait_time",
    "delete_checkpoints",
    "remote_tuning_metrics",
    "num_gpus_per_trial",
    "restrict_configurations",
]


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_named(flag: str) -> None:
    assert f"--{flag}" in TEXT


def test_every_retired_flag_is_named() -> None:
    assert all(flag in TEXT for flag in _RETIRED)


def test_methods_that_kept_their_names_are_here() -> None:
    sentence = TEXT[TEXT.index("## Methods") : TEXT.index("have the same names")]
    for name in re.findall(r"`(\w+)`", sentence):
        if name != "MedianStoppingRule":
            find_method(name)
