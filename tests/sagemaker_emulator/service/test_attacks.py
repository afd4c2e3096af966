"""Requests of strangers: from other users of the machine, from web pages, and from clients that never end."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sagemaker_emulator.api import application, server
from sagemaker_emulator.emulator import permissions_of
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage import AwsServices

Service = Any

SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/s3/aws4_request, Signature=x"


@contextmanager
def wire(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", urlsplit(service.url).port), timeout=300) as raw:
        yield raw


def answer_of(raw: socket.socket) -> tuple[int, dict[str, str], bytes]:
    answer = http.client.HTTPResponse(raw)
    answer.begin()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def send(raw: socket.socket, first: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> None:
    lines = [f"{first} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
    raw.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def ask(service: Service, first: str, *headers: str, **rest: Any) -> tuple[int, dict[str, str], bytes]:
    with wire(service) as raw:
        send(raw, first, *headers, **rest)
        return answer_of(raw)


@pytest.mark.parametrize("path", ["/bucket/key", "/", "/_faults", "/_status"])
def test_no_body_is_read_without_the_key(service: Service, path: str) -> None:
    """The answer comes although not one byte of the body was sent."""
    status, headers, _ = ask(service, f"PUT {path}", "Content-Length: 300000000")
    assert status in {401, 403}
    assert headers["connection"] == "close"


def test_a_client_that_asks_first_is_refused_before_it_sends(service: Service) -> None:
    assert ask(service, "PUT /bucket/key", "Content-Length: 10", "Expect: 100-continue")[0] == 403


def test_a_client_that_asks_first_and_has_the_key_sends(service: Service) -> None:
    with wire(service) as raw:
        send(raw, "PUT /bucket/key", SIGNED, "Content-Length: 4", "Expect: 100-continue")
        assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"body")
        assert answer_of(raw)[2] == b"body"


def test_a_connection_outlives_a_refused_request_with_a_short_body(service: Service) -> None:
    with wire(service) as raw:
        send(raw, "PUT /bucket/key", "Content-Length: 5", body=b"short")
        assert answer_of(raw)[0] == 403
        send(raw, "PUT /bucket/key", SIGNED, "Content-Length: 4", body=b"body")
        assert answer_of(raw)[0] == 200


@pytest.mark.parametrize("length", ["-1", "1" + "0" * 20, "0x10", "1, 1", "", "\u0661"])
def test_lengths_that_are_no_numbers(service: Service, length: str) -> None:
    status, headers, _ = ask(service, "PUT /bucket/key", SIGNED, f"Content-Length: {length}")
    assert (status, headers["connection"]) == (400, "close")


@pytest.mark.parametrize(
    "headers",
    [("Content-Length: 1", "Content-Length: 2"), ("Content-Length: 1", "Transfer-Encoding: chunked")],
)
def test_lengths_that_contradict_each_other(service: Service, headers: tuple[str, str]) -> None:
    assert ask(service, "PUT /bucket/key", SIGNED, *headers)[0] == 400


@pytest.mark.parametrize("path", ["/", "/bucket/key"])
def test_bodies_have_a_limit(service: Service, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(application, "MAX_BODY_BYTES", 3)
    monkeypatch.setattr(application, "MAX_OBJECT_BYTES", 3)
    assert ask(service, f"PUT {path}", SIGNED, "Content-Length: 4")[0] == 413
    chunked = b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    assert ask(service, f"PUT {path}", SIGNED, "Transfer-Encoding: chunked", body=chunked)[0] == 413


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_cut_off_is_not_taken(service: Service, is_chunked: bool) -> None:
    size = 2 << 20
    head = ["Transfer-Encoding: chunked"] if is_chunked else [f"Content-Length: {size}"]
    body = (b"%x\r\n" % size if is_chunked else b"") + b"x" * 1000
    with wire(service) as raw:
        send(raw, "PUT /bucket/key", SIGNED, *head, body=body)
        raw.shutdown(socket.SHUT_WR)
        assert answer_of(raw)[0] == 400


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1@evil"]
)
def test_another_host_name_is_refused(service: Service, host: str) -> None:
    """A web page whose name is resolved to 127.0.0.1 is of the same origin as the emulator, but for its name."""
    assert ask(service, "GET /_health", host=host)[0] == 421
    assert ask(service, f"GET http://{host}/_health")[0] == 421


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:80"])
def test_names_of_this_machine_are_accepted(service: Service, host: str) -> None:
    assert ask(service, "GET /_health", host=host)[0] == 200


def test_requests_need_a_host(service: Service) -> None:
    assert ask(service, "GET /_health", host="")[0] == 400
    assert ask(service, "GET http://[", SIGNED)[0] == 400


def test_an_idle_connection_is_closed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.05)
    with wire(service) as raw:
        assert raw.recv(1) == b""
    with wire(service) as raw:
        send(raw, "PUT /bucket/key", SIGNED, "Content-Length: 4", body=b"bo")
        assert raw.recv(1) == b""


def test_idle_connections_do_not_keep_others_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    with ExitStack() as stack:
        idle = [stack.enter_context(wire(service)) for _ in range(12)]
        assert ask(service, "GET /_health")[0] == 200
        assert [raw.recv(1) for raw in idle[:9]] == [b""] * 9  # the last three may stay


def test_a_new_connection_is_closed_while_all_others_work(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    with wire(service) as busy:
        send(busy, "PUT /bucket/key", SIGNED, "Content-Length: 4", "Expect: 100-continue")
        assert busy.recv(100).startswith(b"HTTP/1.1 100 ")
        with wire(service) as raw:
            assert raw.recv(1) == b""
        busy.sendall(b"body")
        assert answer_of(busy)[2] == b"body"


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("SageMaker.ListTrainingJobs", b"[" * 100_000),
        ("ServiceQuotasV20190624.ListServiceQuotas", b"[" * 100_000),
    ],
)
def test_nested_json_is_a_client_error(service: Service, target: str, body: bytes) -> None:
    status, _, text = ask(
        service, "POST /", SIGNED, f"X-Amz-Target: {target}", f"Content-Length: {len(body)}", body=body
    )
    assert (status, json.loads(text)["__type"]) == (400, "SerializationException")


def test_the_status_page_asks_for_both_keys_and_no_url_holds_one(service: Service) -> None:
    status, headers, text = ask(service, "GET /_status?key=KEY")
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic ")
    assert b"user name" in text
    for login, expected in (("KEY:SECRET", 200), ("KEY:KEY", 401), ("SECRET:SECRET", 401), (":", 401)):
        header = f"Authorization: Basic {base64.b64encode(login.encode()).decode()}"
        status, headers, _ = ask(service, "GET /_status", header)
        assert status == expected
    status, headers, _ = ask(service, "GET /_status", "x-emulator-key: KEY")
    assert status == 200
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_login_of_a_browser_changes_nothing(service: Service) -> None:
    """Browsers send it by themselves, also for another page's forms."""
    login = f"Authorization: Basic {base64.b64encode(b'KEY:SECRET').decode()}"
    for first in ("POST /_faults", "DELETE /_faults", "PUT /bucket/key", "POST /"):
        assert ask(service, first, login, "Content-Length: 0")[0] == 403


