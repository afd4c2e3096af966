"""A trial over two instances: the first one reports and stores checkpoints, both go on from them."""

from __future__ import annotations

from pathlib import Path

from tests.integration.endpoints import kill_servers
from tests.integration.test_sagemaker_backend import SPEED

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.trial import Checkpoint, Run

SCRIPT = """
import json, os, pathlib, time
from tunewright import Reporter
report = Reporter()
here, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
saved = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"]) / "epoch.json"
done, owner = json.loads(saved.read_text()) if saved.exists() else (0, "algo-1")
for epoch in range(done + 1, 4):
    saved.write_text(json.dumps([epoch, here]))
    if here != "algo-1" and epoch == 2 and not done:  # it does not know where its rung ends
        time.sleep(600)
    is_first, is_owned = int(here == "algo-1"), int(owner == "algo-1")
    report(epoch=epoch, n_hosts=len(hosts), is_first=is_first, is_owned=is_owned, began=done)
"""


def test_one_instance_reports_and_owns_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    session = open_session(resolve_endpoint("embedded", speed=SPEED), root=tmp_path / "endpoint")
    jobs = job_settings(
        script=str(folder / "train.py"), n_workers=1, instance_count=2, min_interval=0.1, stop_grace=1e6
    )
    backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment="two instances", session=session)
    try:
        backend.attach(())
        events = EventReader(backend, patience=300.0)
        backend.start(Run(trial_id=0, attempt=0, until=2), {})
        events.until_reported(0, 2)
        backend.pause(0)
        first = events.until_ended(0)
        assert (first.exit, first.error, first.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=2))
        assert events.resources(0) == [1, 2], "each epoch once"
        backend.start(Run(trial_id=0, attempt=1, resume_from=2, from_checkpoint=first.checkpoint), {})
        second = events.until_ended(0, attempt=1)
        assert (second.exit, second.error) == (0, "")
        assert (events.resources(0), events.resources(0, 1)) == ([1, 2], [3])
        metrics = [dict(report.metrics) for report in events.reports]
        assert all((one["n_hosts"], one["is_first"], one["is_owned"]) == (2, 1, 1) for one in metrics)
        assert metrics[-1]["began"] == 2
        assert "StopTrainingJob" not in session.calls, "the second instance heard the pause"
        backend.close()
        assert backend.summary().cost > 0
        assert backend.summary().cost_phases["start-up"] > 0
    finally:
        backend.close()
        kill_servers(tmp_path / "endpoint")
