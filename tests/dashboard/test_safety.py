"""Attacks on the dashboard: other hosts and sites, missing tokens, paths that lead out, links, texts with HTML, floods."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.storage import ExperimentFolder
from tunewright.trial import TrialStatus

testclient = pytest.importorskip("starlette.testclient")
server = pytest.importorskip("tunewright.dashboard.server")
library = pytest.importorskip("tunewright.dashboard.library")
security = pytest.importorskip("tunewright.dashboard.security")

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Store = Callable[..., ExperimentFolder]
Connect = Callable[..., Any]


@pytest.fixture
def connect(tunewright_home: Path) -> Iterator[Connect]:
    """Makes clients of servers with some settings; without a token."""
    clients: list[Any] = []

    def make(base_url: str = "http://127.0.0.1:8080", **settings: Any) -> Any:
        safety = security.Safety(token=TOKEN, **settings)
        application = server.Dashboard(library.Library(control=True)).application(safety)
        client = testclient.TestClient(application, base_url=base_url, follow_redirects=False)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil"]
)
def test_another_host_gets_nothing(connect: Connect, host: str) -> None:
    client = connect()
    for path in ("/", "/api/experiments", "/assets/main.js", f"/?token={TOKEN}"):
        answer = client.get(path, headers={**BEARER, "Host": host})
        assert answer.status_code == 421
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "host", ["", "a b", "localhost:x", "user@localhost", "localhost/x", "[::1", "lo\tcal"]
)
def test_a_host_that_is_not_valid_gets_nothing(connect: Connect, host: str) -> None:
    assert connect().get("/api/experiments", headers={**BEARER, "Host": host}).status_code == 400


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "[::1]:8080", "hub.example", "10.0.0.7:8080"]
)
def test_hosts_that_are_allowed(connect: Connect, host: str) -> None:
    client = connect(host="::", allowed_hosts=frozenset({"hub.example"}))
    assert client.get("/api/experiments", headers={**BEARER, "Host": host}).status_code == 200
    assert connect().get("/api/experiments", headers={**BEARER, "Host": "10.0.0.7"}).status_code == 421


def test_nothing_without_the_token(connect: Connect, store: Store) -> None:
    folder = store([])
    one = f"/api/e/t/{folder.name}"
    paths = [
        "/",
        "/?token=",
        "/?token=wrong",
        "/api/experiments",
        "/api/experiments/stream",
        one,
        f"{one}/since",
    ]
    paths += [
        f"{one}/stream",
        f"{one}/trials/0/log",
        f"{one}/importance",
        "/nothing",
        f"/api/experiments?token={TOKEN}",
    ]
    client = connect()
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert folder.name not in answer.text
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"X-Tunewright-Token": TOKEN + "x"},
        {"Cookie": f"tunewright={TOKEN}"},
        {b"Authorization": b"Bearer \xff"},
    ):
        assert client.get("/api/experiments", headers=headers).status_code == 401
    for headers in (BEARER, {"X-Tunewright-Token": TOKEN}):
        assert client.get("/api/experiments", headers=headers).status_code == 200


def test_a_person_without_the_token_reads_a_page(connect: Connect) -> None:
    client = connect()
    answer = client.get("/?token=wrong", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "open the address that tunewright dashboard printed" in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    other = client.get("/api/experiments", headers={"Accept": "text/html"})
    assert other.json()["error"]  # documents are for programs


def test_the_token_leaves_the_address_for_a_cookie(connect: Connect) -> None:
    client = connect(base_path="/proxy/8080")
    answer = client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/proxy/8080/"} <= {
        part.strip() for part in cookie.split(";")
    }
    pair = {"Cookie": cookie.partition(";")[0]}
    assert client.get("/api/experiments", headers=pair).status_code == 200
    assert client.get("/proxy/8080/api/experiments", headers=pair).status_code == 200  # the prefix is left in
    https = client.get(f"/?token={TOKEN}", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in https.headers["set-cookie"]


def test_headers_of_every_answer(connect: Connect) -> None:
    client = connect()
    answers = [
        client.get("/api/experiments", headers=BEARER),
        client.get("/api/experiments"),
        client.get("/assets/x"),
    ]
    answers += [client.get("/x", headers=BEARER), client.get("/", headers={"Host": "evil"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
    embedded = connect(can_embed=True).get("/api/experiments", headers=BEARER)
    assert "frame-ancestors 'self'" in embedded.headers["content-security-policy"]


OTHER_SITES = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8080"},
]


@pytest.mark.parametrize("headers", OTHER_SITES)
def test_another_site_cannot_change_anything(connect: Connect, store: Store, headers: dict[str, str]) -> None:
    folder = store([])
    answer = connect().post(
        f"/api/e/t/{folder.name}/requests", json={"action": "stop_experiment"}, headers={**BEARER, **headers}
    )
    assert answer.status_code == 403
    assert "another site" in answer.json()["error"]


def test_the_page_behind_a_proxy_may_change_something(connect: Connect, store: Store) -> None:
    folder = store([])
    headers = {**BEARER, "Origin": "https://hub.example", "Sec-Fetch-Site": "same-origin"}
    for allowed, status in (("hub.example", 422), ("*", 422), ("other.example", 403)):
        client = connect(allowed_hosts=frozenset({allowed}))
        answer = client.post(f"/api/e/t/{folder.name}/requests", json={"action": "nothing"}, headers=headers)
        assert answer.status_code == status


def test_forms_and_long_bodies_are_refused(connect: Connect, store: Store) -> None:
    folder = store([])
    client, address = connect(), f"/api/e/t/{folder.name}/requests"
    form = client.post(address, data={"action": "stop_experiment"}, headers=BEARER)
    assert form.status_code == 415
    text = client.post(address, content="{}", headers={**BEARER, "Content-Type": "text/plain"})
    assert text.status_code == 415
    headers = {**BEARER, "Content-Type": "application/json"}
    assert client.post(address, content=b"x" * 70_000, headers=headers).status_code == 413
    assert client.post(address, content=iter([b"{}"]), headers=headers).status_code == 411
    assert client.get(f"/api/experiments?{'x' * 9000}", headers=BEARER).status_code == 414
    assert client.post("/api/experiments", json={}, headers=BEARER).status_code == 405


PATHS = [
    "..",
    "../..",
    "%2e%2e",
    "..%2f..",
    "....//",
    "/etc",
    "%2fetc%2fpasswd",
    "a%00b",
    "t%2f..",
    "~",
    "t\\..",
    ".",
]


@pytest.mark.parametrize("part", PATHS)
def test_paths_do_not_lead_out(
    connect: Connect, store: Store, tunewright_home: Path, journals: SimpleNamespace, part: str
) -> None:
    folder = store([journals.start(0.0, 0)])
    secret = tunewright_home / "secret"
    secret.mkdir()
    for name in ("metadata.json", "journal.jsonl", "stdout"):
        (secret / name).write_text('{"secret": 1}', encoding="utf-8")
    client, name = connect(), folder.name
    addresses = [
        f"/api/e/{part}/{name}",
        f"/api/e/t/{part}",
        f"/api/e/t/{part}/since",
        f"/api/e/t/{name}/trials/{part}",
        f"/api/e/t/{name}/trials/{part}/log",
        f"/api/e/t/{name}/{part}",
        f"/api/compare/{part}",
        f"/assets/{part}/server.py",
        f"/assets/{part}/{part}/secret/stdout",
        f"/{part}",
    ]
    for address in addresses:
        answer = client.get(address, headers=BEARER)
        assert answer.status_code < 500
        assert "secret" not in answer.text.replace(address, "")
    queries = [
        f"since?after={part}",
        f"trials/0/log?after={part}",
        f"curves?trials={part}",
        f"contour?x={part}&y={part}",
    ]
    for query in queries:
        answer = client.get(f"/api/e/t/{name}/{query}", headers=BEARER)
        assert answer.status_code in {404, 409, 422}, query


def test_links_are_not_followed(
    connect: Connect, store: Store, journals: SimpleNamespace, tmp_path: Path
) -> None:
    secret = tmp_path / "elsewhere"
    good = store([journals.start(0.0, 0)])
    client, address = connect(), f"/api/e/t/{good.name}"
    assert client.get(f"{address}/since", headers=BEARER).status_code == 200
    content = good.journal_path.read_bytes()
    secret.write_bytes(content)
    good.journal_path.unlink()
    good.journal_path.symlink_to(secret)  # the journal is replaced
    answer = client.get(f"{address}/since", headers=BEARER)
    assert answer.status_code == 500
    assert "journal.jsonl is not a regular file" in answer.json()["error"]
    good.journal_path.unlink()
    os.mkfifo(good.journal_path)  # reading it would wait for ever
    assert client.get(f"{address}/since", headers=BEARER).status_code == 500
    assert client.get(f"{address}/stream", headers=BEARER).status_code == 500
    good.journal_path.unlink()
    good.journal_path.write_bytes(content)
    assert client.get(f"{address}/since", headers=BEARER).status_code == 200
    good.note_path.symlink_to(secret)
    assert client.get(address, headers=BEARER).status_code == 500
    good.note_path.unlink()
    (good.path.parent / "t-linked-toy-0-20260101-000000-abcd").symlink_to(good.path)
    (good.path.parent.parent / "linked").symlink_to(good.path.parent)
    for path in ("t/t-linked-toy-0-20260101-000000-abcd", f"linked/{good.name}"):
        assert client.get(f"/api/e/{path}", headers=BEARER).status_code == 404
    rows = client.get("/api/experiments", headers=BEARER).json()["experiments"]
    assert [row["id"] for row in rows] == [f"t/{good.name}"]


def test_html_of_scripts_is_data(connect: Connect, store: Store, journals: SimpleNamespace) -> None:
    html = '<script>alert("1")</script><img src=x onerror=alert(1)>\u2028'
    events = [
        journals.start(0.0, 0, config={"lr": 0.1, "width": 1, "act": html}, note={"message": html}),
        journals.result(1.0, 0, 1, 0.5, metrics={"loss": 0.5, html: 1.0}, reason=html),
        journals.end(2.0, 0, TrialStatus.FAILED, error=html),
    ]
    folder = store(
        events, label=html, versions={html: html}, benchmark={"name": html, "metrics": [{"name": "loss"}]}
    )
    folder.note_path.write_text(html, encoding="utf-8")
    run = folder.trials_path / "0" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "stdout").write_text(html, encoding="utf-8")
    client, one = connect(), f"/api/e/t/{folder.name}"
    for path in (
        "/api/experiments",
        one,
        f"{one}/since",
        f"{one}/trials/0",
        f"{one}/trials/0/log",
        f"{one}/curves?trials=0",
    ):
        answer = client.get(path, headers=BEARER)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.text)
    assert client.get(one, headers=BEARER).json()["method"] == html
    assert client.get(f"{one}/trials/0", headers=BEARER).json()["error"] == html
    error = client.get(f"/api/e/t/{folder.name}/contour?x=<script>&y=lr", headers=BEARER)
    assert error.headers["content-type"] == "application/json"


def test_texts_that_are_no_unicode(connect: Connect, store: Store, journals: SimpleNamespace) -> None:
    text = "half a pair \ud800"
    events = [
        journals.start(0.0, 0, note={"message": text}),
        journals.end(2.0, 0, TrialStatus.FAILED, error=text),
    ]
    one = f"/api/e/t/{store(events).name}"
    client = connect()
    assert client.get(f"{one}/since", headers=BEARER).json()["events"][0]["text"] == text
    assert client.get(f"{one}/trials/0", headers=BEARER).json()["error"] == text


def test_the_page_has_no_text_of_a_request(connect: Connect) -> None:
    answer = connect().get("/?x=<script>alert(1)</script>", headers=BEARER)
    assert answer.headers["content-type"].startswith("text/html")
    assert "alert" not in answer.text
    assert "<script>" not in answer.text  # all of them have an address