def test_state_is_readable_by_its_user_only(start: Callable[..., Service], tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("s3", "logs"):
        (state / name).mkdir(parents=True, mode=0o755)  # of an earlier version
    service = start()
    service.create("job")
    service.ended("job")
    open_to_others = [
        path.name
        for path in state.iterdir()
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name != "lock"
    ]
    assert open_to_others == []


SIGNING_NAMES = {"SageMaker": "sagemaker", "Logs_20140328": "logs", "TrentService": "kms"}


def presigned(service: Service, version: str, *, expires: int = 60, **changes: Any) -> str:
    """Target of a presigned URL for an object with an awkward name."""
    signer = service.connect("KEY", "s3", signature_version=version)
    parameters = {"Bucket": "bucket", "Key": "a b/ü+~", "ResponseContentType": "text/x y", **changes}
    url = signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires)
    signer.close()
    return url.removeprefix(service.url)


VERSIONS = pytest.mark.parametrize("version", ["s3", "s3v4"])


@VERSIONS
@pytest.mark.parametrize("key", ["a b/ü+~", "plain", "%2e%2e/x"])
def test_a_presigned_url_is_good_for_what_was_signed(service: Service, version: str, key: str) -> None:
    host = f"127.0.0.1:{urlsplit(service.url).port}"
    target = presigned(service, version, Key=key)
    assert ask(service, f"GET {target}", host=host)[0] == 200
    assert ask(service, f"PUT {target}", "Content-Length: 0", host=host)[0] == 403
    for old, new in (("/bucket/", "/other/"), ("text", "test"), ("Signature=", "Signature=0")):
        status, _, text = ask(service, f"GET {target.replace(old, new)}", host=host)
        assert (status, b"SignatureDoesNotMatch" in text) == (403, True)


