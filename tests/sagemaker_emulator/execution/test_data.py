"""Channels, checkpoints, artifacts, logs and metrics."""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.execution import ExecutionSettings, Isolation, metrics, transfer
from sagemaker_emulator.execution import sandbox as sandbox_module
from sagemaker_emulator.execution.transfer import CheckpointSync, S3Uri
from sagemaker_emulator.service.executor import ExecutionError

LIST = (
    "import os; print(sorted(os.path.relpath(os.path.join(p, f), '/opt/ml/input/data')"
    " for p, _, fs in os.walk('/opt/ml/input/data') for f in fs))"
)


def channel(uri: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri} | changes.pop("source", {})
    return {"ChannelName": "c", "DataSource": {"S3DataSource": source}} | changes


def files(path: str, id: str = "fs-01234567", kind: str = "EFS") -> dict[str, Any]:  # noqa: A002
    source = {"FileSystemId": id, "FileSystemType": kind, "FileSystemAccessMode": "ro", "DirectoryPath": path}
    return {"ChannelName": "c", "DataSource": {"FileSystemDataSource": source}}


@pytest.mark.parametrize("config", [files("/sub"), files("/mounted/sub", kind="FSxLustre")])
def test_a_folder_stands_for_a_file_system(
    make_jobs: Callable[..., Any], isolation: Any, tmp_path: Path, config: dict[str, Any]
) -> None:
    data = tmp_path / "data" / "sub" / "a.txt"
    data.parent.mkdir(parents=True)
    data.write_text("shared")
    jobs = make_jobs(isolation=isolation, file_systems={"fs-01234567": tmp_path / "data"})
    code = "print(open('/opt/ml/input/data/c/a.txt').read())"
    jobs.finish(jobs.python("job", code, InputDataConfig=[config]))
    assert jobs.log("job") == ["shared"]
    assert data.exists()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/data/", ["c/a.txt", "c/sub/b.txt", "c/subway.txt"]),
        ("s3://bucket/data", ["c/a.txt", "c/sub/b.txt", "c/subway.txt"]),
        ("s3://bucket/data/a.txt", ["c/a.txt"]),
        ("s3://bucket/data/sub", ["c/sub/b.txt", "c/subway.txt"]),
    ],
)
def test_channels(folder_jobs: Any, uri: str, expected: list[str]) -> None:
    for key in ("data/a.txt", "data/sub/b.txt", "data/subway.txt", "data/"):
        folder_jobs.aws.store.put("bucket", key, b"x")
    folder_jobs.finish(folder_jobs.python("job", LIST, InputDataConfig=[channel(uri)]))
    assert folder_jobs.log("job") == [str(expected)]


def test_compressed_channel(folder_jobs: Any) -> None:
    folder_jobs.aws.store.put("bucket", "data/a.txt.gz", gzip.compress(b"plain"))
    config = [channel("s3://bucket/data/", CompressionType="Gzip")]
    code = "print(open('/opt/ml/input/data/c/a.txt').read())"
    folder_jobs.finish(folder_jobs.python("job", code, InputDataConfig=config))
    assert folder_jobs.log("job") == ["plain"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (channel("s3://bucket/nothing/"), 'No S3 objects found under S3 URL "s3://bucket/nothing/"'),
        (channel("s3://nowhere/data/"), "No S3 objects found"),
        (channel("data"), "is not an S3 URI"),
        (channel("s3://bucket/data/", source={"S3DataType": "ManifestFile"}), "is neither an S3Prefix"),
        (files("/data", id="fs-00000000"), "--file_system fs-00000000=FOLDER"),
        (files("/none"), "there is no folder /none in the file system fs-01234567"),
        (files("/data/../.."), "there is no folder /data/../.."),
        (channel("s3://bucket/bad/"), "would leave its folder"),
        (channel("s3://bucket/data/", CompressionType="Gzip"), "Not a gzipped file"),
        (channel("s3://bucket/clash/"), "Data download failed"),
    ],
)
def test_data_that_cannot_be_had(
    make_jobs: Callable[..., Any], tmp_path: Path, config: dict[str, Any], text: str
) -> None:
    folder_jobs = make_jobs(file_systems={"fs-01234567": tmp_path})
    (tmp_path / "data").mkdir()
    for key in ("bad/../../escape", "data/a.gz", "clash/a", "clash/a/b"):
        folder_jobs.aws.store.put("bucket", key, b"x")
    order = folder_jobs.order("job", ["true"], InputDataConfig=[config])
    with pytest.raises(ExecutionError, match=r"^ClientError: Data download failed:") as caught:
        folder_jobs.executor.prepare(order)
    assert text in str(caught.value)
    folder_jobs.executor.discard("job")
    assert list((folder_jobs.folder / "cluster" / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/tmp/c"}}, "not below /opt/ml"),
        ({"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/opt/ml/../c"}}, "not below /opt/ml"),
        (
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "m", "Regex": "("}]}},
            "metric m is not valid",
        ),
    ],
)
def test_requests_that_cannot_be_carried_out(folder_jobs: Any, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutionError, match=text):
        folder_jobs.executor.prepare(folder_jobs.order("job", ["true"], **changes))


