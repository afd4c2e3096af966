"""The embedded endpoint: started once, shared, started again after its death."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tunewright.aws import open_session, resolve_endpoint
from tunewright.aws.embedded import (
    FILE_SYSTEMS_VARIABLE,
    PRESET_VARIABLE,
    EmbeddedEndpoint,
    Lease,
    announced_speed,
    restart_if_dead,
    settings_hash,
    start_or_join,
)
from tunewright.aws.endpoint import EndpointKind
from tunewright.exceptions import BackendError, MissingExtraError

ENDPOINT = resolve_endpoint("embedded", speed=500)


@pytest.fixture
def started() -> Iterator[list[EmbeddedEndpoint]]:
    """Endpoints that a test started; their servers are ended."""
    endpoints: list[EmbeddedEndpoint] = []
    yield endpoints
    for endpoint in endpoints:
        endpoint.lease.release()
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(endpoint.pid)
            if "sagemaker_emulator" in server.cmdline():  # the id may be another process's by now
                server.kill()


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait(300)


def test_each_kind_of_account_has_a_server_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = [settings_hash(ENDPOINT)]
    monkeypatch.setenv(PRESET_VARIABLE, "strict")
    found.append(settings_hash(ENDPOINT))
    policy = tmp_path / "policy.json"
    monkeypatch.setenv("SAGEMAKER_EMULATOR_CONTROL_POLICY", str(policy))
    for content in ("a", "b"):
        policy.write_text(content)
        found.append(settings_hash(ENDPOINT))
    policy.unlink()
    found.append(settings_hash(ENDPOINT))
    monkeypatch.setenv(FILE_SYSTEMS_VARIABLE, "fs-01234567=/data")
    found.append(settings_hash(ENDPOINT))
    assert len(set(found)) == 6


def test_one_server_for_all_tuners(tmp_path: Path, started: list[EmbeddedEndpoint]) -> None:
    first = start_or_join(ENDPOINT, root=tmp_path)
    started.append(first)
    second = start_or_join(ENDPOINT, root=tmp_path)
    started.append(second)
    assert (second.pid, second.endpoint) == (first.pid, first.endpoint)
    assert first.endpoint.credentials is not None
    state = first.directory / "endpoint.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    command = " ".join(psutil.Process(first.pid).cmdline())
    assert first.endpoint.credentials.access_key not in command
    assert len(list((first.directory / "leases").iterdir())) == 2
    first.lease.release()
    first.lease.release()
    assert len(list((first.directory / "leases").iterdir())) == 1

    kill(first.pid)
    restart_if_dead(second)
    again = start_or_join(ENDPOINT, root=tmp_path)
    started.append(again)
    assert again.pid != first.pid
    assert again.endpoint == first.endpoint
    restart_if_dead(again)
    assert psutil.pid_exists(again.pid)


def test_a_session_survives_the_death_of_its_server(tmp_path: Path, started: list[EmbeddedEndpoint]) -> None:
    joined = start_or_join(ENDPOINT, root=tmp_path)
    started.append(joined)
    session = open_session(ENDPOINT, root=tmp_path)
    kill(joined.pid)
    session.revive()
    started.append(start_or_join(ENDPOINT, root=tmp_path))
    assert session.call("ListTrainingJobs")["TrainingJobSummaries"] == []
    session.close()
    by_address = open_session(replace(joined.endpoint, kind=EndpointKind.OTHER, speed=1.0))
    by_address.close()
    assert by_address.endpoint.speed == ENDPOINT.speed


def test_only_servers_of_ours_announce_a_speed() -> None:
    assert announced_speed("http://127.0.0.1:9") is None


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    endpoint = resolve_endpoint("embedded", quotas={"ml.c5.xlarge": -1})
    with pytest.raises(BackendError, match=r"endpoint\.log(.|\n)*must be 0 or more"):
        start_or_join(endpoint, root=tmp_path)
    assert list((tmp_path / settings_hash(endpoint) / "leases").iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"\[emulator\]'"):
        start_or_join(ENDPOINT, root=tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="TUNEWRIGHT_HOME"):
        start_or_join(ENDPOINT, root=tmp_path / "file")


def test_settings_have_their_own_server() -> None:
    others = [
        resolve_endpoint("embedded", speed=501),
        resolve_endpoint("embedded", speed=500, quotas={"ml.c5.xlarge": 2}),
        resolve_endpoint("embedded", speed=500, warm_pool_quotas={"ml.c5.xlarge": 2}),
    ]
    assert len({settings_hash(endpoint) for endpoint in [ENDPOINT, *others]}) == 4


def test_a_lease_is_locked(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    (file,) = tmp_path.iterdir()
    with file.open("r+b") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lease.release()
    assert not file.exists()


def test_a_state_file_of_another_process_is_not_believed(
    tmp_path: Path, started: list[EmbeddedEndpoint]
) -> None:
    directory = tmp_path / settings_hash(ENDPOINT)
    directory.mkdir()
    state = {"url": "http://127.0.0.1:9", "pid": os.getpid(), "access_key": "a", "secret_key": "s"}
    (directory / "endpoint.json").write_text(json.dumps(state))
    joined = start_or_join(ENDPOINT, root=tmp_path)
    started.append(joined)
    assert joined.pid != os.getpid()
    assert joined.endpoint.url != "http://127.0.0.1:9"


def test_a_killed_holder_loses_the_lock_and_leaves_the_file(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from tunewright.aws.embedded import Lease\n"
        "lease = Lease(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            (file,) = tmp_path.iterdir()
            with file.open("r+b") as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            holder.kill()
    with file.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
