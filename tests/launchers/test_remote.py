"""Remote launching without a service: what is forwarded, what travels, names, requests, states."""

# ruff: noqa: N802, N803 - the service's own names

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import (
    REMOTE_VARIABLE,
    Endpoint,
    EndpointKind,
    S3Objects,
    ServiceError,
    StoredObject,
    resolve_endpoint,
)
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import BackendError, JournalError, SettingsError
from tunewright.experiments import method
from tunewright.experiments.remote.fleet import Fleet
from tunewright.experiments.remote.journal import RemoteJournal
from tunewright.experiments.remote.lease import take_lease
from tunewright.experiments.remote.mirror import FolderMirror, fetch_experiment
from tunewright.experiments.remote.package import bundle_remote, requirements_text, wheel_bytes
from tunewright.experiments.remote.place import job_name, job_number
from tunewright.experiments.remote.requests import TuningJobSettings, tuning_job_request
from tunewright.experiments.remote.segments import SEGMENT_BYTES, Segments, read_segments
from tunewright.experiments.remote.slices import Slice, SliceState
from tunewright.journal import FileJournal
from tunewright.launchers import launch_remote_local, launch_remote_sagemaker
from tunewright.launchers.forwarding import NOT_FORWARDED, forwarded_flags
from tunewright.launchers.launch import Launch

REMOTE_ONLY = {"max_parallel_jobs", "spot", "wait"}


