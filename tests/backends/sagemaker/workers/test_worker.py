"""Worker processes on a real S3: what they do with runs, and what does not end them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

import psutil
import pytest

from tunewright.backends.s3.tasks import run_logs
from tunewright.runner import s3_keys
from tunewright.runner.channel import EXITED, RELEASE, End, Report
from tunewright.runner.s3_worker import RunSink

SCRIPT = """
    import os, signal, sys, time
    import tunewright
    what = sys.argv[sys.argv.index("--what") + 1]
    report = tunewright.Reporter()
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(os.path.join(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state"), "w") as state:
        state.write(what)
    report(epoch=1, gpu=int(os.environ.get("CUDA_VISIBLE_DEVICES", "-1").split(",")[0]))
    if what == "crash":
        sys.exit(3)
    if what == "memory":
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("hang", "endless"):
        time.sleep(1000)
    print("said by", what)
"""


def test_what_happens_to_runs_does_not_end_their_worker(
    instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash and a kill for memory each end one run; then the worker is drained."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    for trial_id, what in enumerate(["crash", "memory", "good"]):
        instance.post(trial_id, what=what)
    instance.begin(SCRIPT, slots=2)
    crash, memory, good = (instance.end_of(trial_id) for trial_id in range(3))
    assert (crash.cause, crash.exit) == (EXITED, 3)
    assert "SIGKILL (out of memory?)" in memory.error
    assert (good.exit, good.error, good.checkpoint) == (0, "", 1)
    reports = [message for n in range(3) for message in instance.messages(n) if isinstance(message, Report)]
    assert {report.metrics["gpu"] for report in reports} <= {4, 5}
    assert "said by good" in run_logs(instance.objects, 2)
    assert instance.drain() == 0
    assert instance.board.list_tasks().leases == {}
    assert instance.board.list_tasks().waiting == set()
    assert not list((instance.base / "runs").iterdir())


def test_a_run_that_hangs_does_not_end_its_worker(instance: Any) -> None:
    """It is killed at its limit, which is short here: shorter than a slow machine may need to begin the script."""
    instance.post(0, what="hang")
    instance.begin(SCRIPT, max_run_seconds=1.5)
    end = instance.end_of(0)
    assert (end.cause, end.exit) == (EXITED, 1)
    assert "longer than 1.5 s" in end.error
    assert instance.drain() == 0


def test_a_run_that_was_taken_away_is_ended_and_says_nothing(instance: Any) -> None:
    """The worker finds out when it renews, and goes on with the next run."""
    run = instance.post(0, what="endless")
    instance.begin(SCRIPT)
    instance.until(lambda: instance.messages(0))
    instance.until(lambda: instance.board.revoke(run, instance.board.list_tasks().leases[run]))
    instance.post(1, what="good")
    assert instance.end_of(1).exit == 0
    assert not [message for message in instance.messages(0) if isinstance(message, End)]


@pytest.mark.parametrize("cause", ["deadline", "SIGTERM"])
def test_runs_are_handed_over_before_the_instance_goes(instance: Any, cause: str) -> None:
    """Their ends say that they are to go on elsewhere, and from which checkpoint; nothing new is taken."""
    for seconds in (1e5,) if cause == "SIGTERM" else (4.0, 30.0, 250.0):
        instance.post(0, what="endless")
        instance.begin(SCRIPT, take_seconds=seconds, hand_over_seconds=seconds)
        if has_reported(instance):
            break  # otherwise the machine is too slow for this deadline: once more, with a later one
        instance.clear()
    if cause == "SIGTERM":
        os.kill(instance.process.pid, signal.SIGTERM)
    end = instance.end_of(0)
    assert (end.cause, end.checkpoint) == (RELEASE, 1)
    run = instance.post(1, what="good")
    assert instance.exit_code() == 0
    assert instance.board.list_tasks().waiting == {run}


def has_reported(instance: Any) -> bool:
    """Wait for the first report of trial 0, or the end of the worker."""

    def reports() -> list[Report]:
        return [message for message in instance.messages(0) if isinstance(message, Report)]

    instance.until(lambda: reports() or instance.process.poll() is not None)
    return bool(reports())


def test_a_worker_without_tuner_ends(instance: Any) -> None:
    """Signs of life keep it; without them and without a run it does not stay for long."""
    instance.objects.put(s3_keys.SESSION, b"1")
    instance.begin(SCRIPT, abandon_seconds=0.5)
    assert instance.exit_code() == 0
    assert "no tuner" in (instance.base / "output.log").read_text()


def test_a_run_whose_process_is_killed_goes_back(instance: Any) -> None:
    """The worker ends what is left of it and gives the lease back without a word: the run is to go on elsewhere."""
    instance.post(0, what="endless")
    instance.begin(SCRIPT, lease_seconds=60.0)
    instance.until(lambda: instance.messages(0))
    worker = psutil.Process(instance.process.pid)
    (run,) = worker.children()
    scripts = run.children()
    run.kill()
    instance.until(lambda: not instance.board.list_tasks().leases)
    assert not [message for message in instance.messages(0) if isinstance(message, End)]
    instance.until(lambda: not any(script.is_running() for script in scripts))
    instance.post(1, what="good")
    assert instance.end_of(1).exit == 0


def test_what_is_no_run_is_passed_over(instance: Any) -> None:
    """The console of S3 makes an object for each folder; a key may also be anybody's."""
    for name in ("", "notes.txt", "../../job", "1-0-0/../../x"):
        instance.objects.put(f"tasks/{name}", b"")
    instance.post(0, what="good")
    instance.begin(SCRIPT)
    assert instance.end_of(0).exit == 0
    assert instance.drain() == 0
    assert instance.board.list_tasks().leases == {}


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    """A progress bar writes one line for hours."""
    log, stream = io.BytesIO(), io.BytesIO()
    sink = RunSink("1-0-0", log, stream)
    for _ in range(100):
        sink.write(b"step\r" * 20_000)
    sink.write(b"last")
    sink.flush()
    assert len(log.getvalue()) == 100 * 100_000 + 4
    assert len(stream.getvalue()) >= 99 * 100_000
    sink.close()
    assert stream.getvalue().endswith(b"last\n")


OUTAGE = """
    import sys
    from types import SimpleNamespace

    from botocore.exceptions import ClientError, EndpointConnectionError

    from tunewright.runner import s3_worker, worker

    busy = ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject")
    denied = ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")
    troubles = {"away": [EndpointConnectionError(endpoint_url="x"), busy], "denied": [denied]}[sys.argv[2]]

    class Outage:
        exceptions = SimpleNamespace(NoSuchKey=KeyError, ClientError=ClientError)

        def __init__(self, cache):
            pass

        def list_objects_v2(self, **_):
            return {}

        def get_object(self, Key, **_):
            if troubles:
                raise troubles.pop()
            return {"Body": SimpleNamespace(read=lambda: b"drain"), "ETag": "x"}

    s3_worker.S3Client = Outage
    worker._SLOWEST = 0.01
    sys.exit(s3_worker.main(sys.argv[1:2]))
"""


@pytest.mark.parametrize(("what", "code"), [("away", 0), ("denied", 1)])
def test_a_worker_outlives_an_outage_of_s3(instance: Any, what: str, code: int) -> None:
    instance.begin("")
    instance.process.kill()
    instance.process.wait()
    program = instance.base / "outage.py"
    program.write_text(textwrap.dedent(OUTAGE))
    told = {**instance.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, program, instance.base, what], env=told, check=False)
    assert done.returncode == code


def test_the_first_report_of_a_run_names_its_worker(instance: Any) -> None:
    """A slot that had a run before is warm; later reports carry no name, which would cost room in their keys."""
    script = """
    from tunewright import report
    report(epoch=1)
    report(epoch=2)
    """
    instance.begin(script)
    for trial_id, is_warm in ((0, False), (1, True)):
        instance.post(trial_id)
        instance.end_of(trial_id)
        first, second = (one for one in instance.messages(trial_id) if isinstance(one, Report))
        assert (first.worker, first.is_warm) == ("job-0/algo-1", is_warm)
        assert (second.worker, second.is_warm) == ("", None)
    assert instance.drain() == 0
