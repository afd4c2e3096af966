"""The runner's side of the channel, and a whole job on this machine with an S3 of this process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tunewright.backends.sagemaker.job_service import remedy_of_job
from tunewright.runner import checkpoints as s3_checkpoints
from tunewright.runner import s3_job, s3_keys
from tunewright.runner.channel import (
    EXITED,
    GO_ON,
    RELEASE,
    STOP,
    TERMINATED,
    UNTIL,
    End,
    MutedChannel,
    Report,
)
from tunewright.runner.checkpoints import load_from
from tunewright.runner.run_order import RunOrder
from tunewright.runner.s3_channel import S3Channel, S3Place
from tunewright.runner.supervisor import supervise

PREFIX = "tunewright/exp/"
PLACE = S3Place("bucket", PREFIX, poll_seconds=0.0, checkpoint_seconds=0.0)


@pytest.fixture
def s3(aws: Any) -> Any:
    aws.s3.translated = False
    return aws.s3


@pytest.fixture
def order(tmp_path: Path) -> RunOrder:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return RunOrder(script="train.py", config={}, checkpoint_dir=str(folder), trial_id=4, attempt=1, retry=2)


def messages(s3: Any) -> list[Any]:
    """Everything that was sent, in order of the keys."""
    keys = sorted(key[len(PREFIX) :] for key in s3.objects if "/reports/" in key)
    return [s3_keys.message_of(key, b"") for key in map(s3_keys.decode, keys) if key is not None]


def test_reports_and_the_end(s3: Any, order: RunOrder) -> None:
    channel = S3Channel(s3, PLACE, order, None)
    channel.load_checkpoint()
    sent = [Report(seq, seq, {"loss": 0.5}, 0.0, 1000.0 + seq) for seq in (1, 2)]
    for report in sent:
        channel.send_report(report)
    end = End(EXITED, 0, "", 0.1, 1003.0, None)
    channel.send_end(end)
    assert messages(s3) == [*sent, end]
    last = s3_keys.decode(max(s3.objects)[len(PREFIX) :])
    assert last is not None
    assert (last.trial_id, last.attempt, last.retry, last.seq) == (4, 1, 2, 3)


def test_the_control_key_is_obeyed_and_not_asked_all_the_time(s3: Any, order: RunOrder) -> None:
    channel = S3Channel(s3, PLACE, order, None)
    assert channel.wanted() == GO_ON
    s3.objects[PREFIX + "control/4-1-2"] = b"stop"
    assert channel.wanted() == STOP
    before = s3.calls["GetObject"]
    assert channel.wanted() == STOP
    assert s3.calls["GetObject"] == before
    slow = S3Channel(s3, S3Place("bucket", PREFIX, 1e6, 1e6), order, None)
    assert slow.wanted() == STOP
    lazy = S3Channel(s3, S3Place("bucket", "elsewhere/", 1e6, 1e6), order, None)
    assert [lazy.wanted(), lazy.wanted()] == [GO_ON, GO_ON]
    assert s3.calls["GetObject"] == before + 2


def test_a_run_is_released_when_the_tuner_shows_no_life(s3: Any, order: RunOrder) -> None:
    channel = S3Channel(s3, replace(PLACE, abandon_seconds=1e-9), order, None)
    for sign in (b"1", b"2"):
        s3.objects[PREFIX + "session"] = sign
        assert channel.wanted() == GO_ON
    assert channel.wanted() == RELEASE
    assert channel.wanted() == RELEASE, "it stays so"


def test_a_request_wins_over_a_tuner_that_has_gone(s3: Any, order: RunOrder) -> None:
    s3.objects[PREFIX + "control/4-1-2"] = b"stop"
    channel = S3Channel(s3, replace(PLACE, abandon_seconds=1e-9), order, None)
    assert channel.wanted() == STOP


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_a_run_goes_on_without_a_tuner_for_as_long_as_it_may(
    s3: Any, order: RunOrder, seconds: float
) -> None:
    channel = S3Channel(s3, replace(PLACE, abandon_seconds=seconds), order, None)
    assert [channel.wanted() for _ in range(3)] == [GO_ON] * 3
    assert s3.calls["GetObject"] == 3 + bool(seconds), "one look at the tuner, at most"


def write(order: RunOrder, text: str) -> None:
    folder = Path(order.checkpoint_dir, "deep")
    folder.mkdir(exist_ok=True)
    (folder / "weights ü").write_text(text)


def test_a_checkpoint_is_whole_or_not_there(s3: Any, order: RunOrder, tmp_path: Path) -> None:
    channel = S3Channel(s3, PLACE, order, None)
    assert not channel.save_checkpoint(3)
    write(order, "epoch 3")
    assert channel.save_checkpoint(3)
    keys = [key for key in s3.objects if "/checkpoints/" in key]
    assert keys[-1] == PREFIX + "checkpoints/4/3/_complete", "the marker comes last"
    write(order, "epoch 4")
    assert channel.save_checkpoint(3), "a whole checkpoint is frozen"
    target = tmp_path / "loaded"
    target.mkdir()
    s3_checkpoints.S3Checkpoints(s3, "bucket", PREFIX).load(4, 3, target)
    assert (target / "deep" / "weights ü").read_text() == "epoch 3"


def test_a_run_begins_with_its_checkpoint(s3: Any, order: RunOrder) -> None:
    write(order, "epoch 3")
    S3Channel(s3, PLACE, order, None).save_checkpoint(3)
    write(order, "lost")
    S3Channel(s3, PLACE, order, (4, 3)).load_checkpoint()
    assert Path(order.checkpoint_dir, "deep", "weights ü").read_text() == "epoch 3"
    with pytest.raises(FileNotFoundError, match="whole"):
        S3Channel(s3, PLACE, order, (4, 9)).load_checkpoint()


def test_checkpoints_on_the_way_replace_each_other(s3: Any, order: RunOrder) -> None:
    channel = S3Channel(s3, PLACE, order, None)
    channel.note_checkpoint(1)
    assert not s3.objects, "an empty folder is no checkpoint"
    for resource in (1, 2):
        write(order, f"epoch {resource}")
        time.sleep(0.001)
        channel.note_checkpoint(resource)
        channel._periodic.next_at = 0.0
    channel.note_checkpoint(0)
    assert {key.split("/")[4] for key in s3.objects} == {"2"}
    write(order, "epoch 5")
    assert channel.save_checkpoint(5)
    assert {key.split("/")[4] for key in s3.objects} == {"5"}


def test_checkpoints_on_the_way_are_rare(s3: Any, order: RunOrder) -> None:
    channel = S3Channel(s3, S3Place("bucket", PREFIX, 1.0, 1000.0), order, None)
    write(order, "epoch 1")
    channel.note_checkpoint(1)
    assert not s3.objects


def test_a_folder_that_is_being_written_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_text("1")
    original = s3_checkpoints.shutil.copy2

    def copy_while_written(source: Path, target: Path) -> None:
        original(source, target)
        (tmp_path / "weights").write_text("more")

    monkeypatch.setattr(s3_checkpoints.shutil, "copy2", copy_while_written)
    assert s3_checkpoints.snapshot(tmp_path) is None


def test_a_folder_whose_files_vanish_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").write_text("1")

    def vanish(source: Path, target: Path) -> None:
        raise FileNotFoundError(source, target)

    monkeypatch.setattr(s3_checkpoints.shutil, "copy2", vanish)
    assert s3_checkpoints.snapshot(tmp_path) is None
    monkeypatch.setattr(s3_checkpoints, "files_of", lambda folder: {"never was": 1})
    assert s3_checkpoints.snapshot(tmp_path) is None


def test_other_instances_of_a_job_are_silent(s3: Any, order: RunOrder) -> None:
    channel = MutedChannel(S3Channel(s3, PLACE, order, None))
    channel.send_report(Report(1, 1, {}, 0.0, 1.0))
    channel.note_checkpoint(1)
    write(order, "epoch 1")
    assert not channel.save_checkpoint(1)
    channel.send_end(End(EXITED, 0, "", 0.0, 1.0, None))
    assert not s3.objects


SCRIPT = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--fail", type=int)
parser.add_argument("--text")
options = parser.parse_args()
folder = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"])
for epoch in (1, 2, 3):
    if epoch == options.fail:
        raise SystemExit(options.text)
    (folder / "weights").write_text(str(epoch))
    print("[tune-metric]:", json.dumps({"epoch": epoch, "model_dir": os.environ["SM_MODEL_DIR"]}), flush=True)
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> Path:
    """A folder like /opt/ml in a job."""
    base = tmp_path / "ml"
    (base / "input" / "config").mkdir(parents=True)
    source = base / "input" / "data" / "code" / "source"
    source.mkdir(parents=True)
    (source / "train.py").write_text(SCRIPT)
    job = {
        "order": {"script": "train.py", "resource_attr": "epoch", "arguments": "list", "booleans": "value"},
        "poll_seconds": 0.05,
        "checkpoint_seconds": 100.0,
    }
    (source.parent / "job.json").write_text(json.dumps(job))
    monkeypatch.setenv("TUNEWRIGHT_S3", f"s3://bucket/{PREFIX}")
    monkeypatch.setattr(s3_job, "_connect", lambda cache: s3)
    # else all processes that other tests of this process have begun would be killed with the script's
    monkeypatch.setattr(s3_job, "supervise", partial(supervise, owns_process=False))
    return base


def run_job(base: Path, monkeypatch: pytest.MonkeyPatch, parameter: str, **facts: Any) -> int:
    known = {"trial_id": 0, "attempt": 0, "retry": 0, "until": None, "resume_from": 0, "source": None}
    known |= {"dollars_per_hour": 1.0, "cost_before": 0.5}
    monkeypatch.setenv("TUNEWRIGHT_RUN", json.dumps(known | facts))
    parameters = base / "input" / "config" / "hyperparameters.json"
    parameters.write_text(json.dumps({"tunewright_config": parameter}))
    return s3_job.main([str(base)])


def test_a_job(base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    assert run_job(base, monkeypatch, '{"fail": 0, "text": ""}') == 0
    *reports, end = messages(s3)
    assert [report.metrics for report in reports] == [
        {"epoch": epoch, "model_dir": str(base / "model")} for epoch in (1, 2, 3)
    ]
    assert (end.cause, end.checkpoint) == (EXITED, 3)
    assert end.cost > 0.5
    assert PREFIX + "checkpoints/0/3/_complete" in s3.objects
    assert not (base / "output" / "failure").exists()


def test_a_job_that_fails(base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    """Its configuration comes from S3, and the failure file says why."""
    s3.objects["configs/c.json"] = b'{"fail": 2, "text": "out of  luck"}'
    assert run_job(base, monkeypatch, "s3://bucket/configs/c.json") == 1
    assert "out of  luck" in (base / "output" / "failure").read_text()
    end = messages(s3)[-1]
    assert (end.exit, "out of  luck" in end.error) == (1, True)


def test_a_job_with_until(base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    assert run_job(base, monkeypatch, '{"fail": 0, "text": ""}', until=3) == 0
    assert messages(s3)[-1].cause == UNTIL


LIVED = """
import argparse, json, os, pathlib, signal, time
parser = argparse.ArgumentParser()
parser.add_argument("--interrupt", type=int)
epochs = parser.parse_args()
weights = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "weights")
done = int(weights.read_text()) if weights.exists() else 0
for epoch in range(done + 1, 5):
    weights.write_text(str(epoch))
    print("[tune-metric]:", json.dumps({"epoch": epoch, "from": done}), flush=True)
    if epoch == epochs.interrupt and not done:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
    if str(epoch) == os.environ.get("TUNEWRIGHT_UNTIL"):
        time.sleep(60)
