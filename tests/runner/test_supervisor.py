"""Scripts run to their end under the supervisor: real processes, small scripts."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tunewright.runner.channel import EXITED, GO_ON, PAUSE, RELEASE, STOP, TERMINATED, UNTIL

REPORTING = """
import time
from tunewright.report import Reporter
report = Reporter()
for epoch in range(1, 1000):
    report(epoch=epoch)
    time.sleep(0.01)
"""


def test_everything_is_reported_and_kept(run_script) -> None:
    outcome = run_script(
        """
        import sys
        print('[tune-metric]: {"epoch": 1, "loss": 0.5}')
        print("to err", file=sys.stderr)
        print('[tune-metric]: {"epoch": 2, "loss": NaN}', end="")
        """,
        resource_attr="epoch",
        dollars_per_hour=3600.0,
        cost_before=7.0,
    )
    assert outcome.resources == [1, 2]
    assert [report.seq for report in outcome.channel.reports] == [1, 2]
    assert outcome.end.cause == EXITED
    assert (outcome.end.exit, outcome.end.error, outcome.end.checkpoint) == (0, "", 2)
    assert outcome.err == "to err\n"
    assert 'epoch": 1, "loss": 0.5}\n[tune' in outcome.out
    assert outcome.end.cost > 7.0


def test_without_a_resource_reports_are_counted(run_script) -> None:
    outcome = run_script("for i in range(3): print('[tune-metric]: {\"loss\": 1}')", resume_from=4)
    assert outcome.resources == [5, 6, 7]
    assert outcome.channel.saved == [7]


@pytest.mark.parametrize("value", ['"three"', "0", "2.5", "true", "NaN", "null"])
def test_a_resource_that_is_no_whole_number_is_replaced_with_one_warning(run_script, value: str) -> None:
    line = f'[tune-metric]: {{"epoch": {value}}}'
    outcome = run_script(f"for i in range(2): print('{line}')", resource_attr="epoch")
    assert outcome.resources == [1, 2]
    assert outcome.err.count("whole number >= 1") == 1


def test_a_run_ends_at_until(run_script) -> None:
    outcome = run_script(REPORTING, until=3, resource_attr="epoch")
    assert outcome.resources == [1, 2, 3]
    assert (outcome.end.cause, outcome.end.exit, outcome.end.checkpoint) == (UNTIL, 0, 3)
    assert outcome.channel.noted == [1, 2]


def test_a_script_is_ended_at_until_however_slow_the_reports_before_are_sent(run_script, channel) -> None:
    slow = channel()
    slow.send_report = lambda report: (time.sleep(0.5), slow.reports.append(report))
    text = """
    import time
    for epoch in range(1, 1000):
        print('[tune-metric]: {"epoch": %d}' % epoch, flush=True)
        time.sleep(0.1)
    """
    outcome = run_script(text, slow, until=3, resource_attr="epoch")
    assert outcome.resources == [1, 2, 3]
    assert outcome.end.cause == UNTIL


def test_until_counts_reports_where_there_is_no_resource(run_script) -> None:
    assert run_script(REPORTING, until=5, resume_from=3).resources == [4, 5]


@pytest.mark.parametrize("wish", [PAUSE, STOP])
def test_a_wish_ends_the_script(run_script, channel, wish: str) -> None:
    outcome = run_script(REPORTING, channel(wish, after=2), resource_attr="epoch")
    assert (outcome.end.cause, outcome.end.exit) == (wish, 0)
    assert 2 <= len(outcome.resources) < 900


CHECKPOINTING = """
import os, pathlib, time
folder = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"])
for epoch in (1, 2):
    (folder / "new").write_text(str(epoch))
    (folder / "new").replace(folder / "state")
    time.sleep(0.2)
    print('[tune-metric]: {"epoch": %d}' % epoch, flush=True)
    while not (folder.parent / "heard").exists():
        time.sleep(0.05)
