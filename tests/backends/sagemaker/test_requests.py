"""Requests: golden files, botocore's own validation, and any configuration whatever."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.sagemaker import JobSettings
from tunewright.backends.sagemaker.requests import (
    Deployment,
    build_request,
    instance_of,
    merge,
)
from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.report import Reporter
from tunewright.testing.jobs import job_settings
from tunewright.trial import Checkpoint, Run

GOLDEN = Path(__file__).parent / "golden"
SHAPE = (
    botocore.session.get_session()
    .get_service_model("sagemaker")
    .operation_model("CreateTrainingJob")
    .input_shape
)
DEPLOYMENT = Deployment(
    experiment="ünïque experiment",
    job_prefix="nique-experiment",
    role_arn="arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole-1",
    cpu_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
    gpu_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-sagemaker",
    bucket="sagemaker-us-east-1-123456789012",
    prefix="tunewright/nique-experiment",
    code_prefix="tunewright/code/0123456789abcdef/",
    code_sha256="0123456789abcdef" * 4,
    runner_sha256="fedcba9876543210" * 4,
)
CONFIG: dict[str, Any] = {"lr": 1e-3, "layers": 2, "nesterov": True, "optimizer": "adam", "epochs": 27}

CASES: dict[str, tuple[JobOrder, JobSettings]] = {
    "plain": (JobOrder(run=Run(trial_id=0, attempt=0), config=CONFIG), job_settings()),
    "resumed_warm": (
        JobOrder(
            run=Run(
                trial_id=12,
                attempt=1,
                until=9,
                resume_from=3,
                from_checkpoint=Checkpoint(trial_id=12, resource=3),
            ),
            config=CONFIG,
            retry=2,
            cost_before=0.125,
            dollars_per_hour=0.736,
        ),
        job_settings(
            warm_pool=True,
            instance_type="ml.g4dn.xlarge",
            max_run=3600,
            environment={"PYTHONHASHSEED": "0"},
            tags={"team": "vision"},
        ),
    ),
    "template": (
        JobOrder(
            run=Run(trial_id=1, attempt=0), config={"instance_type": "ml.m5.large", "instance_count": 2}
        ),
        job_settings(
            request_template={
                "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
                "ResourceConfig": {"VolumeKmsKeyId": "key", "VolumeSizeInGB": 1},
                "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]},
                "InputDataConfig": [
                    {
                        "ChannelName": "train",
                        "DataSource": {
                            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train"}
                        },
                    }
                ],
                "Tags": [{"Key": "cost", "Value": "center"}, {"Key": "tunewright:trial", "Value": "none"}],
            }
        ),
    ),
    "spot": (
        JobOrder(
            run=Run(trial_id=3, attempt=0, until=1), config=CONFIG, dollars_per_hour=2.0, billed_share=0.25
        ),
        job_settings(spot=True, max_run=3600, max_wait=7200),
    ),
    "isolated": (
        JobOrder(
            run=Run(
                trial_id=5,
                attempt=1,
                until=9,
                resume_from=3,
                from_checkpoint=Checkpoint(trial_id=2, resource=3),
            ),
            config={"text": "x" * 3000},
            retry=1,
            checkpoint_key="synced/2/0-0/3/",
        ),
        job_settings(network_isolation=True, warm_pool=True),
    ),
    "logs": (
        JobOrder(run=Run(trial_id=6, attempt=0), config={"lr": 0.5}),
        job_settings(channel="logs", instance_count=2),
    ),
    "restarted_by_the_service": (
        JobOrder(run=Run(trial_id=4, attempt=0), config={}),
        job_settings(
            request_template={
                "RetryStrategy": {"MaximumRetryAttempts": 2},
                "CheckpointConfig": {"S3Uri": "s3://a/b", "LocalPath": "/opt/ml/others"},
            }
        ),
    ),
    "awkward_values": (
        JobOrder(
            run=Run(trial_id=2, attempt=0),
            config={"text": "a\nb", "ünïcode": "ü", "long": "x" * 3000, "blank": "", "quote": 'say "hi"'},
        ),
        job_settings(),
    ),
}


def errors(fields: Any) -> str:
    return ParamValidator().validate(fields, SHAPE).generate_report()


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """After a wanted change, write the printed request into the golden file."""
    order, settings = CASES[name]
    fields = build_request(order, DEPLOYMENT, settings).fields
    assert errors(fields) == ""
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
    assert json.loads(text) == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")), text


NAMES = st.text(min_size=0, max_size=300).filter(lambda name: "instance_" not in name)
VALUES = st.one_of(st.text(max_size=3000), st.integers(), st.floats(allow_nan=False), st.booleans())


@given(config=st.dictionaries(NAMES, VALUES, max_size=130))
def test_any_configuration_fits_the_service(config: dict[str, Any]) -> None:
    request = build_request(
        JobOrder(run=Run(trial_id=0, attempt=0), config=config), DEPLOYMENT, job_settings()
    )
    parameters = request.fields["HyperParameters"]
    assert errors(request.fields) == ""
    assert len(parameters) <= 100
    for name, value in parameters.items():
        assert len(name) <= 256
        assert len(value) <= 2500
        assert re.fullmatch(".*", name)
        assert re.fullmatch(".*", value)
    pointer = parameters["tunewright_config"]
    text = request.config_body.decode() if request.config_key else pointer
    assert json.loads(text) == config


def test_equal_hashes_mean_equal_jobs() -> None:
    def digest(
        config: dict[str, Any] = CONFIG, until: int | None = None, cost: float = 0.0, **more: Any
    ) -> str:
        order = JobOrder(run=Run(trial_id=0, attempt=0, until=until), config=config, cost_before=cost)
        deployed = {name: more.pop(name) for name in ("cpu_image", "code_prefix", "session") if name in more}
        fields = build_request(order, replace(DEPLOYMENT, **deployed), job_settings(**more)).fields
        (tag,) = [tag["Value"] for tag in fields["Tags"] if tag["Key"] == "tunewright:hash"]
        assert tag == fields["Environment"]["TUNEWRIGHT_HASH"]
        return tag

    same = [digest(), digest(dict(CONFIG)), digest(cost=0.5)]
    others = [
        digest({**CONFIG, "lr": 0.1}),
        digest(until=3),
        digest(session="0123456789ab"),
        digest(session="ba9876543210"),
        digest(code_prefix="tunewright/nique-experiment/code/fedcba9876543210/"),
        digest(cpu_image="mine"),
        digest(instance_type="ml.m5.large"),
        digest(volume_gb=40),
        digest(environment={"A": "1"}),
    ]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 1 + len(others)


def test_instances_may_be_hyperparameters() -> None:
    settings = job_settings(instance_type="ml.c5.xlarge", instance_count=1)
    assert instance_of({}, settings) == ("ml.c5.xlarge", 1)
    assert instance_of({"st_instance_type": "ml.m5.large", "st_instance_count": 3}, settings) == (
        "ml.m5.large",
        3,
    )
    for count in ("", "3", 0, 1.5):
        with pytest.raises(SettingsError, match="'instance_count' is the number of instances"):
            instance_of({"instance_count": count}, settings)


def test_until_may_be_the_maximum_resource() -> None:
    settings = job_settings(max_resource_attr="epochs", max_resource=27, until_as_max_resource=True)
    for until, expected in ((3, "3"), (None, "27")):
        order = JobOrder(run=Run(trial_id=0, attempt=0, until=until), config=CONFIG)
        assert build_request(order, DEPLOYMENT, settings).fields["HyperParameters"]["epochs"] == expected
    with pytest.raises(SettingsError, match="max_resource_attr"):
        job_settings(until_as_max_resource=True)


def test_merge_goes_into_mappings() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}}) == {"a": {"b": 9, "c": 2}, "d": 3}


def test_the_key_of_disks_is_left_out_where_the_hardware_encrypts_them() -> None:
    def resources(**given: Any) -> dict[str, Any]:
        settings = job_settings(kms_key="alias/mine", **given)
        fields = build_request(CASES["plain"][0], DEPLOYMENT, settings).fields
        assert fields["OutputDataConfig"]["KmsKeyId"] == "alias/mine"
        return fields["ResourceConfig"]

    assert resources(instance_type="ml.c5.xlarge")["VolumeKmsKeyId"] == "alias/mine"
    assert "VolumeKmsKeyId" not in resources(instance_type="ml.g5.xlarge")
    own = {"ResourceConfig": {"VolumeKmsKeyId": "k"}}
    assert "VolumeKmsKeyId" not in resources(instance_type="ml.p4d.24xlarge", request_template=own)


def test_an_environment_that_is_too_long_is_named() -> None:
    settings = job_settings(environment={"BIG": "x" * 513})
    with pytest.raises(SettingsError, match="BIG"):
        build_request(CASES["plain"][0], DEPLOYMENT, settings)


def metrics_of(settings: JobSettings) -> dict[str, str]:
    """Regular expressions by metric, of the request of a run."""
    request = build_request(CASES["plain"][0], DEPLOYMENT, settings).fields
    found = {
        one["Name"]: one["Regex"] for one in request["AlgorithmSpecification"].get("MetricDefinitions", ())
    }
    assert errors(request) == ""
    return found


@pytest.mark.parametrize("value", [0.5, -2.5e-07, 1e300, 3])
def test_the_console_finds_the_metrics_of_each_report(value: float) -> None:
    names = ["loss", 'top-1 "acc" (%)', "präzision"]
    settings = job_settings(metrics=tuple(map(Metric, names)))
    expressions = metrics_of(settings)
    assert list(expressions) == ["loss", "top-1 _acc_ ___", "pr_zision", "epoch"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        Reporter()(val_loss=7.0, **dict.fromkeys(names, value), epoch=4, note='"loss": 9')
    line = printed.getvalue()
    assert line.count("\n") == 1
    for expression, expected in zip(expressions.values(), [value] * 3 + [4], strict=True):
        assert [float(found) for found in re.findall(expression, line)] == [expected]
        assert re.search(expression, line.removeprefix("[tune-metric]: ")) is None
        assert re.search(expression, "[tune-metric]: " + json.dumps(dict.fromkeys(names, "nan"))) is None


def test_metric_definitions_of_the_template_win_and_forty_are_the_most() -> None:
    def template(names: Sequence[str]) -> dict[str, Any]:
        return {
            "AlgorithmSpecification": {
                "MetricDefinitions": [{"Name": name, "Regex": f"{name}=(.*)"} for name in names]
            }
        }

    assert metrics_of(job_settings(request_template=template(["loss"])))["loss"] == "loss=(.*)"
    others = [f"m{number}" for number in range(39)]
    assert list(metrics_of(job_settings(request_template=template(others)))) == [*others, "loss"]
    assert list(metrics_of(job_settings(request_template=template([*others, "last"])))) == [*others, "last"]
    assert metrics_of(job_settings(metrics=(Metric("x" * 600),))).keys() == {"epoch"}
    assert metrics_of(job_settings(metric_definitions=False)) == {}
    assert metrics_of(job_settings(resource_attr=None)).keys() == {"loss"}


@pytest.mark.parametrize(
    "isolated", [{"network_isolation": True}, {"request_template": {"EnableNetworkIsolation": True}}]
)
def test_jobs_without_a_network_talk_through_the_log(isolated: dict[str, Any]) -> None:
    settings = job_settings(**isolated)
    assert (settings.channel, settings.network_isolation) == ("logs", True)
    assert (job_settings().channel, job_settings(channel="logs").network_isolation) == ("s3", False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_workers": 0},
        {"instance_count": 0},
        {"volume_gb": 0},
        {"keep_alive": 3601},
        {"max_run": 0},
        {"max_retries": -1},
        {"stop_grace": -1.0},
        {"min_interval": 0.0},
        {"price_per_hour": -1.0},
        {"instance_type": "c5.xlarge"},
        {"request_template": {"EnableManagedSpotTraining": True}},
        {"max_wait": 90_000},
        {"spot": True, "warm_pool": True},
        {"max_wait": 60, "spot": True},
        {"spot_price_share": 0.0},
        {"channel": "s3", "network_isolation": True},
        {"secrets": {"TOKEN": "a"}, "network_isolation": True},
        {"secrets": {"TOKEN": "a"}, "environment": {"TOKEN": "b"}},
        {"secrets": {"a-b": "a"}},
        {"secrets": {"TUNEWRIGHT_RUN": "a"}},
        {"secrets": {"TOKEN": "with blanks"}},
        {"secrets": {"TOKEN": "ssm:"}},
        {"channel": "s3", "request_template": {"EnableNetworkIsolation": True}},
        {"channel": "post"},
        {"channel": "logs", "spot": True},
        {"channel": "logs", "request_template": {"RetryStrategy": {"MaximumRetryAttempts": 2}}},
        {"request_template": {"CheckpointConfig": {"S3Uri": "s3://a/b"}}, "channel": "logs"},
        {"request_template": {"CheckpointConfig": {"S3Uri": "s3://a/b"}}},
    ],
)
def test_settings_that_cannot_work(wrong: dict[str, Any]) -> None:
    field = next(iter(wrong))
    with pytest.raises(SettingsError, match=field):
        job_settings(**wrong)
