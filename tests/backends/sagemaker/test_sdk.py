"""Objects of the SageMaker SDK, by the attributes that its classes have; tests/conformance has the classes themselves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.backends.sagemaker import JobSettings, SdkJob, from_estimator, from_model_trainer
from tunewright.exceptions import SettingsError
from tunewright.testing.jobs import training_benchmark

ROLE = "arn:aws:iam::123456789012:role/service-role/mine"


class Unassigned:
    """Of SDK 3: a field without a value."""


class Torchrun(SimpleNamespace):
    """Of SDK 3."""


class MPI(SimpleNamespace):
    """Of SDK 3."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "train.py").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.py").touch()
    return tmp_path


def estimator(source: Path, **changes: Any) -> SimpleNamespace:
    session = SimpleNamespace(boto_region_name="eu-west-1", boto_session=SimpleNamespace(profile_name="work"))
    given: dict[str, Any] = {
        "entry_point": "train.py",
        "source_dir": str(source),
        "role": ROLE,
        "image_uri": "image:1",
        "instance_type": "ml.g5.xlarge",
        "instance_count": 2,
        "volume_size": 50,
        "max_run": 3600,
        "input_mode": "File",
        "sagemaker_session": session,
        "container_log_level": 20,
        "jobs": [],
        "_hyperparameters": {"epochs": 3, "layers": [1, 2], "name": "a b"},
    }
    return SimpleNamespace(**given | changes)


def trainer(source: Path, **changes: Any) -> SimpleNamespace:
    code = SimpleNamespace(source_dir=str(source), entry_script="train.py", command=None, args=None)
    given = {
        "source_code": code,
        "role": ROLE,
        "training_image": "image:1",
        "training_mode": "Mode.SAGEMAKER_TRAINING_JOB",
        "training_input_mode": "File",
        "compute": SimpleNamespace(
            instance_type="ml.c5.xlarge",
            instance_count=1,
            volume_size_in_gb=30,
            training_plan_arn=Unassigned(),
        ),
        "hyperparameters": {"epochs": 3},
    }
    return SimpleNamespace(**given | changes)


def template_of(job: SdkJob) -> dict[str, Any]:
    """Of the requests of its jobs."""
    return dict(JobSettings(benchmark=training_benchmark(), config=job.config).request_template)


def test_an_estimators_attributes_become_settings(source: Path) -> None:
    (source / "lib").mkdir()
    job = from_estimator(
        estimator(
            source,
            use_spot_instances=True,
            max_wait=7200,
            subnets=["subnet-1", "subnet-2"],
            security_group_ids=["sg-1"],
            environment={"A": "1"},
            tags=[{"Key": "team", "Value": "vision"}],
            dependencies=[str(source / "lib")],
            training_plan="arn:aws:sagemaker:eu-west-1:123456789012:training-plan/mine",
            distribution={"torch_distributed": {"enabled": True}},
        )
    )
    config = job.config
    assert job.script == str(source / "train.py")
    assert job.constants == {"epochs": 3, "layers": "[1, 2]", "name": "a b"}
    assert job.options == {
        "dependencies": (str(source / "lib"),),
        "environment": {"A": "1"},
        "instance_count": 2,
    }
    assert (config.role, config.image_uri, config.instance_type) == (ROLE, "image:1", "ml.g5.xlarge")
    assert (config.region, config.profile) == ("eu-west-1", "work")
    assert (config.volume_gb, config.max_run, config.max_wait, config.spot) == (50, 3600, 7200, True)
    assert (config.subnets, config.security_group_ids) == ("subnet-1,subnet-2", "sg-1")
    assert (config.tags, config.launch) == ({"team": "vision"}, "torchrun")
    assert config.training_plan is not None
    assert job.left_out == {}


