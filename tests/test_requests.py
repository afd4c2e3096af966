"""Requests as files: what is written is read, and nothing in a folder can harm its reader."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewright.exceptions import SettingsError
from tunewright.requests import (
    MAX_NOTE,
    MAX_REASON,
    ChangeLimits,
    PauseTrial,
    Request,
    RequestInbox,
    ResumeTrial,
    SetWorkers,
    StopExperiment,
    StopTrial,
    TryConfig,
    WriteNote,
    action_of,
    arguments_of,
    read_requests,
    request_from,
    withdraw_request,
    write_request,
)
from tunewright.space import Float, SearchSpace
from tunewright.storage import ExperimentFolder

SPACE = SearchSpace({"lr": Float(1e-4, 1.0, log=True), "epochs": 9})
ALL: tuple[Request, ...] = (
    StopTrial(trial_id=3, reason="diverged"),
    PauseTrial(trial_id=0),
    ResumeTrial(trial_id=0),
    StopExperiment(),
    ChangeLimits(max_num_trials=50, max_cost=1.5),
    SetWorkers(n_workers=2),
    TryConfig(config={"lr": 0.1}),
    WriteNote(text="Größe <b>\ud800", trial_id=2),
    WriteNote(text="of the experiment"),
)


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    made = ExperimentFolder(tmp_path / "one")
    made.path.mkdir()
    write_metadata(made)
    return made


def write_metadata(folder: ExperimentFolder, clock: str = "wall") -> None:
    folder.write_metadata(
        {
            "schema": 2,
            "label": "RandomSearch",
            "seed": 0,
            "benchmark": {
                "name": "job",
                "metrics": [{"name": "loss", "goal": "min"}],
                "space": SPACE.to_json(),  # type: ignore[dict-item]
            },
            "backend": {"name": "local", "config": {}},
            "clock": clock,
        }
    )


@pytest.mark.parametrize("request_", ALL, ids=action_of)
def test_a_request_is_read_as_it_was_written(folder: ExperimentFolder, request_: Request) -> None:
    number = write_request(folder, request_)
    assert read_requests(folder) == [(number, request_)]
    inbox = RequestInbox(folder)
    (filed,) = inbox.read()
    assert filed == (number, request_)
    inbox.remove(filed)
    assert inbox.read() == read_requests(folder) == []


def test_the_oldest_comes_first_and_a_later_one_is_seen(folder: ExperimentFolder) -> None:
    inbox = RequestInbox(folder)
    assert inbox.read() == []
    numbers = [write_request(folder, one) for one in ALL]
    assert numbers == sorted(numbers)
    assert [filed.request for filed in inbox.read()] == list(ALL)
    for filed in inbox.read():
        inbox.remove(filed)
    assert inbox.read() == []
    number = write_request(folder, ALL[0])
    assert [filed.id for filed in inbox.read()] == [number]


def test_an_old_folder_without_requests_is_listed_once(
    folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw_request(folder, write_request(folder, ALL[0]))
    os.utime(folder.requests_path, (1.0, 1.0))
    listed: list[Path] = []
    scandir = os.scandir

    def counted(path: Path) -> Iterator[os.DirEntry[str]]:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    inbox = RequestInbox(folder)
    assert [inbox.read() for _ in range(3)] == [[], [], []]
    assert len(listed) == 1
    write_request(folder, ALL[0])
    assert len(inbox.read()) == 1


def test_files_are_private(folder: ExperimentFolder) -> None:
    number = write_request(folder, ALL[0])
    assert stat.S_IMODE(folder.requests_path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.requests_path / f"{number}.json").stat().st_mode) == 0o600


def test_a_waiting_request_is_withdrawn(folder: ExperimentFolder) -> None:
    number = write_request(folder, ALL[0])
    assert withdraw_request(folder, number)
    assert not withdraw_request(folder, number)
    assert not withdraw_request(folder, "../metadata")
    assert folder.metadata_path.exists()
    assert read_requests(folder) == []


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ({"action": "reboot"}, "reboot"),
        ({"trial_id": 3}, "action"),
        ({"action": "stop_trial", "trial_id": -1}, "trial_id"),
        ({"action": "stop_trial", "trial_id": True}, "trial_id"),
        ({"action": "stop_trial", "trial_id": 1, "force": 1}, "force"),
        ({"action": "stop_trial", "trial_id": 1, "reason": "x" * (MAX_REASON + 1)}, "reason"),
        ({"action": "change_limits"}, "No limit"),
        ({"action": "change_limits", "max_cost": 0}, "max_cost"),
        ({"action": "change_limits", "max_cost": float("inf")}, "finite"),
        ({"action": "change_limits", "max_num_trials": 1.5}, "max_num_trials"),
        ({"action": "set_workers", "n_workers": 0}, "n_workers"),
        ({"action": "try_config", "config": {}}, "empty"),
        ({"action": "try_config", "config": {"lr": [1]}}, "config"),
        ({"action": "note", "text": " "}, "note"),
        ({"action": "note", "text": "é" * (MAX_NOTE // 2 + 1)}, "note"),
        ([], "object"),
    ],
)
def test_bad_requests_are_refused(folder: ExperimentFolder, data: Any, cause: str) -> None:
    with pytest.raises(SettingsError, match=cause):
        request_from(data)


@pytest.mark.parametrize("config", [{"lr": 2.0}, {"speed": 1}, {"epochs": 8}, {"lr": "fast"}])
def test_a_configuration_must_fit_the_space(folder: ExperimentFolder, config: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="does not fit"):
        write_request(folder, TryConfig(config=config))
    assert not folder.requests_path.exists()


def test_a_full_disk_is_named(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/there/.partial")

    monkeypatch.setattr("tunewright.requests.write_atomically", full)
    with pytest.raises(
        SettingsError, match=r"to \S+requests: No space left on device: free or unlock the disk"
    ):
        write_request(folder, StopTrial(trial_id=0))


def test_a_record_with_a_bad_value_is_not_written(folder: ExperimentFolder) -> None:
    with pytest.raises(SettingsError):
        write_request(folder, SetWorkers(n_workers=0))
    assert not folder.requests_path.exists()


def test_simulated_time_takes_no_requests(folder: ExperimentFolder) -> None:
    write_metadata(folder, "simulated")
    with pytest.raises(SettingsError, match="simulated"):
        write_request(folder, ALL[0])


def test_a_folder_that_is_a_link_is_not_used(folder: ExperimentFolder, tmp_path: Path) -> None:
    elsewhere = ExperimentFolder(tmp_path / "two")
    elsewhere.path.mkdir()
    write_metadata(elsewhere)
    write_request(elsewhere, ALL[0])
    folder.requests_path.symlink_to(elsewhere.requests_path)
    assert RequestInbox(folder).read() == read_requests(folder) == []
    with pytest.raises(SettingsError, match="symbolic link"):
        write_request(folder, ALL[0])


def test_damaged_and_foreign_files_are_put_aside(
    folder: ExperimentFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write_request(folder, ALL[0])
    inbox = folder.requests_path
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"action": "stop_experiment"}))
    names = [f"{number:020d}-0000000{number}.json" for number in range(7)]
    (inbox / names[0]).write_text("{")
    (inbox / names[1]).write_bytes(b"\xff\xfe")
    (inbox / names[2]).write_text("[" * 60_000)
    (inbox / names[3]).write_text(json.dumps({"action": "note", "text": "x" * 70_000}))
    (inbox / names[4]).symlink_to(secret)
    (inbox / names[5]).mkdir()
    os.mkfifo(inbox / names[6])
    (inbox / "README").write_text("foreign")
    (inbox / ".1234.unfinished").write_text("{}")
    caplog.set_level(logging.WARNING)
    reader = RequestInbox(folder)
    assert [filed.id for filed in reader.read()] == [good]
    assert len(caplog.records) == 1
    assert [filed.id for filed in reader.read()] == [good]
    left = {path.name for path in inbox.iterdir()}
    assert left == {
        f"{good}.json",
        "README",
        ".1234.unfinished",
        *(f"{name}.rejected" for name in names),
    }
    assert secret.exists()


def test_arguments_are_those_beside_trial_and_remark() -> None:
    assert [arguments_of(one) for one in ALL] == [
        {},
        {},
        {},
        {},
        {"max_num_trials": 50, "max_cost": 1.5},
        {"n_workers": 2},
        {"config": {"lr": 0.1}},
        {"text": "Größe <b>\ud800"},
        {"text": "of the experiment"},
    ]
