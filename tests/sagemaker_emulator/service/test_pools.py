"""Warm pools and quotas, seen through boto3."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.service.faults import Fault

Service = Any
TYPE = "ml.c5.xlarge"


def keep_alive(service: Service, name: str, seconds: int) -> None:
    service.client.update_training_job(
        TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": seconds}
    )


def test_a_matching_job_takes_over_the_pool_and_its_folder(service: Service) -> None:
    service.create("first", keep_alive=20000)
    assert service.describe("first")["WarmPoolStatus"] == {"Status": "InUse"}
    service.pool("first", "Available")
    service.create("second", keep_alive=20000, plan={"seconds": "0.01"}, Environment={"ANY": "thing"})
    former = service.pool("first", "Reused")
    assert former["ReusedByJob"] == "second"
    assert former["ResourceRetainedBillableTimeInSeconds"] >= 0
    service.pool("second", "Available")
    first, second = service.executor.orders
    assert first.cluster_dir == second.cluster_dir
    assert (second.cluster_dir / "first").read_text() == "cached"
    messages = [entry["StatusMessage"] for entry in service.describe("second")["SecondaryStatusTransitions"]]
    assert "Launching requested ML instances" not in messages


def test_warm_starts_are_billed_less(service: Service) -> None:
    for name in ("cold", "warm"):
        service.create(name, keep_alive=20000, plan={"seconds": "0"})
        service.pool(name, "Available")
    cold, warm = (service.describe(name)["BillableTimeInSeconds"] for name in ("cold", "warm"))
    assert cold >= 30
    assert 8 <= warm < cold


def test_a_job_without_keep_alive_uses_a_pool_and_ends_it(service: Service) -> None:
    service.create("first", keep_alive=20000)
    service.pool("first", "Available")
    service.create("second")
    assert service.pool("first", "Reused")["ReusedByJob"] == "second"
    assert "WarmPoolStatus" not in service.ended("second")
    service.create("third", keep_alive=20000)
    assert "WarmPoolStatus" in service.ended("third")
    first, _, third = service.executor.orders
    assert third.cluster_dir != first.cluster_dir


NETWORK = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}


@pytest.mark.parametrize(
    "change",
    [
        {"RoleArn": "arn:aws:iam::123456789012:role/OtherRole"},
        {"VpcConfig": {**NETWORK, "Subnets": ["subnet-1"]}},
        {"VpcConfig": {**NETWORK, "SecurityGroupIds": ["sg-2"]}},
        {"EnableNetworkIsolation": True},
        {"EnableInterContainerTrafficEncryption": True},
        {"SessionChainingConfig": {"EnableSessionTagChaining": True}},
        {"resources": {"VolumeSizeInGB": 11}},
        {"resources": {"VolumeKmsKeyId": "key"}},
        {"resources": {"InstanceCount": 2}},
    ],
    ids=str,
)
def test_a_pool_that_does_not_match_exactly_counts_against_the_quota(
    start: Callable[..., Service], change: dict[str, Any]
) -> None:
    service = start(quotas={TYPE: 1})
    service.create("first", keep_alive=20000, VpcConfig=NETWORK)
    service.pool("first", "Available")
    request = service.request("second", keep_alive=20000, VpcConfig=NETWORK)
    request["ResourceConfig"].update(change.get("resources", {}))
    request.update({name: value for name, value in change.items() if name != "resources"})
    with pytest.raises(service.client.exceptions.ResourceLimitExceeded):
        service.client.create_training_job(**request)
    assert service.describe("first")["WarmPoolStatus"]["Status"] == "Available"
    service.create(
        "third", VpcConfig={**NETWORK, "Subnets": NETWORK["Subnets"][::-1]}, plan={"other": "values"}
    )


def test_the_quota_error_is_the_services(start: Callable[..., Service]) -> None:
    service = start(quotas={TYPE: 2, "ml.m5.large": 0})
    service.create("first", plan={"seconds": "100"})
    with pytest.raises(service.client.exceptions.ResourceLimitExceeded) as refused:
        service.create("second", count=2)
    assert refused.value.response["Error"]["Message"].startswith(
        "The account-level service limit 'ml.c5.xlarge for training job usage' is 2 Instances, with current utilization "
        "of 1 Instances and a request delta of 2 Instances. Please use AWS Service Quotas to request an increase"
    )
    with pytest.raises(ClientError, match=r"'ml\.m5\.large for training job usage' is 0 Instances"):
        service.create("third", instance_type="ml.m5.large")
    with pytest.raises(ClientError, match=r"'ml\.g5\.xlarge for training job usage' is 20 Instances"):
        service.create("fourth", instance_type="ml.g5.xlarge", count=21)
    with pytest.raises(ClientError, match="not found"):
        service.describe("second")


def test_instances_count_until_a_stopped_job_is_over(start: Callable[..., Service]) -> None:
    service = start(quotas={TYPE: 1}, speed=100.0)
    service.create("first", plan={"seconds": "100", "on_term": "ignore"})
    service.training("first")
    service.client.stop_training_job(TrainingJobName="first")
    with pytest.raises(service.client.exceptions.ResourceLimitExceeded):
        service.create("second")
    service.ended("first")
    service.create("second")


def test_spot_instances_have_a_quota_of_their_own(start: Callable[..., Service]) -> None:
    service = start(quotas={TYPE: 1})
    service.create("first", plan={"seconds": "100"})
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
    }
    service.create("second", plan={"seconds": "100"}, **spot)
    with pytest.raises(ClientError, match="spot training job usage"):
        service.create("third", **spot)


def test_instance_groups_count_by_their_types(start: Callable[..., Service]) -> None:
    service = start(quotas={TYPE: 3})
    group = {"InstanceType": TYPE, "InstanceCount": 2}
    resources = {
        "InstanceGroups": [{**group, "InstanceGroupName": "a"}, {**group, "InstanceGroupName": "b"}],
        "VolumeSizeInGB": 5,
    }
    with pytest.raises(ClientError, match="request delta of 4 Instances"):
        service.create("first", ResourceConfig=resources)


def test_an_idle_pool_expires(start: Callable[..., Service]) -> None:
    service = start(quotas={TYPE: 1})
    service.create("first", keep_alive=60)
    pool = service.pool("first", "Terminated")
    assert pool["ResourceRetainedBillableTimeInSeconds"] == 60
    service.create("second")  # the quota is free again
    gone = service.executor.orders[0].cluster_dir
    deadline = time.monotonic() + 300
    while gone.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not gone.exists()


def test_update_releases_or_prolongs_an_available_pool(start: Callable[..., Service]) -> None:
    service = start()
    name = prolonged_pool(service, 600, 21600)
    pool = service.until(
        name, lambda job: job["WarmPoolStatus"].get("ResourceRetainedBillableTimeInSeconds", 0) > 600
    )["WarmPoolStatus"]
    assert pool["Status"] == "Available"  # although the first keep-alive is over
    keep_alive(service, name, 0)
    assert service.describe(name)["WarmPoolStatus"]["Status"] == "Terminated"


def prolonged_pool(service: Service, short: int, long: int) -> str:
    """A job with a pool whose keep-alive was short, and was prolonged before it was over."""
    for n in range(100):
        service.create(f"job-{n}", keep_alive=long)
        service.pool(f"job-{n}", "Available")
        keep_alive(service, f"job-{n}", short)
        try:
            keep_alive(service, f"job-{n}", long)
        except ClientError:  # a busy machine: the pool has expired
            continue
        return f"job-{n}"
    raise AssertionError("no pool was prolonged in time")


def test_update_is_refused_where_there_is_no_available_pool(start: Callable[..., Service]) -> None:
    service = start(keep_alive_cap=3600)
    service.create("first", keep_alive=600, plan={"seconds": "100"})
    with pytest.raises(ClientError, match="only while its warm pool is Available"):
        keep_alive(service, "first", 10)
    with pytest.raises(service.client.exceptions.ResourceNotFound):
        keep_alive(service, "nobody", 10)
    with pytest.raises(ClientError, match="above the maximum"):
        keep_alive(service, "first", 3601)
    with pytest.raises(ClientError, match="Only ResourceConfig"):
        service.client.update_training_job(
            TrainingJobName="first", RemoteDebugConfig={"EnableRemoteDebug": True}
        )


def test_without_pool_quota_the_cluster_is_silently_given_up(start: Callable[..., Service]) -> None:
    service = start(warm_pool_quotas={TYPE: 0})
    service.create("first", keep_alive=600)
    job = service.ended("first")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["WarmPoolStatus"] == {"Status": "Terminated"}


def test_pool_quota_counts_what_is_kept(start: Callable[..., Service]) -> None:
    service = start(warm_pool_quotas={TYPE: 1})
    for name in ("first", "second"):
        service.create(name, keep_alive=20000, plan={"seconds": "100"})
        service.training(name)
    for name in ("first", "second"):
        service.executor.release(name)
    statuses = {service.ended(name)["WarmPoolStatus"]["Status"] for name in ("first", "second")}
    assert statuses == {"Available", "Terminated"}


@pytest.mark.parametrize("plan", [{"exit": "1"}, {"prepare_error": "ClientError: no"}], ids=str)
def test_failures_of_the_user_keep_the_pool(service: Service, plan: dict[str, str]) -> None:
    service.create("first", keep_alive=20000, plan=plan)
    assert service.ended("first")["WarmPoolStatus"]["Status"] == "Available"


@pytest.mark.parametrize("kind", ["internal_error", "capacity"])
def test_failures_of_the_service_end_the_pool(start: Callable[..., Service], kind: Any) -> None:
    service = start(faults=[Fault(kind=kind)])
    service.create("first", keep_alive=20000, plan={"seconds": "100"})
    assert service.ended("first")["WarmPoolStatus"] == {"Status": "Terminated"}


def test_a_cluster_that_is_too_old_is_not_handed_on(start: Callable[..., Service]) -> None:
    service = start(speed=1e7)  # 28 days pass in a quarter of a second
    service.create("first", keep_alive=20000, plan={"seconds": "0.5"})
    assert service.ended("first")["WarmPoolStatus"] == {"Status": "Terminated"}


def test_folders_of_refused_jobs_do_not_pile_up(start: Callable[..., Service], tmp_path: Path) -> None:
    service = start(quotas={TYPE: 0})
    for n in range(3):
        with pytest.raises(service.client.exceptions.ResourceLimitExceeded):
            service.create(f"job-{n}")
    assert not list(tmp_path.glob("state/clusters/*"))


def test_instances_that_could_not_be_made_use_up_no_quota(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(quotas={"ml.c5.xlarge": 1})
    (place,) = tmp_path.rglob("jobs.sqlite")
    clusters = place.with_name("clusters")
    clusters.write_text("no folder")
    with pytest.raises(ClientError, match="500"):
        service.create("first")
    clusters.unlink()
    service.create("second")
    assert service.ended("second")["TrainingJobStatus"] == "Completed"