def test_other_attributes_of_an_estimator_become_fields_of_the_request(source: Path) -> None:
    login = "arn:aws:lambda:eu-west-1:123456789012:function:login"
    job = from_estimator(
        estimator(
            source,
            keep_alive_period_in_seconds=300,
            output_kms_key="key",
            encrypt_inter_container_traffic=True,
            max_retry_attempts=3,
            metric_definitions=[{"Name": "loss", "Regex": "l=(.*)"}],
            training_repository_access_mode="Vpc",
            training_repository_credentials_provider_arn=login,
            subnets=["subnet-1"],
            security_group_ids=["sg-1"],
            disable_output_compression=True,
            input_mode="FastFile",
            model_uri="s3://models/base",
            model_channel_name="model",
        ),
        {"train": "s3://data/train", "files": SimpleNamespace(config=efs())},
    )
    assert (job.config.warm_pool, job.config.keep_alive) == (True, 300)
    template = job.config.request_template
    assert template["OutputDataConfig"] == {"KmsKeyId": "key", "CompressionType": "NONE"}
    assert template["EnableInterContainerTrafficEncryption"] is True
    assert template["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    algorithm = template["AlgorithmSpecification"]
    assert algorithm["MetricDefinitions"] == [{"Name": "loss", "Regex": "l=(.*)"}]
    assert algorithm["TrainingImageConfig"]["TrainingRepositoryAuthConfig"] == {
        "TrainingRepositoryCredentialsProviderArn": login
    }
    channels = {one["ChannelName"]: one for one in template["InputDataConfig"]}
    assert list(channels) == ["train", "files", "model"]
    assert {one["InputMode"] for one in channels.values()} == {"FastFile"}
    assert channels["files"]["DataSource"] == efs()["DataSource"]


def efs() -> dict[str, Any]:
    source = {"FileSystemId": "fs-01234567", "FileSystemType": "EFS"}
    return {
        "DataSource": {"FileSystemDataSource": source | {"DirectoryPath": "/a", "FileSystemAccessMode": "ro"}}
    }


def test_attributes_without_effect_are_named(source: Path) -> None:
    job = from_estimator(
        estimator(
            source,
            base_job_name="mine",
            output_path="s3://b",
            checkpoint_s3_uri="s3://c",
            model_dir=None,  # as of TensorFlow, whose scripts then get a folder in S3
            invented=1,
        )
    )
    assert set(job.left_out) == {"base_job_name", "output_path", "checkpoint_s3_uri", "model_dir", "invented"}
    assert job.left_out["invented"] == "it is not known here"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"instance_groups": [1], "git_config": {"repo": "a"}}, ["instance_groups", "git_config"]),
        ({"distribution": {"smdistributed": {"dataparallel": {"enabled": True}}}}, ["torch_distributed"]),
        ({"source_dir": "s3://b/source.tar.gz"}, ["source_dir"]),
        ({"entry_point": "absent.py"}, ["absent.py"]),
        ({"entry_point": "sub/train.py"}, ["place sub/train.py in"]),
        ({"entry_point": None}, ["trials run a script"]),
        ({"container_entry_point": ["bash"]}, ["container_entry_point"]),
        ({"is_nova_job": True}, ["not recipes"]),
        ({"instance_type": "local"}, ["backend='local'"]),
        ({"max_run": SimpleNamespace(expr={})}, ["max_run", "pipeline"]),
    ],
)
def test_attributes_that_trials_cannot_have_are_refused_together(
    source: Path, changes: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(SettingsError, match="Trials cannot have") as refused:
        from_estimator(estimator(source, **changes))
    assert all(name in str(refused.value) for name in named)


def test_local_inputs_are_refused(source: Path) -> None:
    with pytest.raises(SettingsError, match="the input training"):
        from_estimator(estimator(source), "file:///data")
    with pytest.raises(SettingsError, match=r"the input train .*upload"):
        from_model_trainer(trainer(source), [SimpleNamespace(channel_name="train", data_source="/data")])


def test_the_image_of_a_framework_is_that_of_the_sdk(source: Path) -> None:
    class PyTorch(SimpleNamespace):
        def training_image_uri(self) -> str:
            return f"sdk:{self.framework_version}"

    given = estimator(source, image_uri=None, framework_version="2.5", py_version="py311")
    assert from_estimator(PyTorch(**vars(given))).config.image_uri == "sdk:2.5"


def test_a_model_trainers_attributes_become_settings(source: Path) -> None:
    given = trainer(
        source,
        networking=SimpleNamespace(
            subnets=["subnet-1"],
            security_group_ids=["sg-1"],
            enable_network_isolation=None,
            enable_inter_container_traffic_encryption=True,
        ),
        stopping_condition=SimpleNamespace(
            max_runtime_in_seconds=3600,
            max_wait_time_in_seconds=7200,
            max_pending_time_in_seconds=Unassigned(),
        ),
        output_data_config=SimpleNamespace(
            s3_output_path="s3://b", kms_key_id="key", compression_type="GZIP"
        ),
        distributed=Torchrun(process_count_per_node=None, smp=None),
        tags=[SimpleNamespace(key="team", value="vision")],
        environment={"A": "1"},
        base_job_name="mine",
        training_input_mode="FastFile",
        input_data_config=[
            SimpleNamespace(channel_name="train", data_source="s3://data/train", content_type="text/csv"),
            SimpleNamespace(
                channel_name="part",
                data_source=SimpleNamespace(
                    s3_uri="s3://data/part",
                    s3_data_type="S3Prefix",
                    s3_data_distribution_type="ShardedByS3Key",
                ),
                input_mode="File",
            ),
            SimpleNamespace(
                channel_name="files",
                data_source=SimpleNamespace(
                    s3_data_source=Unassigned(),
                    file_system_data_source=SimpleNamespace(
                        file_system_id="fs-01234567",
                        file_system_access_mode="ro",
                        file_system_type="EFS",
                        directory_path="/a",
                    ),
                ),
            ),
        ],
    )
    given.compute.enable_managed_spot_training = True
    given.__pydantic_private__ = {
        "_retry_strategy": SimpleNamespace(maximum_retry_attempts=2),
        "_metric_definitions": [SimpleNamespace(name="loss", regex="l=(.*)")],
    }
    job = from_model_trainer(given)
    config, template = job.config, template_of(job)
    assert (job.script, job.constants) == (str(source / "train.py"), {"epochs": 3})
    assert job.options["environment"] == {"A": "1"}
    assert (config.max_run, config.max_wait, config.spot) == (3600, 7200, True)
    assert (config.subnets, config.network_isolation, config.launch) == ("subnet-1", False, "torchrun")
    assert config.tags == {"team": "vision"}
    assert template["OutputDataConfig"] == {"KmsKeyId": "key", "CompressionType": "GZIP"}
    assert template["EnableInterContainerTrafficEncryption"] is True
    assert template["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert template["AlgorithmSpecification"]["MetricDefinitions"] == [{"Name": "loss", "Regex": "l=(.*)"}]
    train, part, files = template["InputDataConfig"]
    assert (train["ContentType"], train["InputMode"]) == ("text/csv", "FastFile")
    assert part["InputMode"] == "File"
    assert part["DataSource"]["S3DataSource"]["S3DataDistributionType"] == "ShardedByS3Key"
    assert files["DataSource"] == efs()["DataSource"]
    assert set(job.left_out) == {"base_job_name", "output_data_config.s3_output_path"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"distributed": MPI()}, "distributed"),
        ({"distributed": Torchrun(process_count_per_node=2)}, "distributed"),
        ({"training_mode": "Mode.LOCAL_CONTAINER"}, "training_mode"),
        ({"hyperparameters": "file.json"}, "hyperparameters"),
        ({"algorithm_name": "arn"}, "algorithm_name"),
        ({"source_code": SimpleNamespace(command="python train.py")}, "source_code.command"),
        ({"source_code": SimpleNamespace(entry_script="train.py", requirements="auto")}, "requirements"),
    ],
)
def test_attributes_of_a_model_trainer_that_are_refused(
    source: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match="Trials cannot have") as refused:
        from_model_trainer(trainer(source, **changes))
    assert named in str(refused.value)


def test_ignore_patterns_are_named_if_they_are_not_the_default(source: Path) -> None:
    given = trainer(source)
    given.source_code.ignore_patterns = [".git", "__pycache__"]
    assert from_model_trainer(given).left_out == {}
    given.source_code.ignore_patterns = [".git", "data"]
    assert "source_code.ignore_patterns" in from_model_trainer(given).left_out