"""
CONFIG = '{"interrupt": 2}'


@pytest.fixture
def lived(base: Path) -> Path:
    """A job whose script is interrupted in its first life, after its second epoch."""
    (base / "input" / "data" / "code" / "source" / "train.py").write_text(LIVED)
    return base


def next_life(base: Path, monkeypatch: pytest.MonkeyPatch, **facts: Any) -> int:
    """The service starts the job on new instances: nothing is left of the old ones."""
    shutil.rmtree(base / "checkpoints", ignore_errors=True)
    return run_job(base, monkeypatch, CONFIG, restarts=True, **facts)


def sent(s3: Any) -> list[tuple[int, int, Any]]:
    """(retry, seq, resource or cause of an end) of everything that was sent."""
    found = [(s3_keys.decode(key[len(PREFIX) :]), key) for key in s3.objects if "/reports/" in key]
    said = [(key, s3_keys.message_of(key)) for key, _ in found if key is not None]
    lines = [(k.retry, k.seq, m.cause if isinstance(m, End) else m.resource) for k, m in said]
    return sorted(lines, key=lambda line: line[:2])


def test_the_next_life_of_a_job_goes_on_as_a_retry(
    lived: Path, monkeypatch: pytest.MonkeyPatch, s3: Any
) -> None:
    assert next_life(lived, monkeypatch) == 0, "an interrupted script is no failure"
    assert sent(s3) == [(0, 1, 1), (0, 2, 2), (0, 3, TERMINATED)]
    assert next_life(lived, monkeypatch) == 0
    assert sent(s3)[3:] == [(1, 1, 3), (1, 2, 4), (1, 3, EXITED)]
    assert {key.split("/")[4] for key in s3.objects if "/checkpoints/" in key} == {"4"}
    before = sent(s3)
    assert next_life(lived, monkeypatch) == 0, "the run is over: nothing is begun again"
    assert sent(s3) == [*before, (2, 1, EXITED)]


def test_a_life_of_a_later_job_counts_from_its_own_name(
    lived: Path, monkeypatch: pytest.MonkeyPatch, s3: Any
) -> None:
    next_life(lived, monkeypatch)
    next_life(lived, monkeypatch, retry=4, source=[0, 2], resume_from=2, until=3)
    next_life(lived, monkeypatch, retry=4, source=[0, 2], resume_from=2, until=3)
    assert sent(s3)[3:] == [(4, 1, 3), (4, 2, UNTIL), (5, 1, UNTIL)]


def test_a_run_whose_last_checkpoint_is_there_is_not_run_again(
    lived: Path, monkeypatch: pytest.MonkeyPatch, s3: Any
) -> None:
    """The first life died between its checkpoint and its end."""
    next_life(lived, monkeypatch)
    assert next_life(lived, monkeypatch, until=2) == 0
    assert sent(s3)[3:] == [(1, 1, UNTIL)]
    assert messages(s3)[-1].checkpoint == 2


def test_a_failure_is_told_by_the_next_life_as_well(
    base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any
) -> None:
    for _ in range(2):
        assert run_job(base, monkeypatch, '{"fail": 2, "text": "out of luck"}', restarts=True) == 1
        (base / "output" / "failure").rename(base / "seen")
        assert "out of luck" in (base / "seen").read_text()
    assert sent(s3) == [(0, 1, 1), (0, 2, EXITED), (1, 1, EXITED)]


def test_a_wish_is_for_all_lives_of_a_job(lived: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    next_life(lived, monkeypatch)
    s3.objects[PREFIX + "control/0-0-0"] = b"stop"
    assert next_life(lived, monkeypatch) == 0
    assert sent(s3)[-1][::2] == (1, STOP)


def test_other_instances_claim_no_life(lived: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    next_life(lived, monkeypatch)
    before = set(s3.objects)
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}
    (lived / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    assert next_life(lived, monkeypatch) == 0
    assert set(s3.objects) == before
    assert (lived / "checkpoints" / "weights").read_text() == "4", "it began with the newest checkpoint"


def test_a_second_instance(base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any) -> None:
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}
    (base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    assert run_job(base, monkeypatch, '{"fail": 0, "text": ""}') == 0
    assert not s3.objects


def test_a_runner_that_cannot_begin_says_so(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        run_job(base, monkeypatch, '{"fail": 0, "text": ""}', source=[0, 9])
    assert "no whole checkpoint" in (base / "output" / "failure").read_text()


def test_the_client_is_boto3s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = s3_job.S3Client(tmp_path)
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    client.close()


def test_an_image_without_boto3_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    original = s3_job.importlib.import_module
    commands: list[list[str]] = []

    def import_module(name: str, package: str | None = None) -> Any:
        if name == "boto3" and not commands:
            raise ModuleNotFoundError(name)
        return original(name, package)

    monkeypatch.setattr(s3_job.importlib, "import_module", import_module)
    monkeypatch.setattr(s3_job.subprocess, "run", lambda command, check: commands.append(command))
    monkeypatch.setattr(sys, "path", [*sys.path])
    s3_job._connect(tmp_path).close()
    assert commands[0][-3:] == ["--target", str(tmp_path / "boto3"), "boto3"]


OLD_IMAGE = """
import os, sys
from pathlib import Path
from tunewright.runner import s3_job

