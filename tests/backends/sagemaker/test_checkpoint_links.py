"""Checkpoint folders with links: what a script reads through them here, it reads in the next job as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import S3Objects
from tunewright.backends.s3.checkpoints import download
from tunewright.runner.checkpoints import S3Checkpoints, SyncedCheckpoints, load_from, snapshot
from tunewright.runner.s3_keys import checkpoint_prefix


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """``latest`` is the newest of the steps, ``home`` leads back, ``gone`` nowhere."""
    folder = tmp_path / "checkpoints"
    (folder / "step-3").mkdir(parents=True)
    (folder / "step-3" / "weights").write_text("3")
    (folder / "latest").symlink_to(folder / "step-3")
    (folder / "last").symlink_to("step-3/weights")
    (folder / "home").symlink_to(".")
    (folder / "gone").symlink_to("nowhere")
    return folder


def check(folder: Path) -> None:
    assert (folder / "latest" / "weights").read_text() == "3"
    assert (folder / "last").read_text() == "3"
    assert (folder / "step-3" / "weights").read_text() == "3"
    assert (folder / "latest").is_symlink(), "so that the script can put another in its place"
    assert (folder / "home").resolve() == folder


def test_through_s3(aws: Any, linked: Path, tmp_path: Path) -> None:
    aws.s3.translated = False
    checkpoints = S3Checkpoints(aws.s3, "bucket", "exp/")
    assert checkpoints.save(0, 3, linked)
    checkpoints.load(0, 3, tmp_path / "loaded")
    check(tmp_path / "loaded")


def test_to_the_users_machine(aws: Any, linked: Path, tmp_path: Path) -> None:
    aws.s3.translated = False
    S3Checkpoints(aws.s3, "bucket", "exp/").save(0, 3, linked)
    aws.s3.translated = True
    objects = S3Objects(aws.s3, "bucket", "exp")
    assert download(objects, checkpoint_prefix(0, 3), tmp_path / "loaded")
    check(tmp_path / "loaded")
    assert not download(objects, checkpoint_prefix(0, 9), tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_through_a_copied_folder(linked: Path, tmp_path: Path) -> None:
    assert SyncedCheckpoints(tmp_path / "kept").keep(linked, 3)
    assert not linked.exists()
    load_from(tmp_path / "kept" / "3", tmp_path / "loaded")
    check(tmp_path / "loaded")


def test_on_the_way(linked: Path) -> None:
    copy = snapshot(linked)
    assert copy is not None
    check(copy)
