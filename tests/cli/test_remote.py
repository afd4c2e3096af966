"""Remote launching without a service: what is forwarded, what travels, names and requests."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import (
    REMOTE_VARIABLE,
    Endpoint,
    EndpointKind,
    resolve_endpoint,
)
from tunewright.backends.s3.code import CodeBundle
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.real import mlp_digits_benchmark
from tunewright.cli import main
from tunewright.cli.launch import Launch
from tunewright.cli.launch_remote import NOT_FORWARDED, forwarded_names, launch_remote, remote_command
from tunewright.cli.parsing import record_app, run_app
from tunewright.cli.records import Given, RecordCommand
from tunewright.cli.slices import SliceLaunch, SlicePlan, jobs_with_room
from tunewright.exceptions import SettingsError
from tunewright.experiments import method
from tunewright.remote.layout import job_name, job_number
from tunewright.remote.package import bundle_remote, check_travels, requirements_text, wheel_bytes
from tunewright.remote.requests import TuningJobSettings, tuning_job_request
from tunewright.runner.contract import BucketTerms

REMOTE_ONLY = {"max_parallel_jobs", "wait"}
EXTRA = [{"name": "eta", "type": int, "default": 3}]


def launch_of(toy: RealBenchmarkDefinition, backend: str) -> Launch:
    methods = {"RS": method("RandomSearch")}
    return Launch(methods=methods, definitions={"toy": toy}, backend=backend, extra_args=EXTRA)


def no_run(_given: Given) -> int:
    return 0


def given_to(make: Callable[[Callable[[Given], int]], RecordCommand], *tokens: str) -> Given:
    """The flags of a command line as a command gets them."""
    found: list[Given] = []

    def run(given: Given) -> int:
        found.append(given)
        return 0

    run_app(record_app(make(run), "command", ""), tokens)
    return found[0]


class TestFlags:
    @pytest.mark.parametrize(
        ("backend", "only"),
        [
            ("sagemaker", {*REMOTE_ONLY, "tuner_instance_type", "tuner_role", "tuner_spot"}),
            (
                "local",
                {
                    *REMOTE_ONLY,
                    "spot",
                    "instance_type",
                    "endpoint",
                    "speed",
                    "region",
                    "aws_profile",
                    "assume_role",
                    "role",
                    "bucket",
                    "bucket_owner",
                    "kms_key",
                    "image_uri",
                    "max_code_mb",
                },
            ),
        ],
    )
    def test_the_launcher_takes_every_flag_of_hpo_main(
        self, backend: str, only: set[str], toy: RealBenchmarkDefinition
    ) -> None:
        launch = launch_of(toy, backend)
        here, there = remote_command(launch, no_run).defaults, launch.command(no_run).defaults
        assert set(here) - set(there) == only
        assert set(there) <= set(here)
        assert {name: here[name] for name in there} == there

    @pytest.mark.parametrize("backend", ["sagemaker", "local", "simulated"])
    def test_every_flag_is_forwarded(self, backend: str, toy: RealBenchmarkDefinition) -> None:
        launch = launch_of(toy, backend)
        texts = {
            "config": "x=1" if backend != "simulated" else None,
            "execution": "workers",
            "channel": "logs",
            "inputs": "train=s3://b/p",
            "environment": "A=b",
            "tags": "team=x",
            "request_template": "{}",
            "profile": "ideal",
            "backend": backend,
            "bucket_owner": "123456789012",
            "subnets": "s",
            "booleans": "flag",
            "argument_style": "hydra",
            "launch": "torchrun",
            "journal": "s3",
        }
        flags = {name: texts.get(name, "1") for name in launch.command(no_run).defaults}
        tokens = [text for name, value in flags.items() if value for text in (f"--{name}", value)]
        if backend != "simulated":
            tokens += ["--config", "y=a b"]
        given = given_to(partial(remote_command, launch), *tokens)
        line = given.command_line(forwarded_names(launch), {})
        back = given_to(launch.command, *line)
        assert {**back.values, "dry_run": True} == given.values
        assert set(NOT_FORWARDED) == {"dry_run"}

    def test_what_a_tuning_job_is_told_replaces_what_was_given(self, toy: RealBenchmarkDefinition) -> None:
        launch = launch_of(toy, "local")
        given = given_to(partial(remote_command, launch), "--num_seeds", "5", "--verbose")
        replaced = {"num_seeds": 1, "start_seed": 4, "method": None}
        flags = given.command_line(forwarded_names(launch), replaced)
        assert flags == ["--num_seeds", "1", "--start_seed", "4", "--verbose", "1"]


class TestCredentials:
    """Profile and role of the launching machine are not those of its tuning jobs."""

    LINE = (
        "--experiment_tag t --endpoint http://127.0.0.1:9 --region us-east-1 --profile work --tuner_role tuner"
        " --assume_role arn:aws:iam::123456789012:role/a --role trial --max_num_trials 1"
    )

    @pytest.fixture
    def launched(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[SliceLaunch, list[str], Any]]:
        """Launches with the flags of their only slice and the stored experiment, instead of their requests."""
        found: list[tuple[SliceLaunch, list[str], Any]] = []

        def run(launch: SliceLaunch, plans: list[SlicePlan]) -> int:
            stored = launch.code.files.get("source/experiment.json")
            content = json.loads(stored.read_bytes()) if isinstance(stored, Path) else None
            found.append((launch, list(plans[0].flags), content))
            return 0

        monkeypatch.setattr(SliceLaunch, "run", run)
        return found

    def test_of_a_folder(
        self,
        launched: list[tuple[SliceLaunch, list[str], Any]],
        launch: Callable[..., int],
        toy: RealBenchmarkDefinition,
        tmp_path: Path,
    ) -> None:
        (tmp_path / "hpo_main.py").touch()
        methods = {"RS": method("RandomSearch")}
        entry = str(tmp_path / "launch_remote.py")
        assert launch(launch_remote, self.LINE, entry, methods, {"toy": toy}, backend="sagemaker") == 0
        ((made, flags, _),) = launched
        assert (made.place.profile, made.place.role, made.tuner_role) == ("work", "trial", "tuner")
        assert made.place.assume_role == "arn:aws:iam::123456789012:role/a"
        assert flags[flags.index("--role") + 1] == "trial"
        assert not {"--profile", "--assume_role", "--tuner_role"} & set(flags)

    def test_of_a_script(
        self,
        launched: list[tuple[SliceLaunch, list[str], Any]],
        launch: Callable[..., int],
        toy: RealBenchmarkDefinition,
        tmp_path: Path,
    ) -> None:
        space = tmp_path / "space.toml"
        space.write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        line = (
            f"{toy.script} --space {space} --metric score --goal max --backend sagemaker --remote {self.LINE}"
        )
        assert launch(main, "", ["tune", *line.split()]) == 0
        ((made, _, stored),) = launched
        assert (made.place.profile, made.tuner_role) == ("work", "tuner")
        config = stored["backend"]["config"]
        assert (config["role"], config["profile"], config["assume_role"]) == ("trial", None, None)


class TestPackage:
    def test_the_wheel_is_the_running_package(self, tmp_path: Path) -> None:
        data = wheel_bytes()
        assert data == wheel_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(tmp_path)
        script = (
            "import tunewright, importlib.metadata as m; print(tunewright.__file__, m.version('tunewright'), "
            "m.requires('tunewright'), m.distribution('tunewright').entry_points.select(group='tunewright.backends').names)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith(str(tmp_path))
        assert "boto3" in done.stdout
        assert all(name in done.stdout for name in ("'local'", "'sagemaker'", "'simulated'"))

    def test_what_travels(self, tmp_path: Path) -> None:
        folder, other = tmp_path / "exp", tmp_path / "commons"
        for path in (folder / "hpo_main.py", folder / "__pycache__" / "x.pyc", other / "shared.py"):
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text("")
        bundle = bundle_remote(folder / "hpo_main.py", [other])
        assert {
            "runner.pyz",
            "remote.json",
            "requirements.txt",
            "source/hpo_main.py",
            "source/commons/shared.py",
        } < set(bundle.files)
        assert not any("pycache" in name for name in bundle.files)
        assert bundle.digest == bundle_remote(folder / "hpo_main.py", [other]).digest
        with pytest.raises(SettingsError, match=r"hpo_main\.py"):
            bundle_remote(tmp_path / "hpo_main.py")
        with pytest.raises(SettingsError, match="no dependency"):
            bundle_remote(folder / "hpo_main.py", [tmp_path / "absent"])

    def test_a_script_that_does_not_travel_is_said(self, tmp_path: Path) -> None:
        entry = tmp_path / "exp" / "hpo_main.py"
        for script in (mlp_digits_benchmark().script, str(tmp_path / "exp" / "train.py"), "module:train"):
            check_travels(script, entry)
        check_travels(str(tmp_path / "lib" / "train.py"), entry, [tmp_path / "lib"])
        for script in (str(tmp_path / "train.py"), f"{tmp_path}/train.py:train"):
            with pytest.raises(SettingsError, match="is not sent"):
                check_travels(script, entry)

    def test_requirements_are_pinned(self, tmp_path: Path) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text(
            "# ours\ntunewright[emulator, benchmarks]\nrich\nscikit-learn>=1.0  # as it is\nno-such-package-here\n"
        )
        lines = requirements_text(path).splitlines()
        names = {line.partition("==")[0] for line in lines}
        assert {
            "numpy",
            "scipy",
            "boto3",
            "scikit-learn",
            "rich",
            "no-such-package-here",
            "scikit-learn>=1.0",
        } <= names
        assert not any(line.startswith(("moto", "tunewright")) for line in lines)
        assert all(
            "==" in line for line in lines if line not in {"scikit-learn>=1.0", "no-such-package-here"}
        )
        assert "boto3" in requirements_text(tmp_path / "absent.txt")


class TestNames:
    def test_they_fit_and_are_read_back(self) -> None:
        tag, name = (
            "a-very-long-tag-that-nobody-would-like-to-type",
            "MOBSTER-JOINT-finetune-transformer-glue-rte-12",
        )
        job = job_name(tag, name, 12)
        assert len(job) <= 63
        assert job_number(tag, name, job) == 12
        assert job_number(tag, f"{name}3", job) is None
        assert job_name("tutorial_sagemaker", "RS-0", 0) == "tutorial-sagemaker-tuner-RS-0-0"


class TestRequest:
    def settings(self, **changes: Any) -> TuningJobSettings:
        endpoint = Endpoint(
            kind=EndpointKind.EMBEDDED, region="us-east-1", speed=60.0, url="http://127.0.0.1:1"
        )
        return TuningJobSettings(
            endpoint=endpoint,
            role_arn="tuning",
            trial_role_arn="trial",
            image="i",
            bucket="b",
            code=CodeBundle(files={"runner.pyz": b"x"}, digest="c0de", size=1, states={}),
            code_prefix="code/x/",
            **changes,
        )

    def test_it_lasts_longer_than_the_experiment(self) -> None:
        request = tuning_job_request(
            self.settings(), tag="my tag", slice_name="RS-0", flags=["--x", "1"], seconds=600.0
        )
        assert request["StoppingCondition"]["MaxRuntimeInSeconds"] > 600 + 300
        assert json.loads(request["HyperParameters"]["tunewright_flags"]) == ["--x", "1"]
        assert request["RoleArn"] == "tuning"
        assert request["Environment"]["TUNEWRIGHT_SAGEMAKER_ROLE"] == "trial"
        assert request["Environment"]["TUNEWRIGHT_CODE"] == "c0de"
        runner = hashlib.sha256(b"x").hexdigest()
        assert runner in request["AlgorithmSpecification"]["ContainerArguments"]
        assert request["Environment"][REMOTE_VARIABLE] == "s3://b/tunewright/remote/my-tag/RS-0"
        assert json.loads(request["Environment"]["TUNEWRIGHT_REMOTE_ENDPOINT"]) == {
            "choice": "embedded",
            "region": "us-east-1",
            "speed": 60.0,
        }

    def test_a_key(self) -> None:
        settings = self.settings(bucket_terms=BucketTerms(owner="123456789012", kms_key="alias/mine"))
        request = tuning_job_request(settings, tag="t", slice_name="s", flags=[], seconds=None)
        assert request["OutputDataConfig"]["KmsKeyId"] == "alias/mine"
        assert request["ResourceConfig"]["VolumeKmsKeyId"] == "alias/mine"
        assert request["Environment"]["TUNEWRIGHT_S3_KMS"] == "alias/mine"
        assert request["Environment"]["TUNEWRIGHT_S3_OWNER"] == "123456789012"
        local = replace(settings, instance_type="ml.g5.xlarge")
        request = tuning_job_request(local, tag="t", slice_name="s", flags=[], seconds=None)
        assert "VolumeKmsKeyId" not in request["ResourceConfig"]

    def test_spot_and_a_template(self) -> None:
        template = {"VpcConfig": {"Subnets": ["s"]}, "ResourceConfig": {"VolumeKmsKeyId": "k"}}
        settings = self.settings(spot=True, template=template, tags={"team": "x"}, environment={"A": "b"})
        request = tuning_job_request(settings, tag="t", slice_name="s", flags=[], seconds=None)
        stopping = request["StoppingCondition"]
        assert request["EnableManagedSpotTraining"]
        assert stopping["MaxWaitTimeInSeconds"] > stopping["MaxRuntimeInSeconds"]
        assert request["VpcConfig"] == template["VpcConfig"]
        assert request["ResourceConfig"]["VolumeKmsKeyId"] == "k"
        assert {"Key": "team", "Value": "x"} in request["Tags"]
        assert request["Environment"]["A"] == "b"

    def test_inside_the_embedded_endpoint_is_the_one_around(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert resolve_endpoint("embedded").url is None
        monkeypatch.setenv(REMOTE_VARIABLE, "s3://b/p")
        assert resolve_endpoint("embedded", speed=5.0).url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("kind", "expected"), [(EndpointKind.EMBEDDED, 3), (EndpointKind.AWS, None), (EndpointKind.OTHER, None)]
)
def test_tuning_jobs_on_this_machine_are_no_more_than_its_cpus(
    kind: EndpointKind, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert jobs_with_room(Endpoint(kind=kind, region="us-east-1")) == expected
