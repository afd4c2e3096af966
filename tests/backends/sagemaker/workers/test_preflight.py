"""Before the first job the account's quotas are looked at where that is allowed, in both modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tunewright.aws import EndpointKind
from tunewright.aws.account import LIST_RATE, per_job_quota, total_quota, training_quota
from tunewright.trial import Run


class Quotas:
    """What is used of boto3's client of Service Quotas."""

    def __init__(self, values: dict[str, float] | None, defaults: dict[str, float] | None = None) -> None:
        self._values = values
        self._defaults = defaults

    def get_paginator(self, name: str) -> Quotas:
        assert name in {"list_service_quotas", "list_aws_default_service_quotas"}
        return self if name == "list_service_quotas" else Quotas(self._defaults)

    def paginate(self, ServiceCode: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        if self._values is None:
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListServiceQuotas"
            )
        for name, value in self._values.items():
            yield {"Quotas": [{"QuotaName": name, "QuotaCode": "L-1", "Value": value, "Adjustable": True}]}


@pytest.fixture(params=["jobs", "workers"])
def notices_with(
    request: pytest.FixtureRequest, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, ...]]:
    """Begins an experiment of 40 workers on an account with these quotas; what is said before its first job."""

    def begin(values: dict[str, float] | None, defaults: dict[str, float] | None = None) -> tuple[str, ...]:
        aws.endpoint = replace(aws.endpoint, kind=EndpointKind.OTHER)
        quotas = Quotas(values, defaults)
        monkeypatch.setattr(aws, "client", lambda service: aws.s3 if service == "s3" else quotas)
        make = request.getfixturevalue("make_driver" if request.param == "jobs" else "make_fleet")
        started = make(n_workers=40, instance_type="ml.c5.xlarge", role="arn:aws:iam::123456789012:role/R")
        assert not aws.jobs
        return started.backend.summary().notices

    return begin


NAME = training_quota("ml.c5.xlarge")


def test_what_the_account_has_is_said_beside_the_need(notices_with: Callable[..., tuple[str, ...]]) -> None:
    (line,) = notices_with({NAME: 64.0, LIST_RATE: 2.0})
    assert f"{NAME}: 64, needed 40" in line
    assert "WARNING" not in line


def test_what_is_too_low_comes_with_its_remedy(notices_with: Callable[..., tuple[str, ...]]) -> None:
    (line,) = notices_with({NAME: 8.0})
    assert line.startswith("WARNING")
    assert "--quota-code L-1 --desired-value 40" in line


def test_a_quota_that_is_not_listed_is_unknown(notices_with: Callable[..., tuple[str, ...]]) -> None:
    (line,) = notices_with({LIST_RATE: 2.0})
    assert "WARNING" not in line
    assert f"not listed: {NAME}" in line


def test_the_default_stands_for_a_quota_that_is_not_listed(
    notices_with: Callable[..., tuple[str, ...]],
) -> None:
    total = total_quota(is_spot=False)
    (line,) = notices_with({NAME: 64.0}, {NAME: 0.0, total: 4.0})
    assert f"too low: {total}: 4 (default), needed 40. As many run as there is room for. aws " in line
    assert NAME not in line, "that quota is enough"
    assert line.startswith("WARNING")


def test_an_account_that_does_not_tell_is_no_error(notices_with: Callable[..., tuple[str, ...]]) -> None:
    assert notices_with(None) == ()


@pytest.mark.parametrize("name", [per_job_quota(is_spot=False), "Maximum instances per training job"])
def test_a_job_of_workers_is_no_larger_than_the_account_allows(
    make_fleet: Any, aws: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    aws.endpoint = replace(aws.endpoint, kind=EndpointKind.OTHER)
    quotas = Quotas({name: 5.0})
    monkeypatch.setattr(aws, "client", lambda service: aws.s3 if service == "s3" else quotas)
    fleet = make_fleet(n_workers=40, instance_type="ml.c5.xlarge", role="arn:aws:iam::123456789012:role/R")
    for trial_id in range(40):
        fleet.backend.start(Run(trial_id=trial_id, attempt=0), {"lr": 1})
    fleet.until(lambda: len(aws.jobs) >= 8)
    assert {job["fields"]["ResourceConfig"]["InstanceCount"] for job in aws.jobs.values()} == {5}
