"""When an embedded endpoint ends. Times are given, not waited for."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sagemaker_emulator.emulator import LeaseFolder

GRACE = 600.0


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Hold a lease; at the end its file stays, as it does when the holder is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


def test_a_new_endpoint_waits_for_its_first_lease(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    assert leases.is_needed(599.0, has_jobs=False)
    assert not leases.is_needed(600.0, has_jobs=False)


def test_it_ends_when_the_last_lease_is_returned_and_no_job_runs(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    with held(folder / "a.lease") as a, held(folder / "b.lease") as b:
        assert leases.is_needed(1e6, has_jobs=False)
        a.unlink()
        assert leases.is_needed(1e6, has_jobs=False)
        b.unlink()
    assert leases.is_needed(1e6, has_jobs=True)
    assert not leases.is_needed(1e6, has_jobs=False)


def test_it_outlives_a_killed_holder_by_the_grace(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    with held(folder / "a.lease"):
        assert leases.is_needed(0.0, has_jobs=True)
    assert leases.is_needed(1000.0, has_jobs=True)
    assert leases.is_needed(1599.0, has_jobs=False)
    assert not leases.is_needed(1600.0, has_jobs=True)  # its jobs are nobody's any more
    assert not (folder / "a.lease").exists()
    assert not leases.is_needed(1600.5, has_jobs=True)
    with held(folder / "b.lease") as b:
        assert leases.is_needed(1601.0, has_jobs=True)
        b.unlink()
    assert leases.is_needed(1602.0, has_jobs=True)


def test_a_lease_that_is_taken_up_again_starts_a_new_grace(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    with held(folder / "a.lease"):
        assert leases.is_needed(0.0, has_jobs=False)
    assert leases.is_needed(100.0, has_jobs=False)
    with held(folder / "a.lease"):
        assert leases.is_needed(650.0, has_jobs=False)
        assert leases.is_needed(2000.0, has_jobs=False)
    assert leases.is_needed(2001.0, has_jobs=False)
    assert leases.is_needed(2600.0, has_jobs=False)
    assert not leases.is_needed(2602.0, has_jobs=False)


def test_a_vanished_lease_is_waited_for_beside_a_live_one(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    (folder / "dead.lease").touch()
    with held(folder / "live.lease") as live:
        assert leases.is_needed(0.0, has_jobs=False)
        assert leases.is_needed(700.0, has_jobs=False)
        assert not (folder / "dead.lease").exists()  # its grace is over, and nobody came
        live.unlink()
    assert not leases.is_needed(701.0, has_jobs=False)


def test_a_successor_may_delete_the_lease_of_the_dead(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    (folder / "dead.lease").touch()
    assert leases.is_needed(0.0, has_jobs=False)
    (folder / "dead.lease").unlink()
    assert not leases.is_needed(1.0, has_jobs=False)


def test_other_files_are_no_leases(folder: Path) -> None:
    leases = LeaseFolder(folder, GRACE, now=0.0)
    (folder / "notes.txt").touch()
    assert not leases.is_needed(GRACE, has_jobs=False)
