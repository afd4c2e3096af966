"""Service Quotas, the status page, and the faults of S3 and of warm pools."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.service.faults import Fault

Service = Any


def fetch(service: Service, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    line = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=300)
    line.request("GET", path, headers=headers or {})
    answer = line.getresponse()
    text = answer.read().decode()
    line.close()
    return answer.status, text


def test_quotas_are_those_that_bind(start: Callable[..., Service]) -> None:
    service = start(quotas={"ml.c5.xlarge": 3}, warm_pool_quotas={"ml.c5.xlarge": 0})
    client = service.connect(service="service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    assert quotas["ml.c5.xlarge for training job usage"]["Value"] == 3
    assert quotas["ml.c5.xlarge for spot training job usage"]["Value"] == 3
    assert quotas["ml.c5.xlarge for training warm pool usage"]["Value"] == 0
    assert quotas["ml.m5.large for training job usage"]["Value"] == 20
    assert quotas["Rate of CreateTrainingJob requests"]["Value"] == 1
    assert not quotas["Rate of ListTrainingJobs requests"]["Adjustable"]
    code = quotas["ml.c5.xlarge for training job usage"]["QuotaCode"]
    assert client.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]["Value"] == 3
    for arguments in ({"ServiceCode": "ec2"}, {"ServiceCode": "sagemaker", "QuotaCode": "L-0"}):
        with pytest.raises(ClientError, match="NoSuchResourceException"):
            client.get_service_quota(**{"QuotaCode": code, **arguments})
    with pytest.raises(ClientError, match="IllegalArgumentException"):
        client.list_service_quotas(ServiceCode="sagemaker", NextToken="a former token")
    with pytest.raises(ClientError, match="UnknownOperationException"):
        client.list_services()
    client.close()


def test_the_status_page_shows_jobs_pools_calls_and_faults(start: Callable[..., Service]) -> None:
    service = start(quotas={"ml.c5.xlarge": 3}, faults=[Fault(kind="stale", target="Search", count=None)])
    assert fetch(service, "/_status")[0] == 401
    assert "no jobs yet" in fetch(service, "/_status", {"x-emulator-key": "KEY"})[1]
    service.create("left-warm", keep_alive=300)
    service.pool("left-warm", "Available")
    service.create("trains", instance_type="ml.m5.large", plan={"seconds": "60"})
    service.training("trains")
    status, page = fetch(service, "/_status", {"x-emulator-key": "KEY"})
    assert status == 200
    assert "1 Completed, 1 InProgress" in page
    rows = [row.split("<td>")[1:] for row in page.splitlines() if row.startswith("<tr><td>")]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["left-warm"][-1] == "Available"
    assert cells["trains"][0] == "InProgress / Training"
    assert cells["ml.c5.xlarge"] == ["0", "1", "3", "20"]
    assert cells["ml.m5.large"] == ["1", "0", "20", "20"]
    assert cells["CreateTrainingJob"] == ["2", "0", "1"]
    assert cells["stale"] == ["Search", "always", "1", "0"]


def test_names_are_not_markup(start: Callable[..., Service]) -> None:
    service = start()
    service.create("fails", plan={"exit": "1", "failure": "<script>alert(1)</script>"})
    service.ended("fails")
    assert "<script>" not in fetch(service, "/_status", {"x-emulator-key": "KEY"})[1]


def test_a_warm_pool_may_be_evicted_before_its_time(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="pool_eviction", target="first", seconds=2.0)])
    for name in ("first", "second"):
        service.create(name, keep_alive=3600)
        service.ended(name)
    assert service.pool("first", "Terminated")["ResourceRetainedBillableTimeInSeconds"] <= 2
    assert service.describe("second")["WarmPoolStatus"]["Status"] == "Available"


def test_s3_answers_slow_down_and_later_than_usual_on_demand(start: Callable[..., Service]) -> None:
    service = start(
        faults=[
            Fault(kind="s3_error", target="PUT /bucket/*"),
            Fault(kind="slow_s3", target="GET /bucket/late", seconds=0.01),
        ]
    )
    client = service.connect(service="s3")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket="bucket", Key="key", Body=b"")
    assert refused.value.response["Error"]["Code"] == "SlowDown"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    client.put_object(Bucket="bucket", Key="key", Body=b"")
    client.get_object(Bucket="bucket", Key="late")
    client.close()
    line = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=300)
    line.request("GET", "/_faults", headers={"x-emulator-key": "KEY"})
    assert line.getresponse().read() == b'{"faults": []}'  # both were used up
    line.close()