@VERSIONS
def test_a_presigned_url_expires(service: Service, version: str) -> None:
    host = f"127.0.0.1:{urlsplit(service.url).port}"
    status, _, text = ask(service, f"GET {presigned(service, version, expires=-1)}", host=host)
    assert (status, b"Request has expired" in text or b"valid number of seconds" in text) == (403, True)
    for old, new in (
        ("Expires=60", "Expires=604801"),
        ("Expires=", "Expires=x"),
        ("X-Amz-Date=2", "X-Amz-Date=9"),
    ):
        target = presigned(service, version).replace(old, new)
        assert ask(service, f"GET {target}", host=host)[0] == (
            403 if old in presigned(service, version) else 200
        )


def test_a_wrong_secret_key_is_not_noticed_but_in_presigned_urls(service: Service) -> None:
    assert ask(service, "PUT /bucket/key", SIGNED, "Content-Length: 0")[0] == 200
    target = presigned(service, "s3v4")
    forged = re.sub("Signature=[0-9a-f]+", f"Signature={'0' * 64}", target)
    assert ask(service, f"GET {forged}")[0] == 403


@pytest.mark.parametrize("key", ["../../../x", "..", "/abs", "\x01\x7f", "a" * 1024, "a//b/./c"])
def test_no_key_of_an_object_leaves_the_folder(
    start: Callable[..., Service], tmp_path: Path, key: str
) -> None:
    aws = AwsServices(tmp_path / "aws", region="us-east-1")
    aws.store.create_bucket("bucket")
    before = {
        path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "aws" / "s3" / "bucket")
    }
    s3 = start(application=aws.app).connect(service="s3")
    s3.put_object(Bucket="bucket", Key=key, Body=b"x")
    assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == b"x"
    s3.close()
    after = {
        path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "aws" / "s3" / "bucket")
    }
    assert {path.relative_to(tmp_path).parts[0] for path in after - before} <= {"state"}


@pytest.mark.parametrize(
    "name", ["ab", "Upper", "a_b", "a..b", "192.168.0.1", "xn--a", "mine-s3alias", "-ab", "ab-", "a" * 64]
)
def test_names_of_buckets_have_rules(start: Callable[..., Service], tmp_path: Path, name: str) -> None:
    service = start(application=AwsServices(tmp_path / "aws", region="us-east-1").app)
    status, _, text = ask(service, f"PUT /{name}", SIGNED, "Content-Length: 0")
    assert (status, b"InvalidBucketName" in text) == (400, True)
    assert ask(service, "PUT /sagemaker-us-east-1-123456789012", SIGNED, "Content-Length: 0")[0] == 200


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("SageMaker.CreateTrainingJob", b"{"),
        ("SageMaker.CreateTrainingJob", b"NaN"),
        ("SageMaker.CreateTrainingJob", b'{"TrainingJobName": 1e400}'),
        ("SageMaker.CreateTrainingJob", b'{"TrainingJobName": ["x"], "RoleArn": {}}'),
        ("SageMaker.ListTrainingJobs", b'{"MaxResults": NaN}'),
        ("SageMaker.Nope", b"{}"),
        ("Logs_20140328.FilterLogEvents", b"[" * 3000),
        ("Logs_20140328.FilterLogEvents", b"[1]"),
        ("Logs_20140328.Nope", b"{}"),
        ("TrentService.Nope", b"{}"),
        ("TrentService.CreateKey", b"[" * 3000),
        ("Nothing.Nope", b"{}"),
    ],
)
@pytest.mark.parametrize("preset", ["default", "strict"])
def test_what_is_no_request_is_the_clients_error(
    start: Callable[..., Service],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    preset: str,
    target: str,
    body: bytes,
) -> None:
    permissions = permissions_of(ServiceSettings(preset=preset), "KEY")
    aws = AwsServices(tmp_path / "aws", region="us-east-1", permissions=permissions)
    service = start(application=aws.app, preset=preset)
    signed = SIGNED.replace("/s3/", f"/{SIGNING_NAMES.get(target.partition('.')[0], 'nothing')}/")
    status, _, text = ask(
        service, "POST /", signed, f"X-Amz-Target: {target}", f"Content-Length: {len(body)}", body=body
    )
    assert status in {400, 501}
    assert json.loads(text)["__type"]
    assert caplog.records == []
