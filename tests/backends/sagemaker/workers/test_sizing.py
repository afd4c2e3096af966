"""How many jobs workers need, and how many workers a job per run keeps busy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.backends.sagemaker.workers import busy_in_jobs_mode, plan_fleet
from tunewright.exceptions import SettingsError


@given(st.integers(1, 5000), st.integers(1, 8))
def test_a_fleet_has_room_for_all_and_no_instance_too_many(n_workers: int, slots: int) -> None:
    fleet = plan_fleet(n_workers, "ml.c5.xlarge", slots)
    assert 0 <= fleet.instances * slots - n_workers < slots
    assert fleet.job_size <= 20
    assert fleet.jobs >= min(2, fleet.instances)


def test_a_thousand_workers_need_fifty_jobs() -> None:
    assert plan_fleet(1000, "ml.c5.xlarge", None).jobs == 50


@pytest.mark.parametrize(
    ("instance_type", "slots"),
    [
        ("ml.c5.xlarge", 1),
        ("ml.g4dn.xlarge", 1),
        ("ml.g5.12xlarge", 4),
        ("ml.p4d.24xlarge", 8),
        ("ml.trn1.32xlarge", 1),
    ],
)
def test_each_gpu_has_a_trial(instance_type: str, slots: int) -> None:
    assert plan_fleet(8, instance_type, None).slots == slots


@pytest.mark.parametrize(
    "instance_type", ["ml.p6-b200.48xlarge", "ml.p6-b300.48xlarge", "ml.g7e.48xlarge", "ml.g7.48xlarge"]
)
def test_eight_workers_need_one_instance_with_eight_gpus(instance_type: str) -> None:
    assert plan_fleet(8, instance_type, None).instances == 1


def test_an_unknown_number_of_gpus_must_be_given() -> None:
    with pytest.raises(SettingsError, match=r"ml\.g99\.48xlarge .*--trials_per_instance"):
        plan_fleet(8, "ml.g99.48xlarge", None)
    assert plan_fleet(8, "ml.g99.48xlarge", 4).instances == 2
    assert plan_fleet(8, "ml.x99.large", None).slots == 1


def test_the_create_rate_bounds_jobs_mode() -> None:
    """One job a second: as many workers are busy as a run has seconds; start-up takes its part where there are few."""
    assert busy_in_jobs_mode(1000, 30.0, 20.0) == pytest.approx(30.0)
    assert busy_in_jobs_mode(8, 80.0, 20.0) == pytest.approx(8 * 0.8)
