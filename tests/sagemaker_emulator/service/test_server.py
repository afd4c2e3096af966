"""The door of the emulator: keys, pages of its own, the protocol, restarts."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator import emulator
from sagemaker_emulator.api.server import PortTakenError
from sagemaker_emulator.emulator import DirectoryInUseError, Emulator, EmulatorConfig, LeaseFolder
from sagemaker_emulator.service.jobs import JobStore
from sagemaker_emulator.service.settings import ServiceSettings

Service = Any

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/sagemaker/aws4_request, Signature=x"
}


def connection(service: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=300)


@pytest.mark.parametrize(
    ("kind", "operation", "code", "status"),
    [
        ("sagemaker", "list_training_jobs", "UnrecognizedClientException", 400),
        ("logs", "describe_log_groups", "UnrecognizedClientException", 400),
        ("s3", "list_buckets", "InvalidAccessKeyId", 403),
        ("sts", "get_caller_identity", "InvalidClientTokenId", 403),
    ],
)
def test_another_key_is_refused_in_the_words_of_the_service(
    service: Service, kind: str, operation: str, code: str, status: int
) -> None:
    stranger = service.connect("<STRANGER>", kind)
    with pytest.raises(ClientError) as refused:
        getattr(stranger, operation)()
    stranger.close()
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_carry_the_key(service: Service, version: str) -> None:
    for key, status in (("KEY", 200), ("OTHER", 403)):
        signer = service.connect(key, "s3", signature_version=version)
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"})
        signer.close()
        line = connection(service)
        line.request("GET", url.removeprefix(service.url))
        seen = line.getresponse().status
        line.close()
        assert seen == status


def test_health_needs_no_key_and_counts_calls(service: Service) -> None:
    service.client.list_training_jobs()
    line = connection(service)
    line.request("GET", "/_health")
    health = json.loads(line.getresponse().read())
    line.close()
    assert health["calls"] == {"ListTrainingJobs": 1}
    assert health["speed"] == 1000.0
    assert health["started"]
    assert health["version"]


def test_only_loopback_is_bound(service: Service) -> None:
    assert service.url.startswith("http://127.0.0.1:")


def test_connections_stay_open_and_bodies_arrive_whole(service: Service) -> None:
    line = connection(service)
    line.connect()
    first = line.sock
    line.request("PUT", "/bucket/key", body=b"x" * 100_000, headers=SIGNED)
    assert line.getresponse().read() == b"x" * 100_000
    line.request("PUT", "/bucket/key", body=iter([b"in ", b"chunks"]), headers=SIGNED, encode_chunked=True)
    assert line.getresponse().read() == b"in chunks"
    line.request("HEAD", "/bucket/key", headers=SIGNED)
    head = line.getresponse()
    assert head.read() == b""
    assert head.headers["x-method"] == "HEAD"
    line.request("GET", "/bucket/key", headers={**SIGNED, "Expect": "100-continue"})
    assert line.getresponse().status == 200
    assert line.sock is first
    line.close()


def test_a_fault_of_the_application_is_a_500(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(service.emulator._server, "app", broken)
    line = connection(service)
    line.request("GET", "/bucket/key", headers=SIGNED)
    assert line.getresponse().status == 500
    line.close()


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("SageMaker.CreateEndpoint", b"{}", "UnknownOperationException"),
        ("SageMaker.ListTrainingJobs", b"{", "SerializationException"),
        ("SageMaker.ListTrainingJobs", b"\xff\xfe", "SerializationException"),
        ("SageMaker.DescribeTrainingJob", b"", "ValidationException"),
    ],
)
def test_errors_of_the_protocol(service: Service, target: str, body: bytes, code: str) -> None:
    line = connection(service)
    line.request("POST", "/", body=body, headers={**SIGNED, "X-Amz-Target": target})
    answer = line.getresponse()
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert json.loads(answer.read())["__type"] == code
    line.close()


def test_a_restart_knows_the_jobs_and_fails_those_that_ran(start: Callable[..., Service]) -> None:
    service = start(speed=300.0)
    service.create("done", keep_alive=20000, Tags=[{"Key": "k", "Value": "v"}])
    service.pool("done", "Available")
    service.create("taken", keep_alive=20000)
    service.pool("taken", "Available")
    service.create(
        "running", plan={"seconds": "100"}, keep_alive=600, RoleArn="arn:aws:iam::123456789012:role/Other"
    )
    service.training("running")
    before = service.describe("done")
    service.close()
    service = start()
    after = service.describe("done")
    for answer in (before, after):
        del answer["ResponseMetadata"]
    assert after == before
    job = service.describe("running")
    assert job["FailureReason"] == "InternalServerError: We encountered an internal error. Please try again."
    assert (job["TrainingJobStatus"], job["WarmPoolStatus"]["Status"]) == ("Failed", "Terminated")
    assert service.describe("taken")["WarmPoolStatus"]["Status"] == "Terminated"
    assert service.client.list_tags(ResourceArn=after["TrainingJobArn"])["Tags"] == [
        {"Key": "k", "Value": "v"}
    ]
    with pytest.raises(service.client.exceptions.ResourceInUse):
        service.create("done")


def test_what_a_killed_emulator_left_is_settled(start: Callable[..., Service], tmp_path: Path) -> None:
    service = start(speed=100.0)
    service.create("warm", keep_alive=60)
    service.pool("warm", "Available")
    service.create("running", keep_alive=20000, RoleArn="arn:aws:iam::123456789012:role/Other")
    store = JobStore(tmp_path / "state" / "jobs.sqlite")
    as_killed = list(store.load())
    service.close()
    for job in as_killed:
        store.save(job)
    store.close()
    service = start()
    pool = service.describe("warm")["WarmPoolStatus"]
    assert pool["Status"] == "Terminated"
    assert pool["ResourceRetainedBillableTimeInSeconds"] <= 60
    running = service.describe("running")
    assert running["TrainingJobStatus"] == "Failed"
    assert running["WarmPoolStatus"] == {"Status": "Terminated"}


def test_a_folder_and_a_port_belong_to_one_emulator(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "LOCK_TIMEOUT", 0.1)

    def make_services(_url: str) -> Any:
        raise AssertionError("must not get here")

    settings = ServiceSettings()
    with pytest.raises(DirectoryInUseError, match="in use by another emulator"):
        Emulator(
            EmulatorConfig(directory=tmp_path / "state", access_key="A", secret_key="B"),
            settings,
            make_services,
        )
    port = int(service.url.rpartition(":")[2])
    for _ in range(2):  # the folder is free again after a failed start
        with pytest.raises(PortTakenError, match=f"port {port} of 127.0.0.1 is taken"):
            Emulator(
                EmulatorConfig(directory=tmp_path / "o", access_key="A", secret_key="B", port=port),
                settings,
                make_services,
            )


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        ServiceSettings(speed=0.0)
    with pytest.raises(ValueError, match=r"warm_pool_quota of ml\.c5\.xlarge must be 0 or more"):
        ServiceSettings(warm_pool_quotas={"ml.c5.xlarge": -1})


def test_the_state_file_is_whole_and_private(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    service.emulator.write_state(path)
    state = json.loads(path.read_text())
    assert set(state) == {"url", "pid", "speed", "access_key", "secret_key", "region", "started"}
    assert (state["url"], state["access_key"], state["region"]) == (service.url, "KEY", "us-east-1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_waiting_ends_on_request(service: Service, tmp_path: Path) -> None:
    ended, state_file = Event(), tmp_path / "state.json"
    waiting = Thread(target=service.emulator.wait, args=(ended, None, state_file))
    waiting.start()
    for _ in range(2):  # the file is kept in place
        wait_for(state_file.exists)
        state_file.unlink()
    ended.set()
    waiting.join(300)
    assert not waiting.is_alive()


def test_waiting_ends_with_the_last_lease(service: Service, tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    service.emulator.wait(Event(), LeaseFolder(tmp_path / "leases", grace=0.0, now=0.0), state_file)
    assert not state_file.exists()


def test_a_lease_that_comes_at_the_last_moment_keeps_the_emulator(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_file, answers, ended = tmp_path / "state.json", iter([False, True, True]), Event()
    leases = LeaseFolder(tmp_path / "leases", grace=0.0, now=0.0)

    def is_needed(_now: float, *, has_jobs: bool) -> bool:
        answer = next(answers, None)
        if answer is None:
            ended.set()
        return answer is not False

    monkeypatch.setattr(
        LeaseFolder, "is_needed", lambda _self, now, *, has_jobs: is_needed(now, has_jobs=has_jobs)
    )
    service.emulator.wait(ended, leases, state_file)
    assert state_file.exists()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_clients_at_once(start: Callable[..., Service]) -> None:
    service = start(throttle="off")
    done: list[str] = []

    def work(client: Any, name: str) -> None:
        client.create_training_job(**service.request(name))
        done.append(client.describe_training_job(TrainingJobName=name)["TrainingJobName"])
        client.close()

    threads = [Thread(target=work, args=(service.connect(), f"job-{n}")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert sorted(done) == sorted(f"job-{n}" for n in range(12))
    for n in range(12):
        assert service.ended(f"job-{n}")["TrainingJobStatus"] == "Completed"


def test_sockets_are_plain_tcp(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=5) as raw:
        raw.sendall(b"GET /_health HTTP/1.0\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