time.sleep(600)
"""


@pytest.mark.parametrize("wish", [PAUSE, RELEASE])
def test_a_checkpoint_is_reported_before_its_script_is_ended(
    run_script, channel, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    """Else the next run would begin after an epoch that no run has reported."""
    monkeypatch.setattr("tunewright.runner.supervisor.REPORT_SECONDS", 100.0)
    state, asking = run_script.folder / "checkpoint" / "state", channel()
    asking.note_checkpoint = lambda _: (run_script.folder / "heard").touch()
    asking.wanted = lambda: wish if state.exists() and state.read_text() == "2" else GO_ON
    outcome = run_script(CHECKPOINTING, asking, resource_attr="epoch", grace=300.0)
    assert outcome.resources == [1, 2]
    assert (outcome.end.cause, outcome.end.checkpoint) == (wish, 2)


def test_a_script_that_always_writes_is_ended_all_the_same(run_script, channel) -> None:
    text = """
    import os, pathlib, time
    print('[tune-metric]: {"epoch": 1}', flush=True)
    while True:
        pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "log").write_text("more")
        time.sleep(0.01)
    """
    outcome = run_script(text, channel(PAUSE, after=1), resource_attr="epoch")
    assert (outcome.end.cause, outcome.resources) == (PAUSE, [1])


def test_a_wish_ends_a_silent_script(run_script, channel) -> None:
    outcome = run_script("import time; time.sleep(600)", channel(STOP))
    assert outcome.end.cause == STOP
    assert outcome.end.checkpoint is None


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(run_script) -> None:
    outcome = run_script(
        """
        import signal, time
        signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
        print('[tune-metric]: {"epoch": 1}', flush=True)
        time.sleep(600)
        """,
        until=1,
        resource_attr="epoch",
        grace=0.2,
    )
    assert (outcome.end.cause, outcome.end.exit) == (UNTIL, 0)
    assert outcome.out.endswith("no\n")


def test_a_script_may_save_when_it_gets_sigterm(run_script, channel) -> None:
    outcome = run_script(
        """
        import os, signal, sys, time
        def save(*_):
            open(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"] + "/saved", "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print('[tune-metric]: {"epoch": 1}', flush=True)
        time.sleep(600)
        """,
        channel(PAUSE, after=1),
    )
    assert outcome.end.cause == PAUSE
    assert (run_script.folder / "checkpoint" / "saved").exists()


def test_sigterm_to_the_runner_reaches_the_script(run_script) -> None:
    outcome = run_script(
        f"""
        import os, signal, time
        print('[tune-metric]: {{"epoch": 4}}', flush=True)
        os.kill({os.getpid()}, signal.SIGTERM)
        time.sleep(600)
        """,
        resource_attr="epoch",
    )
    assert (outcome.end.cause, outcome.end.exit, outcome.end.checkpoint) == (TERMINATED, 0, 4)


def test_a_crash_is_explained_by_the_last_lines(run_script, tmp_path: Path) -> None:
    outcome = run_script(
        """
        for line in range(30): print(f"line {line}")
        raise ValueError("the data are not there")
        """,
        failure_file=str(tmp_path / "failure"),
    )
    assert outcome.end.exit == 1
    assert outcome.end.error.startswith("The script ended with exit code 1. Its last output:")
    assert "ValueError: the data are not there" in outcome.end.error
    assert len(outcome.end.error.splitlines()) <= 21
    assert "the data are not there" in (tmp_path / "failure").read_text()


@pytest.mark.parametrize(
    ("text", "exit_code", "cause"),
    [
        ("import os; os.kill(os.getpid(), 9)", 137, "killed by SIGKILL (out of memory?) and printed nothing"),
        ("import os; os.kill(os.getpid(), 6)", 134, "killed by SIGABRT"),
        ("import os; os.kill(os.getpid(), 40)", 168, "killed by signal 40"),
        ("raise SystemExit(3)", 3, "exit code 3 and printed nothing"),
    ],
)
def test_silent_ends_are_named(run_script, text: str, exit_code: int, cause: str) -> None:
    outcome = run_script(text)
    assert outcome.end.exit == exit_code
    assert cause in outcome.end.error


def test_what_cannot_be_started_is_said(run_script) -> None:
    outcome = run_script.run(run_script.order(run_script.write("x"), interpreter="/no/such/python"))
    assert outcome.end.exit == 127
    assert "/no/such/python" in outcome.end.error


def test_children_die_with_the_script(run_script) -> None:
    outcome = run_script(
        """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("child", child.pid, flush=True)
        """
    )
    pid = int(outcome.out.split()[1])
    deadline = time.monotonic() + 300
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_huge_lines_and_junk_are_survived(run_script) -> None:
    outcome = run_script(
        r"""
        import os, sys
        os.write(1, b"\xff\x00" * 500_000)
        os.write(1, b'[tune-metric]: {"epoch": 1}\n[tune-metric]: {"epoch": ')
        os.write(1, b'\n[tune-metric]: {"epoch": 2}[tune-metric]: {"epoch": 3}\n')
        """,
        resource_attr="epoch",
    )
    assert outcome.resources == [1, 2, 3]


def test_a_full_disk_for_the_log_does_not_end_the_training(run_script, channel) -> None:
    class FullDisk:
        def write(self, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

    from tunewright.runner.supervisor import supervise

    order = run_script.order(run_script.write("print('[tune-metric]: {\"a\": 1}')"), resource_attr="b")
    end = supervise(order, recording := channel(), (FullDisk(), FullDisk()), owns_process=False)
    assert (end.exit, len(recording.reports)) == (0, 1)


def test_a_channel_that_fails_leaves_no_process(run_script, channel) -> None:
    class Broken(type(channel())):
        def send_report(self, report) -> None:
            raise OSError("gone")

    text = "import os, time\nprint('[tune-metric]: {\"pid\": %d}' % os.getpid(), flush=True)\ntime.sleep(600)"
    before = signal.getsignal(signal.SIGTERM)
    pids = []

    class Remembering(Broken):
        def send_report(self, report) -> None:
            pids.append(report.metrics["pid"])
            super().send_report(report)

    with pytest.raises(OSError, match="gone"):
        run_script(text, Remembering())
    assert not is_running(pids[0])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_function_is_called_with_the_configuration(run_script) -> None:
    run_script.write(
        """
        from tunewright import report
        def train(x, name):
            for epoch in range(2):
                report(epoch=epoch + 1, value=x * epoch, name=name)
        """,
        "my_module.py",
    )
    folder = str(run_script.folder)
    for script in ("my_module:train", f"{folder}/my_module.py:train"):
        order = run_script.order(script, config={"x": 3, "name": "ü"}, import_paths=[folder])
        outcome = run_script.run(order)
        assert (outcome.end.error, outcome.resources) == ("", [1, 2])
        assert outcome.channel.reports[1].metrics["value"] == 3
        assert outcome.channel.reports[1].metrics["name"] == "ü"


def test_a_function_that_is_not_there_is_named(run_script) -> None:
    run_script.write("x = 1", "my_module.py")
    order = run_script.order("my_module:x", import_paths=[str(run_script.folder)])
    assert "my_module has no function 'x'" in run_script.run(order).end.error


def test_a_sagemaker_script_finds_its_variables(run_script) -> None:
    outcome = run_script(
        """
        import json, os
        assert os.path.isdir(os.environ["SM_MODEL_DIR"]) and os.path.isdir(os.environ["SM_OUTPUT_DATA_DIR"])
        print("[tune-metric]:", json.dumps(json.loads(os.environ["SM_HPS"])))
        """,
        config={"lr": 0.1, "name": "a b"},
    )
    assert outcome.end.error == ""
    assert outcome.channel.reports[0].metrics == {"lr": 0.1, "name": "a b"}
    assert json.loads((run_script.folder / "config.json").read_text()) == {"lr": 0.1, "name": "a b"}


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_full_disk_for_the_reason_does_not_hide_the_end(run_script) -> None:
    outcome = run_script("raise ValueError('no data')", failure_file="/dev/full")
    assert outcome.end.exit == 1
    assert "ValueError: no data" in outcome.end.error


def test_a_value_that_no_command_line_takes_is_said(run_script) -> None:
    outcome = run_script("print(1)", config={"text": "a\0b"})
    assert outcome.end.exit == 127
    assert "null byte" in outcome.end.error
