"""What an experiment needs beside what an account has."""

from __future__ import annotations

import pytest

from tunewright.aws.account import Quota
from tunewright.backends.sagemaker.preflight import Plan, needs
from tunewright.cli.sagemaker import show_quotas
from tunewright.exceptions import SettingsError, UnknownNameError

PLAN = Plan(instance_type="ml.c5.xlarge", n_instances=8, has_warm_pool=True, trial_seconds=4.0)


def quota(name: str, value: float, *, is_adjustable: bool = True) -> dict[str, Quota]:
    return {name: Quota(name=name, code="L-1", value=value, is_adjustable=is_adjustable)}


def test_of_an_account_that_does_not_tell_only_the_published_rates_are_known() -> None:
    lines = {line.quota: line for line in needs(PLAN, None)}
    assert lines["ml.c5.xlarge for training job usage"].has is None
    assert not lines["ml.c5.xlarge for training job usage"].is_missing
    assert lines["Rate of CreateTrainingJob requests"].has == 1.0
    assert lines["Rate of CreateTrainingJob requests"].is_missing  # 8 workers, 4 s: 2 jobs a second


def test_a_quota_that_an_account_does_not_list_is_unknown() -> None:
    lines = {line.quota: line for line in needs(PLAN, quota("ml.c5.xlarge for training job usage", 8.0))}
    assert not lines["ml.c5.xlarge for training job usage"].is_missing
    assert lines["ml.c5.xlarge for training warm pool usage"].has is None
    assert lines["ml.c5.xlarge for training warm pool usage"].value == "?"
    assert not lines["ml.c5.xlarge for training warm pool usage"].is_missing


@pytest.mark.parametrize("spot", ["", "spot "])
def test_the_limits_of_all_types_together_and_of_one_job_count(spot: str) -> None:
    plan = Plan(instance_type="ml.c5.xlarge", n_instances=42, instances_per_job=21, is_spot=bool(spot))
    total = f"Number of instances across all {spot}training jobs"
    per_job = f"Maximum number of instances per {spot}training job"
    lines = {line.quota: line for line in needs(plan, quota(total, 4.0) | quota(per_job, 20.0))}
    assert (lines[total].has, lines[total].needs, lines[total].is_missing) == (4.0, 42.0, True)
    assert (lines[per_job].has, lines[per_job].needs, lines[per_job].is_missing) == (20.0, 21.0, True)


def test_the_remedy_asks_for_what_is_needed_or_says_that_nobody_can() -> None:
    name = "ml.c5.xlarge for spot training job usage"
    plan = Plan(instance_type="ml.c5.xlarge", n_instances=8, is_spot=True)
    line = needs(plan, quota(name, 2.0))[0]
    assert line.quota == name
    assert line.remedy.endswith("--quota-code L-1 --desired-value 8")
    assert "not adjustable" in needs(plan, quota(name, 2.0, is_adjustable=False))[0].remedy
    assert needs(plan, quota(name, 9.0))[0].remedy == ""


def test_what_is_to_run_must_be_said() -> None:
    with pytest.raises(SettingsError, match="Name an instance type"):
        show_quotas()
    with pytest.raises(UnknownNameError, match="Did you mean 'mlp_digits'"):
        show_quotas(benchmark="mlp_digit")