def test_an_archive_unpacks_to_its_volume_at_most(folder_jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_GIB", 1000)
    folder_jobs.aws.store.put("bucket", "data/a.gz", gzip.compress(bytes(2500)))
    config = [channel("s3://bucket/data/", CompressionType="Gzip")]
    for volume, fits in ((3, True), (2, False)):
        resources = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": volume}
        order = folder_jobs.order("job", ["true"], InputDataConfig=config, ResourceConfig=resources)
        if fits:
            folder_jobs.executor.prepare(order)
        else:
            with pytest.raises(ExecutionError, match="raise VolumeSizeInGB"):
                folder_jobs.executor.prepare(order)


def test_a_job_that_cannot_be_started(jobs: Any) -> None:
    order = jobs.order("job", ["true"], Environment={"NUL": "a\0b"})
    jobs.executor.prepare(order)
    with pytest.raises(ExecutionError, match="InternalServerError: The job cannot be started"):
        jobs.executor.launch(order)
    jobs.executor.discard("job")


def test_checkpoints_come_in_and_go_out_while_the_job_runs(jobs: Any) -> None:
    store = jobs.aws.store
    store.put("bucket", "ckpt/old/state", b"1")
    store.put("bucket", "ckpt/removed", b"2")
    code = """
import os, time
assert open("/opt/ml/checkpoints/old/state").read() == "1"
os.remove("/opt/ml/checkpoints/removed")
with open("/opt/ml/checkpoints/new", "w") as file:
    file.write("3")
print("written")
while not os.path.exists("/opt/ml/checkpoints/go"):
    time.sleep(0.01)
with open("/opt/ml/checkpoints/old/state", "w") as file:
    file.write("44")
"""
    order = jobs.python("job", code, CheckpointConfig={"S3Uri": "s3://bucket/ckpt/"})
    jobs.until(lambda: store.head("bucket", "ckpt/new") and not store.head("bucket", "ckpt/removed"))
    assert store.get("bucket", "ckpt/old/state") == b"1"
    (jobs.folder / "cluster" / "jobs" / "job-0" / "algo-1" / "ml" / "checkpoints" / "go").touch()
    assert jobs.finish(order)[0].exit_code == 0
    assert {each.key: store.get("bucket", each.key) for each in store.objects("bucket", "ckpt/")} == {
        "ckpt/old/state": b"44",
        "ckpt/new": b"3",
        "ckpt/go": b"",
    }


def test_the_next_life_of_a_job_finds_its_checkpoints(folder_jobs: Any) -> None:
    """The service starts it again elsewhere: what was copied to S3 comes back, the rest is lost."""
    store = folder_jobs.aws.store
    config = {"S3Uri": "s3://bucket/ckpt"}
    code = "open('/opt/ml/checkpoints/first', 'w').write('1'); import time; time.sleep(600)"
    order = folder_jobs.python("job", code, CheckpointConfig=config)
    folder_jobs.until(lambda: store.head("bucket", "ckpt/first"))
    folder_jobs.executor.kill("job")
    folder_jobs.executor.discard("job")
    code = "import os; print(sorted(os.listdir('/opt/ml/checkpoints')), os.listdir('/opt/ml/model'))"
    request = folder_jobs.order("job", ["python3", "-c", code], CheckpointConfig=config).request
    again = replace(order, attempt=1, cluster_dir=order.cluster_dir.with_name("other"), request=request)
    folder_jobs.executor.prepare(again)
    folder_jobs.executor.launch(again)
    assert folder_jobs.finish(again)[0].exit_code == 0
    assert folder_jobs.log("job")[-1] == "['first'] []"


def test_a_folder_that_is_removed_after_its_job_takes_nothing_from_s3(aws: Any, tmp_path: Path) -> None:
    sync = CheckpointSync(aws.store, S3Uri("bucket", "ckpt"), tmp_path / "local")
    assert sync.pull() == 0
    (tmp_path / "local" / "a").write_text("1")
    (tmp_path / "local" / "dangling").symlink_to("nowhere")
    sync.push()
    sync.close()
    (tmp_path / "local" / "a").unlink()
    sync.push()
    assert [each.key for each in aws.store.objects("bucket")] == ["ckpt/a"]


def test_a_name_that_is_no_text_is_no_key(folder_jobs: Any) -> None:
    """It fails its own job; the checkpoints of the others are copied on."""
    code = "import os, time; open(os.fsencode('/opt/ml/checkpoints/bad') + bytes([255]), 'w').close(); time.sleep(600)"
    bad = folder_jobs.python("bad", code, CheckpointConfig={"S3Uri": "s3://bucket/bad"})
    folder = folder_jobs.folder / "cluster" / "jobs" / "bad-0" / "algo-1" / "ml" / "checkpoints"
    folder_jobs.until(lambda: list(folder.iterdir()))
    code = "import time; open('/opt/ml/checkpoints/a', 'w').close(); time.sleep(600)"
    folder_jobs.python("good", code, CheckpointConfig={"S3Uri": "s3://bucket/good"})
    folder_jobs.until(lambda: folder_jobs.aws.store.head("bucket", "good/a"))
    folder_jobs.executor.kill("bad")
    with pytest.raises(ExecutionError, match=r"Checkpoint upload failed: .*bad"):
        folder_jobs.executor.finish(bad)


def test_a_checkpoint_bucket_that_is_missing(folder_jobs: Any) -> None:
    code = "import time; open('/opt/ml/checkpoints/a', 'w').close(); print('ready'); time.sleep(1.5)"
    order = folder_jobs.python("job", code, CheckpointConfig={"S3Uri": "s3://nowhere/c"})
    folder_jobs.wait("job")
    with pytest.raises(ExecutionError, match="Checkpoint upload failed: s3://nowhere/c/a does not exist"):
        folder_jobs.executor.finish(order)


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill"])
def test_artifacts_are_uploaded_however_the_job_ends(folder_jobs: Any, end: str) -> None:
    script = f"mkdir -p /opt/ml/model/sub; echo m > /opt/ml/model/sub/m; echo o > /opt/ml/output/data/o; echo ready; {end}"
    order = folder_jobs.start("job", ["bash", "-c", script.replace("; kill", "; sleep 600")])
    if end == "kill":
        folder_jobs.until(lambda: folder_jobs.log("job"))
        folder_jobs.executor.kill("job")
    folder_jobs.finish(order)
    assert folder_jobs.members("job", "model.tar.gz") == {"sub/m": b"m\n"}
    assert folder_jobs.members("job", "output.tar.gz") == {"o": b"o\n"}


def test_artifacts_without_compression(folder_jobs: Any) -> None:
    order = folder_jobs.start(
        "job",
        [
            "bash",
            "-c",
            "mkdir /opt/ml/model/sub; echo m > /opt/ml/model/sub/m; echo o > /opt/ml/output/data/o",
        ],
        OutputDataConfig={"S3OutputPath": "s3://bucket/out/", "CompressionType": "NONE"},
    )
    _, artifacts = folder_jobs.finish(order)
    assert artifacts.model_uri == "s3://bucket/out/job/output/model/"
    assert [each.key for each in folder_jobs.aws.store.objects("bucket")] == [
        "out/job/output/data/o",
        "out/job/output/model/sub/m",
    ]


@pytest.mark.parametrize("path", ["s3://nowhere/out", "not a uri"])
def test_artifacts_that_cannot_be_uploaded(folder_jobs: Any, path: str) -> None:
    order = folder_jobs.start("job", ["true"], OutputDataConfig={"S3OutputPath": path})
    folder_jobs.wait("job")
    with pytest.raises(ExecutionError, match="ClientError: Artifact upload failed: "):
        folder_jobs.executor.finish(order)
    with pytest.raises(KeyError):
        folder_jobs.executor.poll("job")


def test_metrics_and_log_lines(jobs: Any) -> None:
    definitions = [
        {"Name": "loss", "Regex": r"loss=([-+.\w]+)"},
        {"Name": "whole", "Regex": r"\d+%"},
        {"Name": "plain", "Regex": r"^\d+$"},
        {"Name": "never", "Regex": "nothing"},
    ]
    code = (
        "import sys; print('loss=3 loss=2.5\\r'); print('loss=bad'); print('loss=-1e-3', file=sys.stderr); print();"
        "print('x' * 600000); sys.stdout.buffer.write(b'\\xff 50% \\n'); print('17'); print('no newline', end='')"
    )
    order = jobs.python("job", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    _, artifacts = jobs.finish(order)
    values = {name: value for name, value, _ in artifacts.final_metrics}
    assert values in ({"loss": -0.001, "plain": 17.0}, {"loss": 2.5, "plain": 17.0})
    assert all(time > 1.6e9 for _, _, time in artifacts.final_metrics)
    log = jobs.log("job")
    assert {"loss=3 loss=2.5", "loss=bad", "loss=-1e-3", "\ufffd 50% ", "no newline"} <= set(log)
    long = [line for line in log if line.startswith("x")]
    assert sum(map(len, long)) == 600000
    assert max(map(len, long)) <= 256 * 1024 + 65536


def test_an_expression_without_end_costs_its_own_metric_only(
    folder_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions = [{"Name": "endless", "Regex": "(a+)+$"}, {"Name": "loss", "Regex": r"loss=(\S+)"}]
    code = f"print('{'a' * 60}!'); print('loss=3')"
    order = folder_jobs.python("job", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    folder_jobs.until(lambda: "loss=3" in folder_jobs.log("job"))  # the thread of all logs goes on
    _, artifacts = folder_jobs.finish(order)
    assert [metric[:2] for metric in artifacts.final_metrics] == [("loss", 3.0)]
    monkeypatch.setattr(metrics, "_SCAN_SECONDS", 0.01)
    order = folder_jobs.python("late", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    assert folder_jobs.finish(order)[1].final_metrics == ()


def test_the_cache_of_a_warm_pool_outlives_a_job(jobs: Any) -> None:
    keep_alive = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "KeepAlivePeriodInSeconds": 60}
    write = (
        "import os; open(os.environ['SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY'] + '/kept', 'w').write('1')"
    )
    jobs.finish(jobs.python("first", write, ResourceConfig=keep_alive))
    read = "import os; print(os.environ.get('SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY'));"
    read += "print(open('/opt/ml/sagemaker/warmpoolcache/kept').read())"
    jobs.finish(jobs.python("second", read))
    assert jobs.log("second") == ["None", "1"]


def test_several_instances(folder_jobs: Any) -> None:
    for n in range(3):
        folder_jobs.aws.store.put("bucket", f"data/{n}", b"x")
    config = [channel("s3://bucket/data/", source={"S3DataDistributionType": "ShardedByS3Key"})]
    code = (
        LIST
        + "; import json; print(json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host'])"
    )
    cluster = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2}
    folder_jobs.finish(folder_jobs.python("job", code, InputDataConfig=config, ResourceConfig=cluster))
    assert folder_jobs.log("job") == ["['c/0', 'c/2']", "algo-1", "['c/1']", "algo-2"]


def test_one_failing_instance_ends_the_others(folder_jobs: Any) -> None:
    code = "import json, time; host = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host']\n"
    code += (
        "if host == 'algo-2':\n    open('/opt/ml/output/failure', 'w').write('two'); raise SystemExit(4)\n"
    )
    code += "time.sleep(600)"
    cluster = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2}
    ended, _ = folder_jobs.finish(folder_jobs.python("job", code, ResourceConfig=cluster))
    assert (ended.exit_code, ended.failure_text) == (4, "two")


def test_a_job_is_prepared_anew_for_another_attempt(folder_jobs: Any) -> None:
    order = folder_jobs.python(
        "job", "open('/opt/ml/model/first', 'w').close(); import time; time.sleep(600)"
    )
    folder_jobs.until((folder_jobs.folder / "cluster/jobs/job-0/algo-1/ml/model/first").exists)
    folder_jobs.finish(folder_jobs.start(order.name, ["true"]))
    assert folder_jobs.members("job", "model.tar.gz") == {}


def test_the_folder_of_a_job_of_a_killed_emulator_is_not_used_again(folder_jobs: Any) -> None:
    stale = folder_jobs.folder / "cluster/jobs/job-0/algo-1/ml/model"
    stale.mkdir(parents=True)
    (stale / "stale").touch()
    folder_jobs.finish(folder_jobs.start("job", ["true"]))
    assert folder_jobs.members("job", "model.tar.gz") == {}


def test_an_image_can_have_an_interpreter_of_its_own(make_jobs: Callable[..., Any], tmp_path: Path) -> None:
    wrapper = tmp_path / "bin" / "python"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho wrapped\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    jobs = make_jobs(interpreters={"special": wrapper})
    jobs.finish(jobs.python("plain", "print(1)"))
    jobs.finish(jobs.python("own", "print(1)", AlgorithmSpecification={"TrainingImage": "special"}))
    assert (jobs.log("plain"), jobs.log("own")) == (["1"], ["wrapped", "1"])


def test_settings_are_checked(make_jobs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="speed must be positive"):
        ExecutionSettings(endpoint_url="", region="", access_key="", secret_key="", speed=0)
    monkeypatch.setattr(sandbox_module.shutil, "which", lambda _name: None)
    sandbox_module.supports_namespaces.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="use the isolation 'folder' or 'auto'"):
            make_jobs(isolation=Isolation.NAMESPACES)
        jobs = make_jobs(isolation=Isolation.AUTO)
        assert jobs.finish(jobs.start("job", ["true"]))[0].exit_code == 0
    finally:
        sandbox_module.supports_namespaces.cache_clear()


def test_links_of_a_job_bring_nothing_of_this_machine_along(folder_jobs: Any) -> None:
    """A failure file that is a link is no text, and a link in the model stays a link."""
    code = (
        "import os; os.symlink('/etc/passwd', '/opt/ml/output/failure'); "
        "os.symlink('/etc/passwd', '/opt/ml/model/passwd'); raise SystemExit(1)"
    )
    ended, _ = folder_jobs.finish(folder_jobs.python("job", code))
    assert (ended.exit_code, ended.failure_text) == (1, "")
    packed = io.BytesIO(folder_jobs.aws.store.get("bucket", "out/job/output/model.tar.gz"))
    with tarfile.open(fileobj=packed) as opened:
        assert [(each.name, each.issym()) for each in opened] == [("passwd", True)]
