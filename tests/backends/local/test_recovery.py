"""Runs outlive their tuner, are attached, continued and ended; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tunewright.exceptions import BackendError
from tunewright.trial import Checkpoint, Decision, Ended, OpenRun, PhaseName, Run, Verdict

TUNER = """
import sys, time
from pathlib import Path
from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.trial import Reported, Run
config = LocalConfig(gpus=())
backend = LocalBackend(sys.argv[1], folder=Path(sys.argv[2]), config=config, resource_attr="epoch")
backend.attach(())
backend.start(Run(trial_id=0, attempt=0), {"epochs": 30, "seconds": 0.02})
while not any(isinstance(event, Reported) for event in backend.wait(10)): pass
print("reported", flush=True)
time.sleep(600)
"""


def open_run(run: Run, *, epochs: int = 5, verdict: Decision | None = None) -> OpenRun:
    return OpenRun(
        run=run,
        config={"epochs": epochs, "seconds": 0.02},
        started_at=0.0,
        verdict=Verdict(decision=verdict) if verdict else None,
    )


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def runner_pid(trials: Path, trial_id: int = 0, attempt: int = 0) -> int:
    return int((trials / str(trial_id) / "runs" / f"{attempt}.lock").read_text().split()[1])


def test_kill_9_of_the_tuner_loses_nothing(bench) -> None:
    tuner = subprocess.Popen(
        [sys.executable, "-c", TUNER, bench.script, bench.trials], stdout=subprocess.PIPE, text=True
    )
    with tuner:
        assert tuner.stdout.readline() == "reported\n"
        tuner.kill()
    backend = bench.backend()
    backend.attach([open_run(Run(trial_id=0, attempt=0), epochs=30)])
    events = bench.events(backend)
    ended = events.until_ended(0)
    assert (ended.exit, ended.error) == (0, "")
    assert events.resources(0) == list(range(1, 31))
    assert {report.metrics["pid"] for report in events.reports} == {events.reports[0].metrics["pid"]}
    assert backend.summary().jobs == 0


def test_a_run_that_ended_meanwhile_is_delivered_whole(bench) -> None:
    first = bench.backend()
    first.attach(())
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 3})
    wait_until((bench.trials / "0/runs/0-0/end.json").exists, "no end")
    bench.abandon(first)
    second = bench.backend()
    second.attach([open_run(run)])
    events = bench.events(second)
    assert events.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=3)
    assert events.resources(0) == [1, 2, 3]


def test_a_lost_runner_takes_its_script_along_and_is_replaced(bench) -> None:
    backend = bench.backend()
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {"epochs": 20, "seconds": 0.05})
    events.until_reported(0, 3)
    script = events.reports[0].metrics["pid"]
    os.kill(runner_pid(bench.trials), signal.SIGKILL)
    ended = events.until_ended(0)
    wait_until(lambda: not is_running(script), "the script outlived its runner")
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=20))
    retried = [report for report in events.reports if report.retry == 1]
    assert retried
    assert set(events.resources(0)) == set(range(1, 21))
    assert retried[0].metrics["first"] >= 3 or retried[0].metrics["first"] == 1
    assert backend.summary().jobs == 2
    assert "Trial 0 lost its runner" in backend.summary().notices[0]
    assert not (bench.trials / "0/runs/0-0/checkpoint").exists()


def test_a_run_that_was_ordered_on_another_machine_goes_on_here(bench) -> None:
    first = bench.backend()
    events = bench.events(first)
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 8, "seconds": 0.2})
    events.until_reported(0, 2)
    wait_until((bench.trials / "0/runs/0-0/whole.json").exists, "no note")
    bench.abandon(first)
    os.kill(runner_pid(bench.trials), signal.SIGKILL)
    path = bench.trials / "0/runs/0-0/order.json"
    order = json.loads(path.read_text()) | {"script": "/opt/ml/gone/train.py", "cwd": "/opt/ml/gone"}
    path.write_text(json.dumps(order))
    second = bench.backend()
    second.attach([open_run(run, epochs=8)])
    events = bench.events(second)
    ended = events.until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=8))
    assert next(report for report in events.reports if report.retry == 1).metrics["first"] >= 2


def test_a_run_goes_on_from_its_checkpoint_in_a_renamed_folder(bench) -> None:
    before = bench.backend()
    before.start(Run(trial_id=0, attempt=0, until=2), {"epochs": 8})
    bench.events(before).until_ended(0)
    before.close()
    bench.made.remove(before)
    first = bench.backend()
    run = Run(trial_id=0, attempt=1, resume_from=2, from_checkpoint=Checkpoint(trial_id=0, resource=2))
    first.start(run, {"epochs": 4, "seconds": 60})
    wait_until((bench.trials / "0/runs/1-0/started").exists, "no start")
    bench.abandon(first)
    os.kill(runner_pid(bench.trials, attempt=1), signal.SIGKILL)
    (bench.folder / "renamed").mkdir()
    bench.trials.rename(bench.folder / "renamed" / "trials")
    bench.folder /= "renamed"
    second = bench.backend()
    second.attach([open_run(run, epochs=4)])
    events = bench.events(second)
    assert events.until_ended(0, attempt=1).checkpoint == Checkpoint(trial_id=0, resource=4)
    assert [report.metrics["first"] for report in events.reports] == [3, 3]
    assert "goes on after 2" in second.summary().notices[0]


def test_a_runner_that_is_always_lost_is_given_up(bench) -> None:
    backend = bench.backend(max_retries=1, python="/bin/false")
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {})
    ended = events.until_ended(0)
    assert ended.exit == 1
    assert "lost 2 times" in ended.error
    assert backend.free_workers() == 4


@pytest.mark.parametrize("decision", [Decision.PAUSE, Decision.STOP])
def test_a_lost_run_that_was_to_end_has_ended(bench, decision: Decision) -> None:
    first = bench.backend()
    events = bench.events(first)
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.2})
    events.until_reported(0, 1)
    wait_until((bench.trials / "0/runs/0-0/whole.json").exists, "no note")
    bench.abandon(first)
    os.kill(runner_pid(bench.trials), signal.SIGKILL)
    second = bench.backend()
    second.attach([open_run(run, verdict=decision)])
    ended = bench.events(second).until_ended(0)
    assert (ended.exit, ended.checkpoint) == (0, Checkpoint(trial_id=0, resource=1))
    assert (bench.trials / "0/checkpoints/1").is_dir()


def test_a_run_that_never_began_and_was_to_end_has_ended(bench) -> None:
    backend = bench.backend()
    source = Checkpoint(trial_id=0, resource=3)
    run = Run(trial_id=0, attempt=1, resume_from=3, from_checkpoint=source)
    backend.attach([open_run(run, verdict=Decision.STOP)])
    assert backend.wait(1.0) == [Ended(trial_id=0, attempt=1, exit=0, checkpoint=source)]
    assert backend.free_workers() == 4


def test_a_torn_checkpoint_is_not_continued(bench) -> None:
    first = bench.backend()
    events = bench.events(first)
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.2})
    events.until_reported(0, 1)
    wait_until((bench.trials / "0/runs/0-0/whole.json").exists, "no note")
    bench.abandon(first)
    os.kill(runner_pid(bench.trials), signal.SIGKILL)
    wait_until(lambda: not is_running(events.reports[0].metrics["pid"]), "the script outlived its runner")
    (bench.trials / "0/runs/0-0/checkpoint/half").write_text("being written")
    second = bench.backend()
    second.attach([open_run(run)])
    after = bench.events(second)
    wait_until(lambda: after.drain() or any(r.retry == 1 for r in after.reports), "no retry")
    assert next(r.metrics["first"] for r in after.reports if r.retry == 1) == 1


def test_runners_end_their_scripts_when_no_tuner_comes_back(bench) -> None:
    first = bench.backend(abandon_after=0.3)
    events = bench.events(first)
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.05})
    events.until_reported(0, 2)
    bench.abandon(first)
    end_file = bench.trials / "0/runs/0-0/end.json"
    wait_until(end_file.exists, "the runner did not end")
    end = json.loads(end_file.read_text())
    assert end["cause"] == "release"
    wait_until(lambda: not is_running(events.reports[0].metrics["pid"]), "the script is still there")
    second = bench.backend()
    second.attach([open_run(run, epochs=end["checkpoint"] + 2)])
    after = bench.events(second)
    order = json.loads((bench.trials / "0/runs/0-0/order.json").read_text())
    assert order["retry"] == 0
    wait_until(lambda: after.drain() or any(r.retry == 1 for r in after.reports), "no retry")
    assert next(r.metrics["first"] for r in after.reports if r.retry == 1) >= end["checkpoint"] + 1


def test_a_slow_stop_of_an_older_attempt_ends_no_newer_one(bench) -> None:
    backend = bench.backend(grace=0.4)
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {"epochs": 4000, "stubborn": True, "seconds": 0.05})
    events.until_reported(0, 2)
    backend.pause(0)
    backend.stop(0)  # the first wish counts
    assert backend.free_workers() == 3
    ended = events.until_ended(0)
    checkpoint = ended.checkpoint
    assert checkpoint is not None
    assert not is_running(events.reports[0].metrics["pid"])
    until = checkpoint.resource + 3
    backend.start(
        Run(trial_id=0, attempt=1, until=until, resume_from=checkpoint.resource, from_checkpoint=checkpoint),
        {"epochs": 4000},
    )
    events.until_ended(0, attempt=1)
    assert events.resources(0, 1)[-1] == until
    assert set(events.ends) == {(0, 0), (0, 1)}


def test_two_tuners_may_start_the_same_retry(bench) -> None:
    """The first tuner dies right after the start: its runner has no lock yet when the second one looks."""
    first = bench.backend()
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 30, "seconds": 0.02})
    bench.abandon(first)
    second = bench.backend()
    second.attach([open_run(run, epochs=30)])
    events = bench.events(second)
    assert events.until_ended(0).exit == 0
    assert set(events.resources(0)) == set(range(1, 31))
    ran = [path for path in (bench.trials / "0/runs").glob("0-*") if (path / "stdout").exists()]
    assert len(ran) == 1


@pytest.mark.parametrize("verdict", [None, Decision.STOP])
def test_the_retry_that_runs_is_followed(bench, verdict: Decision | None) -> None:
    """A tuner ordered a retry and died; the runner of the retry before had not been lost, and is found."""
    first = bench.backend()
    events = bench.events(first)
    first.start(run := Run(trial_id=0, attempt=0), {"epochs": 40, "seconds": 0.02})
    events.until_reported(0, 1)
    bench.abandon(first)
    runs = bench.trials / "0/runs"
    (runs / "0-1").mkdir()
    (runs / "0-1/order.json").write_text((runs / "0-0/order.json").read_text())
    second = bench.backend()
    second.attach([open_run(run, epochs=40, verdict=verdict)])
    after = bench.events(second)
    assert after.until_ended(0).exit == 0
    assert {report.retry for report in after.reports} == {0}
    assert (after.resources(0)[-1] == 40) is (verdict is None)
    assert second.summary().jobs == 0


def test_close_leaves_no_process_and_keeps_the_checkpoint(bench) -> None:
    backend = bench.backend(grace=0.3)
    events = bench.events(backend)
    for trial_id, stubborn in ((0, False), (1, True)):
        config = {"epochs": 4000, "stubborn": stubborn, "seconds": 0.05}
        backend.start(Run(trial_id=trial_id, attempt=0), config)
        events.until_reported(trial_id, 2)
    backend.close()
    assert not any(is_running(report.metrics["pid"]) for report in events.reports)
    for trial_id in range(2):
        assert len(list((bench.trials / str(trial_id) / "checkpoints").iterdir())) == 1
        assert not is_running(runner_pid(bench.trials, trial_id))


def test_close_kills_runners_that_do_not_answer(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.backends.local.backend._CLOSE_PATIENCE", 0.2)
    backend = bench.backend(grace=0.0)
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {"epochs": 4000, "seconds": 0.05})
    events.until_reported(0, 1)
    os.kill(runner_pid(bench.trials), signal.SIGSTOP)
    backend.close()
    wait_until(lambda: not is_running(events.reports[0].metrics["pid"]), "the script is still there")


def test_close_ends_the_installation_of_packages(
    bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tunewright.backends.local.backend._CLOSE_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(60.0)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "300")
        (bench.folder / "requirements.txt").write_text("a-package-that-nobody-has\n")
        backend = bench.backend(grace=0.0, cache_dir=tmp_path / "cache")
        backend.start(Run(trial_id=0, attempt=0), {"epochs": 1})
        waiting, _ = index.accept()
        with waiting:
            waiting.settimeout(60.0)
            events = bench.events(backend)
            events.drain()
            assert [phase.name for phase in events.phases] == [PhaseName.STARTING]
            backend.close()
            while waiting.recv(4096):  # until pip is gone
                pass


def test_a_second_tuner_is_kept_away(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.backends.local.backend._LOCK_PATIENCE", 0.05)
    bench.backend()
    with pytest.raises(BackendError, match="Another tuner works in"):
        bench.backend()