BOTO3 = (
    "from types import SimpleNamespace as Some\\n"
    "def client(name, **settings):\\n"
    "    put = Some(input_shape=Some(members=MEMBERS))\\n"
    "    model = Some(operation_model=lambda name: put)\\n"
    "    events = Some(register=lambda name, hook: None)\\n"
    "    return Some(meta=Some(service_model=model, events=events), members=MEMBERS)\\n"
)

def write(folder, members):
    (folder / "botocore").mkdir(parents=True)
    (folder / "boto3.py").write_text(BOTO3.replace("MEMBERS", repr(members)))
    (folder / "botocore" / "config.py").write_text("Config = dict")

def install(command, check):
    assert "--upgrade" in command and check
    write(Path(command[command.index("--target") + 1]), ["IfMatch", "IfNoneMatch"])

image, cache = Path(sys.argv[1], "image"), Path(sys.argv[1], "cache")
write(image, ["IfNoneMatch"])
sys.path.insert(0, str(image))
s3_job.subprocess.run = install
assert s3_job.S3Client(cache).members == ["IfNoneMatch"]
os.environ["TUNEWRIGHT_WORKER"] = "{}"
assert s3_job.S3Client(cache).members == ["IfMatch", "IfNoneMatch"]
assert s3_job.S3Client(cache).members == ["IfMatch", "IfNoneMatch"]
"""
"""A process of an image whose boto3 has no If-Match, and of which pip installs one that has."""


def test_a_worker_replaces_a_boto3_without_conditional_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", OLD_IMAGE, str(tmp_path)], check=True, timeout=300)


def test_reports_of_many_trials_are_spread_over_prefixes(s3: Any, order: RunOrder) -> None:
    """All of a trial go the same way, its end too."""
    channel = S3Channel(s3, replace(PLACE, report_shards=3), order, None)
    channel.send_report(Report(1, 1, {"loss": 1.0}, 0.0, 1e9))
    channel.send_end(End(EXITED, 0, "", 0.0, 1e9, None))
    assert [key.removeprefix(PREFIX).partition("/")[0] for key in s3.objects] == ["reports-1", "reports-1"]


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "deep/../../out"])
def test_a_checkpoint_never_leaves_its_folder(s3: Any, tmp_path: Path, name: str) -> None:
    marker = json.dumps({"files": {name: 1}}).encode()
    place = f"{PREFIX}checkpoints/4/3/"
    s3.objects |= {place + name: b"x", place + "_complete": marker}
    target = tmp_path / "loaded"
    target.mkdir()
    with pytest.raises(ValueError, match="would leave its folder"):
        s3_checkpoints.S3Checkpoints(s3, "bucket", PREFIX).load(4, 3, target)
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "_complete").write_bytes(marker)
    with pytest.raises(ValueError, match="would leave its folder"):
        load_from(tmp_path / "channel", target)
    assert not list(target.iterdir())
    with pytest.raises(ValueError, match="would leave its folder"):
        s3_checkpoints.make_links({"link": name}, target)


@pytest.mark.parametrize("is_away", [True, False])
def test_a_runner_that_loses_s3_says_so(
    base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any, is_away: bool
) -> None:
    """The backend begins such a job again, and no other that fails before its script."""
    error = EndpointConnectionError(endpoint_url="x") if is_away else KeyError("x")

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(s3, "put_object", fail)
    with pytest.raises(type(error)):
        run_job(base, monkeypatch, json.dumps({}))
    failure = (base / "output" / "failure").read_text()
    assert failure.startswith("The runner lost S3: " if is_away else "The runner failed: ")


def test_a_runner_that_is_denied_s3_does_not_blame_the_script(
    base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any
) -> None:
    """Without s3:ListBucket, S3 answers so to a GetObject of a control object that nobody wrote."""

    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject")

    monkeypatch.setattr(s3, "get_object", deny)
    with pytest.raises(ClientError):
        run_job(base, monkeypatch, '{"fail": 0, "text": ""}')
    failure = (base / "output" / "failure").read_text()
    assert failure.startswith("The runner may not use the bucket: ")
    assert "GetObject" in failure
    assert "s3:ListBucket" in remedy_of_job(f"AlgorithmError: {failure}, exit code: 1")


HANGING = """
import os, pathlib, time
pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "weights").write_text("1")
print('[tune-metric]: {"epoch": 1}', flush=True)
time.sleep(600)
"""


def test_a_job_whose_tuner_has_gone_ends_by_itself(
    base: Path, monkeypatch: pytest.MonkeyPatch, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code = base / "input" / "data" / "code"
    (code / "source" / "train.py").write_text(HANGING)
    job = json.loads((code / "job.json").read_text())
    (code / "job.json").write_text(json.dumps(job | {"abandon_seconds": 0.5}))
    get_object = s3.get_object

    def get_object_of_tuner(**request: str) -> Any:
        """The tuner lives until the report has come."""
        if not any("/reports/" in key for key in s3.objects):
            s3.objects[PREFIX + "session"] = str(s3.calls["GetObject"]).encode()
        return get_object(**request)

    monkeypatch.setattr(s3, "get_object", get_object_of_tuner)
    assert run_job(base, monkeypatch, "{}") == 0
    (report, end) = messages(s3)
    assert report.metrics == {"epoch": 1}
    assert (end.cause, end.checkpoint) == (RELEASE, 1)
    assert "no tuner for 0.5 s" in capsys.readouterr().out
