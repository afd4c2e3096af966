"""What the runner's files say, and how checkpoints become whole."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tunewright.runner.channel import GO_ON, PAUSE, RELEASE
from tunewright.runner.local_run import (
    LocalChannel,
    fingerprint,
    freeze,
    is_locked,
    whole_resource,
)
from tunewright.runner.run_order import RunOrder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "trials" / "0" / "runs" / "0-0"
    (run / "checkpoint").mkdir(parents=True)
    return run


def open_channel(run: Path, *, abandon_after: float = 600.0, checkpoint_from: str = "") -> LocalChannel:
    order = RunOrder("s.py", {}, str(run / "checkpoint"), checkpoint_from=checkpoint_from)
    return LocalChannel(run, order, abandon_after)


def close(channel: LocalChannel) -> None:
    channel._reports.close()


def test_the_checkpoint_to_begin_with_is_copied(run: Path, tmp_path: Path) -> None:
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "state").write_text("1")
    channel = open_channel(run, checkpoint_from=str(tmp_path / "source"))
    channel.load_checkpoint()
    close(channel)
    assert (run / "checkpoint" / "deep" / "state").read_text() == "1"
    assert (tmp_path / "source" / "deep" / "state").exists()


def test_wishes_are_read_from_the_control_file(run: Path) -> None:
    channel = open_channel(run)
    assert channel.wanted() == GO_ON
    (run / "control").write_text(PAUSE)
    assert channel.wanted() == PAUSE
    close(channel)


def test_a_tuner_that_is_away_for_too_long_lets_the_run_go(run: Path) -> None:
    with (run.parents[2] / "tuner.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        channel = open_channel(run, abandon_after=0.0)
        assert is_locked(run.parents[2] / "tuner.lock")
    assert not is_locked(run.parents[2] / "tuner.lock")
    assert channel.wanted() == RELEASE
    close(channel)


def test_a_checkpoint_counts_while_nothing_was_written_since_the_report(run: Path) -> None:
    channel = open_channel(run)
    channel.note_checkpoint(1)
    assert whole_resource(run) is None
    (run / "checkpoint" / "state").write_text("2")
    channel.note_checkpoint(2)
    assert whole_resource(run) == 2
    (run / "checkpoint" / "state").write_text("three")
    assert whole_resource(run) is None
    close(channel)


def test_a_file_that_vanishes_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").write_text("1")
    monkeypatch.setattr(Path, "is_file", lambda path: bool(path.unlink()) or True)
    assert fingerprint(tmp_path) == []


def test_a_frozen_checkpoint_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    """What a script that was killed has written meanwhile may be half of a file; others may be copying the frozen one."""
    channel = open_channel(run)
    assert not channel.save_checkpoint(3)
    (run / "checkpoint" / "state").write_text("ne")
    (tmp_path / "trials/0/checkpoints/3").mkdir(parents=True)
    (tmp_path / "trials/0/checkpoints/3/state").write_text("old")
    assert channel.save_checkpoint(3)
    close(channel)
    assert [path.name for path in (tmp_path / "trials/0/checkpoints").iterdir()] == ["3"]
    assert (tmp_path / "trials/0/checkpoints/3/state").read_text() == "old"
    assert freeze(run / "checkpoint", tmp_path / "trials/0/checkpoints/4")
    assert not freeze(run / "checkpoint", tmp_path / "trials/0/checkpoints/5")


def test_links_lead_to_the_same_place_wherever_a_checkpoint_goes(run: Path, tmp_path: Path) -> None:
    channel = open_channel(run)
    working, frozen = run / "checkpoint", tmp_path / "trials/0/checkpoints/3"
    (working / "step-3").mkdir()
    (working / "step-3" / "weights").write_text("3")
    (working / "latest").symlink_to(working / "step-3")
    (working / "data").symlink_to(tmp_path)
    (working / "gone").symlink_to("nowhere")
    assert channel.save_checkpoint(3)
    close(channel)
    second = run.with_name("1-0")
    (second / "checkpoint").mkdir(parents=True)
    later = open_channel(second, checkpoint_from=str(frozen))
    later.load_checkpoint()
    close(later)
    frozen.rename(tmp_path / "elsewhere")
    assert (second / "checkpoint" / "latest" / "weights").read_text() == "3"
    assert (second / "checkpoint" / "data").resolve() == tmp_path
