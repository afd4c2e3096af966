"""Files of the shared folder: messages and checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

from tunewright.backends.engine.folder_channel import FolderChannel
from tunewright.backends.engine.job_service import JobName, JobOrder
from tunewright.runner.channel import STOP
from tunewright.runner.run_order import RunOrder
from tunewright.trial import Checkpoint, Run

TEMPLATE = RunOrder(script="train.py", config={}, checkpoint_dir="")


def test_torn_and_foreign_lines_are_no_messages(tmp_path: Path) -> None:
    channel = FolderChannel(tmp_path, TEMPLATE, python=sys.executable)
    name = JobName(3, 0, 0)
    channel.place_run(JobOrder(run=Run(trial_id=3, attempt=0), config={}))
    file = channel.run_folder(name) / "messages"
    whole = b'[1, false, {"seq": 1, "resource": 1, "metrics": {"loss": 1.0}, "cost": 0.0, "wall": 5.0}]\n'
    file.write_bytes(whole[:30])
    assert not list(channel.messages(0.0, {}))
    file.write_bytes(whole + b"no message\n" + whole[:10])
    assert [one.id for one in channel.messages(0.0, {})] == ["3-0-0-1"]
    channel.send(name, STOP)
    assert (channel.run_folder(name) / "control").read_text() == STOP


def test_only_complete_checkpoints_count(tmp_path: Path) -> None:
    channel = FolderChannel(tmp_path, TEMPLATE, python=sys.executable)
    for resource in (2, 5):
        folder = tmp_path / "1" / "checkpoints" / str(resource)
        folder.mkdir(parents=True)
        (folder / "weights").write_text("w")
    (tmp_path / "1" / "checkpoints" / "2" / "_complete").write_text("{}")
    kept = Checkpoint(trial_id=1, resource=2)
    assert channel.checkpoints.newest(1) == kept
    assert not channel.checkpoints.is_complete(Checkpoint(trial_id=1, resource=5))
    channel.checkpoints.delete(kept)
    assert channel.checkpoints.newest(1) is None