class FakeS3:
    """The calls of a boto3 client of S3 that `S3Objects` makes."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.n_gets = 0
        self.fails = False

    def put_object(
        self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = ""
    ) -> None:
        if self.fails:
            raise ServiceError("AccessDenied", "no", status=403)
        if (IfNoneMatch and Key in self.content) or (IfMatch and IfMatch != etag(self.content[Key])):
            raise ServiceError("PreconditionFailed", "", status=412)
        self.content[Key] = Body

    def upload_file(self, name: str, bucket: str, key: str) -> None:
        self.put_object(Bucket=bucket, Key=key, Body=Path(name).read_bytes())

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.content:
            raise ServiceError("NoSuchKey", "", status=404)
        self.n_gets += 1
        return {"Body": io.BytesIO(self.content[Key])}

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str, MaxKeys: int, StartAfter: str = ""
    ) -> dict[str, Any]:
        keys = sorted(key for key in self.content if key.startswith(Prefix) and key > StartAfter)[:MaxKeys]
        return {
            "Contents": [
                {"Key": k, "Size": len(self.content[k]), "ETag": f'"{etag(self.content[k])}"'} for k in keys
            ]
        }

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> None:
        for entry in Delete["Objects"]:
            self.content.pop(entry["Key"], None)


def etag(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@dataclass
class FakeSession:
    """SageMaker as a launch sees it."""

    s3: FakeS3 = field(default_factory=FakeS3)
    jobs: dict[str, str] = field(default_factory=dict[str, str])
    quota: int = 100
    error: ServiceError | None = None

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        return S3Objects(self.s3, bucket, prefix)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        return getattr(self, operation)(**fields)

    def CreateTrainingJob(self, *, TrainingJobName: str, **_: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        if TrainingJobName in self.jobs:
            raise ServiceError("ResourceInUse", "", status=400)
        if sum(status == "InProgress" for status in self.jobs.values()) >= self.quota:
            raise ServiceError("ResourceLimitExceeded", f"limit is {self.quota} Instances", status=400)
        self.jobs[TrainingJobName] = "InProgress"
        return {}

    def ListTrainingJobs(self, *, NameContains: str, **_: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "TrainingJobSummaries": [
                {"TrainingJobName": name, "TrainingJobStatus": status, "CreationTime": now}
                for name, status in self.jobs.items()
                if NameContains in name
            ]
        }

    def DescribeTrainingJob(self, *, TrainingJobName: str) -> dict[str, Any]:
        if TrainingJobName not in self.jobs:
            raise ServiceError("ValidationException", "Requested resource not found.", status=400)
        return {"TrainingJobStatus": self.jobs[TrainingJobName]}

    def StopTrainingJob(self, *, TrainingJobName: str) -> dict[str, Any]:
        self.jobs[TrainingJobName] = "Stopping"
        return {}


@pytest.fixture
def session() -> Any:
    return FakeSession()


def a_slice(name: str = "RS-toy-0") -> Slice:
    return Slice(tag="t", name=name, label="RS", seed=0, flags=("--method", "RS"), request={"RoleArn": "r"})


@pytest.fixture
def launch_of(toy: RealBenchmarkDefinition) -> Launch:
    extra = [{"name": "eta", "type": int, "default": 3}]
    return Launch(methods={"RS": method("RandomSearch")}, definitions={"toy": toy}, extra_args=extra)


class TestFlags:
    @pytest.mark.parametrize(
        ("module", "only"),
        [
            (launch_remote_sagemaker, {*REMOTE_ONLY, "tuner_instance_type"}),
            (
                launch_remote_local,
                {*REMOTE_ONLY, "instance_type", "endpoint", "speed", "region", "role", "image_uri", "yes"},
            ),
        ],
    )
    def test_the_launcher_takes_every_flag_of_hpo_main(
        self, module: Any, only: set[str], launch_of: Launch
    ) -> None:
        here, there = module.remote_parser(launch_of).defaults(), module.hpo_main_parser(launch_of).defaults()
        assert set(here) - set(there) == only
        assert set(there) <= set(here)
        assert {name: here[name] for name in there} == there

    @pytest.mark.parametrize("module", [launch_remote_sagemaker, launch_remote_local])
    def test_every_flag_is_forwarded(self, module: Any, launch_of: Launch) -> None:
        hpo_main = module.hpo_main_parser(launch_of)
        given: list[str] = []
        for action in hpo_main._actions:
            if action.dest != "help":
                value = {"config": "x=1"}.get(action.dest, "1")
                given += [f"--{action.dest}", value]
        given += ["--config", "y=a b"]
        arguments = module.remote_parser(launch_of).read(given)
        flags = forwarded_flags(hpo_main, arguments, {})
        back = hpo_main.read(flags)
        for name in hpo_main.defaults():
            if name not in NOT_FORWARDED:
                assert getattr(back, name) == getattr(arguments, name), name
        assert set(NOT_FORWARDED) == {"help", "dry_run"}

    def test_what_a_tuning_job_is_told_replaces_what_was_given(self, launch_of: Launch) -> None:
        hpo_main = launch_remote_local.hpo_main_parser(launch_of)
        arguments = launch_remote_local.remote_parser(launch_of).read(["--num_seeds", "5", "--verbose"])
        flags = forwarded_flags(hpo_main, arguments, {"num_seeds": 1, "start_seed": 4, "method": None})
        assert flags == ["--num_seeds", "1", "--start_seed", "4", "--verbose", "1"]


class TestPackage:
    def test_the_wheel_is_the_running_package(self, tmp_path: Path) -> None:
        data = wheel_bytes()
        assert data == wheel_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(tmp_path)
        script = "import tunewright, importlib.metadata as m; print(tunewright.__file__, m.version('tunewright'), m.requires('tunewright'))"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith(str(tmp_path))
        assert "boto3" in done.stdout

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
            endpoint=endpoint, role_arn="r", image="i", bucket="b", code_prefix="code/x/", **changes
        )

    def test_it_lasts_longer_than_the_experiment(self) -> None:
        request = tuning_job_request(
            self.settings(), tag="my tag", slice_name="RS-0", flags=["--x", "1"], seconds=600.0
        )
        assert request["StoppingCondition"]["MaxRuntimeInSeconds"] > 600 + 300
        assert json.loads(request["HyperParameters"]["tunewright_flags"]) == ["--x", "1"]
        assert request["Environment"][REMOTE_VARIABLE] == "s3://b/tunewright/remote/my-tag/RS-0"
        assert json.loads(request["Environment"]["TUNEWRIGHT_REMOTE_ENDPOINT"]) == {
            "choice": "embedded",
            "region": "us-east-1",
            "speed": 60.0,
        }

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


class TestJournal:
    def open(self, tmp_path: Path, s3: FakeS3) -> RemoteJournal:
        objects = S3Objects(s3, "b", "e")
        journal = FileJournal(tmp_path / "journal.jsonl", {"experiment": "e"})
        segments = Segments(objects, (tmp_path / "journal.jsonl").read_bytes())
        return RemoteJournal(journal, segments, FolderMirror(tmp_path, objects), lambda: None)

    def stored(self, s3: FakeS3) -> bytes:
        return read_segments(S3Objects(s3, "b", "e"))

    def test_a_line_with_an_effect_is_in_s3_before_it(self, tmp_path: Path) -> None:
        s3 = FakeS3()
        journal = self.open(tmp_path, s3)
        path = tmp_path / "journal.jsonl"
        assert self.stored(s3) == path.read_bytes()
        journal.append({"kind": "result", "decision": "continue"})
        journal.append({"kind": "start", "trial_id": 1})
        assert self.stored(s3) == path.read_bytes()
        for decision in ("pause", "stop"):
            journal.append({"kind": "result", "decision": decision})
            assert self.stored(s3) == path.read_bytes()
        assert [line["kind"] for line in journal.lines()] == ["result", "start", "result", "result"]
        journal.append({"kind": "session"})
        (tmp_path / "metadata.json").write_text("{}")
        journal.close()
        assert self.stored(s3) == path.read_bytes()
        assert s3.content["e/metadata.json"] == b"{}"

    def test_a_checkpoint_is_in_s3_before_the_line_that_promises_it(self, tmp_path: Path) -> None:
        s3 = FakeS3()
        journal = self.open(tmp_path, s3)
        checkpoint = tmp_path / "trials" / "0" / "checkpoints" / "3" / "model"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text("weights")
        (tmp_path / "other").write_text("x")
        journal.append({"kind": "end", "checkpoint": [0, 3]})
        assert s3.content["e/trials/0/checkpoints/3/model"] == b"weights"
        assert "e/other" not in s3.content
        journal.close()
        assert "e/other" in s3.content

    def test_without_s3_nothing_has_an_effect(self, tmp_path: Path) -> None:
        s3 = FakeS3()
        journal = self.open(tmp_path, s3)
        s3.fails = True
        with pytest.raises(JournalError, match="--resume"):
            journal.append({"kind": "start"})
        with pytest.raises(JournalError, match="S3"):
            journal.close()

    def test_pieces_are_small_and_a_second_job_goes_on(self, tmp_path: Path) -> None:
        s3 = FakeS3()
        journal = self.open(tmp_path, s3)
        for _ in range(3):
            journal.append({"kind": "start", "pad": "x" * SEGMENT_BYTES})
        journal.close()
        self.open(tmp_path, s3).close()
        journal = self.open(tmp_path, s3)
        journal.append({"kind": "start"})
        journal.close()
        assert self.stored(s3) == (tmp_path / "journal.jsonl").read_bytes()
        assert len([key for key in s3.content if "/journal/" in key]) >= 4


class TestFetching:
    def stored(self, s3: FakeS3) -> list[StoredObject]:
        return list(S3Objects(s3, "b", "e").list())

    def test_only_what_changed(self, tmp_path: Path) -> None:
        s3 = FakeS3()
        objects = S3Objects(s3, "b", "e")
        s3.content |= {
            "e/metadata.json": b"{}",
            "e/journal/000000": b"1\n",
            "e/journal/000001": b"2\n",
            "e/trials/0/stdout": b"x",
        }
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 4
        assert (tmp_path / "journal.jsonl").read_bytes() == b"1\n2\n"
        assert (tmp_path / "trials" / "0" / "stdout").read_bytes() == b"x"
        s3.n_gets = 0
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 0
        s3.content["e/journal/000001"] = b"2\n3\n"
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 1
        assert s3.n_gets == 1
        assert (tmp_path / "journal.jsonl").read_bytes() == b"1\n2\n3\n"


class TestLease:
    def test_one_tuning_job_at_a_time(self, session: Any) -> None:
        objects = session.objects("b", "slice")
        session.jobs = {"j-0": "InProgress", "j-1": "InProgress"}
        take_lease(session, objects, "j-0")
        take_lease(session, objects, "j-0")
        with pytest.raises(BackendError, match="j-0 works on this slice"):
            take_lease(session, objects, "j-1")
        session.jobs["j-0"] = "Failed"
        take_lease(session, objects, "j-1")
        with pytest.raises(BackendError, match="j-1"):
            take_lease(session, objects, "j-2")
        del session.jobs["j-1"]
        take_lease(session, objects, "j-2")


class TestFleet:
    def test_the_line(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0"), a_slice("RS-1"), a_slice("RS-2")])
        assert [status.state for status in fleet.look()] == [SliceState.WAITING] * 3
        assert fleet.launch_waiting(fleet.look(), 2) == 2
        assert fleet.launch_waiting(fleet.look(), 2) == 0
        session.quota = 2
        assert fleet.launch_waiting(fleet.look(), None) == 0
        assert "limit" in fleet.full
        session.jobs["t-tuner-RS-0-0"] = "Completed"
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 0}')
        assert fleet.launch_waiting(fleet.look(), 2) == 1
        assert not fleet.full
        assert [status.state for status in fleet.look()] == [
            SliceState.FINISHED,
            SliceState.RUNNING,
            SliceState.RUNNING,
        ]

    def test_a_dead_tuning_job_is_launched_again(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0")])
        fleet.launch_waiting(fleet.look(), None)
        session.jobs["t-tuner-RS-0-0"] = "Failed"
        (status,) = fleet.look()
        assert (status.state, status.why) == (SliceState.WAITING, "its tuning job died")
        fleet.launch_waiting([status], None)
        assert fleet.look()[0].jobs == ("t-tuner-RS-0-0", "t-tuner-RS-0-1")
        assert fleet.launch(status)  # another launcher was as quick: the job is there already

    def test_stopping_and_going_on(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0"), a_slice("RS-1")])
        fleet.launch_waiting(fleet.look(), 1)
        fleet.stop(fleet.look())
        assert [status.state for status in fleet.look()] == [SliceState.STOPPING, SliceState.STOPPED]
        session.jobs["t-tuner-RS-0-0"] = "Stopped"
        assert [status.state for status in fleet.look()] == [SliceState.STOPPED, SliceState.STOPPED]
        assert fleet.launch_waiting(fleet.look(), None) == 0
        fleet.resume(fleet.look())
        assert fleet.launch_waiting(fleet.look(), None) == 2

    def test_failures(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0")])
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 1}')
        (status,) = fleet.look()
        assert (status.state, status.why) == (SliceState.FAILED, "exit code 1")
        for error, raised in (
            (ServiceError("ResourceLimitExceeded", "is 0 Instances", status=400), BackendError),
            (ServiceError("ValidationException", "no", status=400), BackendError),
            (ServiceError("", "no answer"), ServiceError),
        ):
            session.error = error
            with pytest.raises(raised):
                fleet.launch(status)
        session.error = ServiceError("ThrottlingException", "Rate exceeded", status=400)
        assert not fleet.launch(status)

    def test_a_launch_of_another_version(self, session: Any) -> None:
        session.objects("b", "tunewright/remote/t/RS-0").put("slice.json", b'{"schema": 99}')
        with pytest.raises(SettingsError, match="another version"):
            Fleet(session, "b", "t").look()
