"""Folders and names of experiments."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.storage import (
    MAX_NAME,
    ExperimentFolder,
    create_experiment,
    experiments,
    find_experiment,
    home,
    safe_name,
    write_atomically,
)


def stored(tag: str, *parts: str) -> ExperimentFolder:
    folder = create_experiment(tag, *parts)
    folder.write_metadata({"experiment": folder.name})
    return folder


@pytest.mark.parametrize(
    ("typed", "safe"),
    [
        ("tutorial", "tutorial"),
        ("tutorial_sagemaker", "tutorial-sagemaker"),
        ("  two words ", "two-words"),
        ("Médio", "Medio"),
        ("--x--y--", "x-y"),
        ("v1.2", "v1-2"),
    ],
)
def test_a_name_is_made_safe(typed: str, safe: str) -> None:
    assert safe_name(typed) == safe
    assert safe_name(safe) == safe


def test_names_in_other_scripts_stay_different() -> None:
    assert safe_name("实验") != safe_name("試験")
    assert safe_name("café") == "cafe"


@pytest.mark.parametrize("typed", ["..", ".", "../up", "a/b", "a\\b", "", "  ", "___", "\0x"])
def test_what_cannot_be_a_name_is_refused(typed: str) -> None:
    with pytest.raises(SettingsError, match="experiment tag"):
        safe_name(typed, "experiment tag")


def test_a_long_name_may_hold_bytes_that_are_no_text() -> None:
    names = {safe_name("a" * 70 + os.fsdecode(bytes([byte]))) for byte in (254, 255)}
    assert len(names) == 2
    assert all(len(name) == MAX_NAME for name in names)


def test_a_full_disk_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("file", "old")]


@given(st.text(min_size=1, max_size=200))
def test_every_safe_name_is_one_that_all_services_take(typed: str) -> None:
    try:
        name = safe_name(typed)
    except SettingsError:
        return
    assert 0 < len(name) <= MAX_NAME
    assert name.isascii()
    assert all(part.isalnum() for part in name.split("-"))


def test_home_is_where_the_variable_says(tunewright_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home() == tunewright_home
    monkeypatch.delenv("TUNEWRIGHT_HOME")
    assert home() == Path.home() / "tunewright"


def test_experiments_created_at_once_never_share_a_folder() -> None:
    made: list[ExperimentFolder] = []
    threads = [
        threading.Thread(target=lambda: made.append(stored("same", "ASHA", "b", "0"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({folder.path for folder in made}) == 16
    assert {folder.tag for folder in made} == {"same"}


def test_a_folder_that_is_taken_is_never_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("tunewright.storage.secrets.token_hex", lambda _: next(digits))
    first, second = create_experiment("t"), create_experiment("t")
    assert first.path != second.path


def test_an_unwritable_home_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="TUNEWRIGHT_HOME"):
        create_experiment("t")


def test_an_experiment_is_found_by_name_beginning_and_path() -> None:
    folder = stored("alpha", "ASHA")
    stored("beta", "ASHA")
    assert find_experiment(folder.name) == folder
    assert find_experiment("alph") == folder
    assert find_experiment(str(folder.path)) == folder
    assert find_experiment(os.path.relpath(folder.path)).path == folder.path


def test_a_beginning_of_several_lists_them() -> None:
    names = [stored("alpha", "ASHA").name for _ in range(2)]
    with pytest.raises(SettingsError, match="beginning of 2 experiments") as caught:
        find_experiment("alpha")
    assert all(name in str(caught.value) for name in names)


def test_an_unknown_experiment_names_the_nearest() -> None:
    folder = stored("alpha")
    with pytest.raises(SettingsError, match=f"Did you mean '{folder.name}'"):
        find_experiment(f"x{folder.name}")
    with pytest.raises(SettingsError, match=r"no metadata.json"):
        find_experiment("/nowhere/at/all")


def test_experiments_come_in_the_order_of_their_making() -> None:
    root = home() / "experiments" / "t"
    names = ["t-b-20260101-000000-aaaa", "t-a-20260102-000000-aaaa", "t-c-20250101-000000-aaaa"]
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "metadata.json").write_text("{}")
    assert [folder.name for folder in experiments("t")] == [names[2], names[0], names[1]]
    assert [folder.name for folder in experiments()] == [names[2], names[0], names[1]]
    assert list(experiments("other")) == []


def test_metadata_come_back_as_written() -> None:
    folder = create_experiment("t")
    folder.write_metadata({"a": [1, None]})
    assert folder.metadata() == {"a": [1, None]}
    assert [path.name for path in folder.path.iterdir()] == ["metadata.json"]


@pytest.mark.parametrize(
    ("metadata", "is_private"),
    [
        ({"benchmark": {"environment": {"TOKEN": "secret"}}}, True),
        ({"backend": {"request_template": [{"Environment": {"TOKEN": "secret"}}]}}, True),
        ({"benchmark": {"environment": {}}}, False),
    ],
)
def test_metadata_with_environment_variables_are_private(metadata: dict[str, Any], is_private: bool) -> None:
    folder = create_experiment("t")
    folder.write_metadata({})
    folder.write_metadata(metadata)
    assert (folder.metadata_path.stat().st_mode & 0o077 == 0) == is_private


@pytest.mark.parametrize("text", ["{", "[]"])
def test_broken_metadata_name_the_file(text: str) -> None:
    folder = create_experiment("t")
    folder.metadata_path.write_text(text)
    with pytest.raises(SettingsError, match=r"metadata.json"):
        folder.metadata()


def test_an_experiment_is_found_by_its_tag_as_it_was_typed() -> None:
    folder = create_experiment("my_own tag", "RS", "toy", "0")
    folder.write_metadata({})
    assert folder.name.startswith("my-own-tag")
    assert find_experiment("my_own tag") == folder
    assert find_experiment("my_own") == folder
    with pytest.raises(UnknownNameError):
        find_experiment("_")
