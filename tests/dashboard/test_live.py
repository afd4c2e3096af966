"""A dashboard as a process: streams, a server that is killed and started again, floods, Ctrl-C."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.journal import FileJournal
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

TOKEN = "a-token-of-the-tests"
Store = Callable[..., ExperimentFolder]


class Server:
    """A process of ``tunewright dashboard``."""

    def __init__(self, home: Path, port: int = 0) -> None:
        if not port:  # none of those that the command chooses itself: another test could take it after a kill
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tunewright", "dashboard", "--no_browser", "--port", str(port)],
            env={**os.environ, "TUNEWRIGHT_HOME": str(home), "TUNEWRIGHT_DASHBOARD_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(rf"http://127\.0\.0\.1:(\d+)/\?token={TOKEN}", line)
        assert found, line + self.process.stdout.read()
        self.port = int(found[1])
        self._connections: list[http.client.HTTPConnection] = []
        self._answers: list[http.client.HTTPResponse] = []

    def get(self, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._connections.append(connection)
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", **(headers or {})})
        answer = connection.getresponse()
        self._answers.append(answer)
        return answer

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def close(self) -> None:
        for one in (*self._answers, *self._connections):
            one.close()
        if self.process.poll() is None:
            self.end(signal.SIGKILL)


@pytest.fixture
def serve(tunewright_home: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(port: int = 0) -> Server:
        servers.append(Server(tunewright_home, port))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def read_event(answer: http.client.HTTPResponse) -> dict[str, str]:
    """The next event of a stream that has data."""
    event: dict[str, str] = {}
    while True:
        line = answer.readline().decode().rstrip("\r\n")
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event and event["event"] != "ping":
            return event
        else:
            event = {}


def read_delta(answer: http.client.HTTPResponse) -> Any:
    """The next change of a stream; its id is the offset."""
    while (event := read_event(answer))["event"] != "delta":
        pass
    delta = json.loads(event["data"])
    assert event["id"] == str(delta["offset"])
    return delta


def test_a_page_goes_on_after_kills_of_server_and_tuner(
    serve: Callable[..., Server], store: Store, journals: SimpleNamespace
) -> None:
    folder = store([])
    tuner = FileJournal(folder.journal_path)
    tuner.append(journals.session(0.0))
    tuner.append(journals.start(0.0, 0))
    server = serve()
    address = f"/api/e/t/{folder.name}/stream"
    stream = server.get(address)
    assert stream.status == 200
    deltas = [read_delta(stream)]
    status = json.loads(read_event(stream)["data"])["status"]
    assert status == "running"
    tuner.append(journals.result(1.0, 0, 1, 0.9))
    deltas.append(read_delta(stream))
    server.end(signal.SIGKILL)
    tuner.append(journals.result(2.0, 0, 2, 0.8))  # while nobody looks
    again = serve(server.port)
    stream = again.get(address, {"Last-Event-ID": str(deltas[-1]["offset"])})
    deltas.append(read_delta(stream))
    tuner.close()  # the tuner is killed in the middle of a line
    with folder.journal_path.open("ab") as file:
        file.write(b'{"kind":"result","t":3.0')
    tuner = FileJournal(folder.journal_path)
    tuner.append(journals.session(3.0))
    tuner.append(journals.result(4.0, 0, 3, 0.7))
    tuner.append(journals.end(5.0, 0, TrialStatus.COMPLETED))
    tuner.append(journals.session(5.0, ExperimentStatus.COMPLETED))
    while deltas[-1]["offset"] < folder.journal_path.stat().st_size:
        deltas.append(read_delta(stream))
    tuner.close()
    while json.loads((event := read_event(stream))["data"])["status"] == "running":
        assert event["event"] == "experiment"
    assert [delta["after"] for delta in deltas] == [0, *(delta["offset"] for delta in deltas[:-1])]
    resources = [r for delta in deltas for r in delta["curves"].get("0", {"resource": []})["resource"]]
    assert resources == [1, 2, 3]  # nothing twice, nothing lost
    assert [event["kind"] for delta in deltas for event in delta["events"]] == [
        "session",
        "interrupted",
        "session",
        "session",
    ]


def test_a_replaced_journal_resets_the_page(
    serve: Callable[..., Server], store: Store, journals: SimpleNamespace
) -> None:
    folder = store([journals.start(0.0, 0)])
    server = serve()
    stream = server.get(f"/api/e/t/{folder.name}/stream?after=17")  # of another journal
    assert read_event(stream)["event"] == "reset"
    assert [row["id"] for row in read_delta(stream)["trials"]] == [0]
    other = journals.lines_of([journals.session(0.0), journals.start(1.0, 0), journals.start(1.0, 1)])
    folder.journal_path.write_bytes(other)
    while (event := read_event(stream))["event"] != "reset":
        pass
    assert event["id"] == "0"
    assert [row["id"] for row in read_delta(stream)["trials"]] == [0, 1]


def test_the_stream_of_an_experiment_that_is_deleted_ends(
    serve: Callable[..., Server], store: Store, journals: SimpleNamespace
) -> None:
    folder = store([journals.start(0.0, 0)])
    server = serve()
    stream = server.get(f"/api/e/t/{folder.name}/stream")
    read_delta(stream)
    folder.path.rename(folder.path.with_name("u-B-toy-0-20260101-000000-abcd"))
    while (event := read_event(stream))["event"] != "gone":
        pass
    assert event["data"] == "{}"
    assert stream.read().strip() in {b"", b": ping"}
    assert server.get(f"/api/e/t/{folder.name}").status == 404


def test_the_list_is_followed(serve: Callable[..., Server], store: Store, journals: SimpleNamespace) -> None:
    server = serve()
    first = store([])
    stream = server.get("/api/experiments/stream")
    event = read_event(stream)
    assert event["event"] == "list"
    assert [row["name"] for row in json.loads(event["data"])["experiments"]] == [first.name]
    second = store([journals.start(0.0, 0)], name="t-B-toy-0-20260101-000001-abcd")
    rows = json.loads(read_event(stream)["data"])["experiments"]
    assert [row["name"] for row in rows] == [second.name]  # only what changed
    second.path.rename(second.path.with_name("gone"))
    (second.path.with_name("gone") / "metadata.json").unlink()
    assert json.loads(read_event(stream)["data"])["removed"] == [f"t/{second.name}"]


def test_a_log_is_followed(serve: Callable[..., Server], store: Store, journals: SimpleNamespace) -> None:
    folder = store([journals.start(0.0, 0)])
    run = folder.trials_path / "0" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "stdout").write_text("one\n", encoding="utf-8")
    stream = serve().get(f"/api/e/t/{folder.name}/trials/0/log/stream")
    assert json.loads(read_event(stream)["data"])["text"] == "one\n"
    with (run / "stdout").open("a") as file:
        file.write("two\n")
    event = read_event(stream)
    found = json.loads(event["data"])
    assert (found["text"], found["offset"], found["error"]) == ("two\n", "8-0-0", "")
    assert event["id"] == "8-0-0"


def test_ctrl_c_ends_the_server_with_open_streams(serve: Callable[..., Server], store: Store) -> None:
    folder = store([])
    server = serve()
    stream = server.get(f"/api/e/t/{folder.name}/stream")
    read_event(stream)
    assert server.end(signal.SIGINT) == 0
    assert stream.read() is not None  # the stream ended


def test_a_port_that_is_taken(serve: Callable[..., Server], tunewright_home: Path) -> None:
    server = serve()
    command = [sys.executable, "-m", "tunewright", "dashboard", "--no_browser", "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"port {server.port}" in done.stderr
    assert "--port" in done.stderr


def test_floods_of_connections_and_streams(serve: Callable[..., Server], store: Store) -> None:
    folder = store([])
    server = serve()
    streams = [server.get(f"/api/e/t/{folder.name}/stream") for _ in range(64)]
    assert {stream.status for stream in streams} == {200}
    refused = server.get("/api/experiments/stream")
    assert (refused.status, refused.getheader("Retry-After")) == (503, "5")
    assert server.get("/api/experiments").status == 200
    for stream in streams:
        stream.close()
    # more than the server keeps; the rest is closed at once
    address = ("127.0.0.1", server.port)
    silent = [socket.create_connection(address, timeout=60) for _ in range(400)]
    assert not _is_open(silent[-1])
    for one in silent:
        one.close()
    assert server.process.poll() is None
    while server.get("/api/experiments").status != 200:
        pass


def _is_open(one: socket.socket) -> bool:
    try:
        return bool(one.recv(1))
    except ConnectionError:
        return False
