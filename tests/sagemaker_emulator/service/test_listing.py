"""ListTrainingJobs, Search and tags, seen through boto3."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_emulator.api import listing
from sagemaker_emulator.api.listing import search

Service = Any


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(0, 3), max_size=12),
    st.integers(1, 5),
    st.booleans(),
)
def test_pages_give_every_item_once_and_in_order(values: dict[str, int], size: int, descending: bool) -> None:
    given_items: list[tuple[int, str]] = []
    token = None
    while True:
        page, token = listing.cut_page(
            list(values), lambda name: (values[name], name), size, token, descending=descending
        )
        assert len(page) <= size
        given_items += [(values[name], name) for name in page]
        if token is None:
            break
        assert len(page) == size
    assert given_items == sorted(((value, name) for name, value in values.items()), reverse=descending)


@pytest.fixture
def crowd(start: Callable[..., Service]) -> Service:
    """Twelve jobs: a-00 .. a-05 are Completed, b-00 .. b-05 train; one of them left a pool."""
    service = start(quotas={"ml.c5.xlarge": 100})
    for n in range(6):
        service.create(f"a-{n:02d}", keep_alive=20000 if n == 5 else 0, plan={"lr": f"{n / 10}"})
    for n in range(6):
        service.ended(f"a-{n:02d}")
    for n in range(6):
        service.create(f"b-{n:02d}", plan={"seconds": "100", "lr": "1e-3"}, RoleArn=OTHER, count=n + 1)
    for n in range(6):
        service.training(f"b-{n:02d}")
    return service


OTHER = "arn:aws:iam::123456789012:role/Other"


def listed(service: Service, **arguments: Any) -> tuple[list[str], str | None]:
    answer = service.client.list_training_jobs(**arguments)
    return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]], answer.get("NextToken")


def test_pages_and_filters_of_the_list(crowd: Service) -> None:
    names = [f"{letter}-{n:02d}" for letter in "ab" for n in range(6)]
    first, token = listed(crowd)
    assert first == names[:10]  # ten a page, oldest first
    assert token
    assert listed(crowd, NextToken=token) == (names[10:], None)
    assert listed(crowd, MaxResults=100, SortBy="Name", SortOrder="Descending")[0] == names[::-1]
    assert listed(crowd, NameContains="b-", MaxResults=100)[0] == names[6:]
    assert listed(crowd, SortBy="Status", MaxResults=100)[0] == names
    born = crowd.describe("b-00")["CreationTime"]
    assert listed(crowd, CreationTimeAfter=born, MaxResults=100)[0] == names[7:]
    assert listed(crowd, CreationTimeBefore=born, MaxResults=100)[0] == names[:6]
    plan = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/my-training-plan"
    assert listed(crowd, TrainingPlanArnEquals=plan)[0] == []
    with pytest.raises(ClientError, match="Invalid NextToken"):
        listed(crowd, NextToken="made-up")
    with pytest.raises(ClientError, match="Invalid NextToken"):
        listed(crowd, NextToken="WzFd")
    with pytest.raises(ClientError, match="with the same other arguments"):
        listed(crowd, NextToken=token, SortBy="Name")


def test_statuses_are_filtered_after_the_page_was_cut(crowd: Service) -> None:
    page, token = listed(crowd, StatusEquals="InProgress", MaxResults=5)
    assert page == []  # the trap: an empty page with more behind it
    assert token
    page, token = listed(crowd, StatusEquals="InProgress", MaxResults=5, NextToken=token)
    assert page == ["b-00", "b-01", "b-02", "b-03"]
    assert token
    assert listed(crowd, WarmPoolStatusEquals="Available", MaxResults=5)[0] == []
    assert listed(crowd, WarmPoolStatusEquals="Available", MaxResults=6)[0] == ["a-05"]
    names = [f"{letter}-{n:02d}" for letter in "ab" for n in range(6)]
    changes = {
        name: crowd.describe(name)["LastModifiedTime"] for name in names
    }  # jobs side by side: in any order
    changed = changes["a-03"]
    after = [name for name in names if changes[name] > changed]
    before = [name for name in names if changes[name] < changed]
    assert listed(crowd, LastModifiedTimeAfter=changed, MaxResults=100)[0] == after
    assert listed(crowd, LastModifiedTimeBefore=changed, MaxResults=100)[0] == before
    page, token = listed(crowd, LastModifiedTimeAfter=max(changes.values()), MaxResults=1)
    assert page == []
    assert token


def test_summaries_tell_what_a_sweep_needs(crowd: Service) -> None:
    jobs = {job["TrainingJobName"]: job for job in crowd.client.list_training_jobs()["TrainingJobSummaries"]}
    done = jobs["a-05"]
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Completed", "Completed")
    assert done["WarmPoolStatus"]["Status"] == "Available"
    assert done["CreationTime"] < done["TrainingEndTime"]
    assert done["LastModifiedTime"]
    assert done["TrainingJobArn"].endswith("/a-05")
    assert "TrainingEndTime" not in jobs["b-00"]


def found(service: Service, *filters: tuple[str, str] | tuple[str, str, str], **expression: Any) -> list[str]:
    keys = ("Name", "Operator", "Value")
    entries = [dict(zip(keys, entry, strict=False)) for entry in filters]
    answer = service.client.search(
        Resource="TrainingJob",
        SearchExpression={**({"Filters": entries} if entries else {}), **expression},
        MaxResults=100,
        SortBy="TrainingJobName",
        SortOrder="Ascending",
    )
    assert answer["TotalHits"] == {"Value": len(answer["Results"]), "Relation": "EqualTo"}
    return [result["TrainingJob"]["TrainingJobName"] for result in answer["Results"]]


def test_search_knows_all_operators(crowd: Service) -> None:
    training = [f"b-{n:02d}" for n in range(6)]
    done = [f"a-{n:02d}" for n in range(6)]
    for entry, expected in [
        (("TrainingJobStatus", "Equals", "InProgress"), training),
        (("TrainingJobStatus", "NotEquals", "InProgress"), done),
        (("TrainingJobName", "Contains", "-05"), ["a-05", "b-05"]),
        (("TrainingJobName", "In", "a-01,b-03,nobody"), ["a-01", "b-03"]),
        (("HyperParameters.lr", "GreaterThan", "0.3"), ["a-04", "a-05"]),
        (("HyperParameters.lr", "LessThanOrEqualTo", "0.001"), ["a-00", *training]),
        (("HyperParameters.seconds", "Exists"), training),
        (("TrainingEndTime", "NotExists"), training),
        (("ResourceConfig.InstanceCount", "Equals", "4"), ["b-03"]),
        (("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "5"), ["b-04", "b-05"]),
        (("CreationTime", "LessThan", "2100-01-01T00:00:00Z"), done + training),
        (("CreationTime", "LessThan", "yesterday"), []),
        (("EnableNetworkIsolation", "Equals", "true"), []),
        (("FinalMetricDataList.MetricName", "Equals", "accuracy"), done),
    ]:
        assert found(crowd, entry) == expected, entry


def test_search_combines_expressions(crowd: Service) -> None:
    last = {"Name": "TrainingJobName", "Operator": "Equals", "Value": "b-05"}
    first = {"Name": "TrainingJobName", "Value": "a-00"}  # Equals is the default
    assert found(crowd) == found(crowd, ("TrainingJobName", "Exists"))
    assert found(crowd, SubExpressions=[{"Filters": [first]}, {"Filters": [last]}], Operator="Or") == [
        "a-00",
        "b-05",
    ]
    assert found(crowd, SubExpressions=[{"Filters": [first]}, {"Filters": [last]}]) == []
    nested = {
        "NestedPropertyName": "FinalMetricDataList",
        "Filters": [
            {"Name": "FinalMetricDataList.MetricName", "Operator": "Equals", "Value": "accuracy"},
            {"Name": "FinalMetricDataList.Value", "Operator": "LessThan", "Value": "0.6"},
        ],
    }
    assert found(crowd, ("TrainingJobName", "Contains", "03"), NestedFilters=[nested]) == ["a-03"]


def test_search_pages_and_refuses_what_the_service_refuses(crowd: Service) -> None:
    answer = crowd.client.search(Resource="TrainingJob", MaxResults=7)
    rest = crowd.client.search(Resource="TrainingJob", MaxResults=7, NextToken=answer["NextToken"])
    names = [entry["TrainingJob"]["TrainingJobName"] for entry in answer["Results"] + rest["Results"]]
    assert len(names) == len(set(names)) == 12
    with pytest.raises(ClientError, match="only TrainingJob"):
        crowd.client.search(Resource="Endpoint")
    contains = {"Name": "TrainingJobName", "Operator": "Contains", "Value": "a"}
    for expression, text in [
        ({"Filters": [contains, contains]}, "Only one Contains"),
        ({"Filters": [{"Name": "RoleArn", "Operator": "Equals"}]}, "needs a Value"),
        (
            {"SubExpressions": [{"Filters": [{"Name": "RoleArn", "Operator": "Exists"}] * 17}] * 3},
            "50 filters",
        ),
    ]:
        with pytest.raises(ClientError, match=text):
            crowd.client.search(Resource="TrainingJob", SearchExpression=expression)


def test_tags_are_added_listed_searched_and_deleted(service: Service) -> None:
    arn = service.create("job-1", Tags=[{"Key": "team", "Value": "a"}])
    service.create("job-2")
    client = service.client
    added = client.add_tags(
        ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "run", "Value": "1"}]
    )
    tags = [{"Key": "team", "Value": "b"}, {"Key": "run", "Value": "1"}]
    assert added["Tags"] == tags == client.list_tags(ResourceArn=arn)["Tags"]
    assert found(service, ("Tags.Key", "Equals", "run")) == ["job-1"]
    client.delete_tags(ResourceArn=arn, TagKeys=["team", "nothing"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == tags[1:]
    with pytest.raises(service.client.exceptions.ResourceLimitExceeded):
        client.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    with pytest.raises(service.client.exceptions.ResourceNotFound):
        client.list_tags(ResourceArn=arn.replace("job-1", "job-3"))
    with pytest.raises(service.client.exceptions.ResourceNotFound):
        client.list_tags(ResourceArn=arn.replace("us-east-1", "eu-west-1"))


def test_times_without_a_zone_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"TrainingJobName": "a", "CreationTime": 1767227400.0}  # 2026-01-01T00:30:00Z
    wanted = {"Name": "CreationTime", "Operator": "GreaterThan", "Value": "2026-01-01T00:00:00"}
    request = {"Resource": "TrainingJob", "SearchExpression": {"Filters": [wanted]}}
    monkeypatch.setenv("TZ", "Etc/GMT+5")
    time.tzset()
    try:
        assert search([record], request)["TotalHits"]["Value"] == 1
    finally:
        monkeypatch.undo()
        time.tzset()


def test_pages_by_a_number_that_is_none_give_each_job_once() -> None:
    values = ["nan", "2", "nan", "1", "inf", "nan"]
    records = [{"TrainingJobName": f"job-{n}", "HyperParameters": {"lr": lr}} for n, lr in enumerate(values)]
    request: dict[str, Any] = {"Resource": "TrainingJob", "SortBy": "HyperParameters.lr", "MaxResults": 1}
    names: list[str] = []
    while len(names) <= len(values):
        answer = search(records, request)
        names += [result["TrainingJob"]["TrainingJobName"] for result in answer["Results"]]
        if "NextToken" not in answer:
            break
        request["NextToken"] = answer["NextToken"]
    assert sorted(names) == [f"job-{n}" for n in range(len(values))]
