"""Images with ``train`` as their entry: scripts that were written for the SageMaker toolkit."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.execution import toolkit

SCRIPT = """
import json, os, sys
import helper
with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/seen.json", "w") as file:
    sm = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
    json.dump({"arguments": sys.argv[1:], "sm": sm, "cwd": os.getcwd(), "helper": helper.__file__}, file)
if "--fail" in sys.argv:
    sys.exit(9)
"""


def archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as opened:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def parameters(**own: str) -> dict[str, str]:
    """Hyperparameters as SDK v2 writes them, each value in JSON."""
    return {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://bucket/code/sourcedir.tar.gz"',
        "sagemaker_container_log_level": "20",
    } | own


def test_a_script_from_s3_runs_with_its_hyperparameters(
    make_jobs: Callable[..., Any], isolation: Any, endpoint_url: str
) -> None:
    jobs = make_jobs(isolation=isolation, endpoint_url=endpoint_url)
    jobs.aws.store.put("bucket", "code/sourcedir.tar.gz", archive(train__py=SCRIPT, helper__py=""))
    jobs.aws.store.put("bucket", "data/x", b"1")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}}
    order = jobs.start(
        "job",
        [],
        HyperParameters=parameters(lr="0.01", name='"a b"', flag="true", plain="adam", e="5"),
        InputDataConfig=[{"ChannelName": "train-data", "DataSource": source}],
    )
    assert jobs.finish(order)[0].exit_code == 0, jobs.log("job")
    seen = json.loads(jobs.output("job", "seen.json"))
    base = seen["sm"]["SM_MODEL_DIR"].removesuffix("/model")
    assert seen["arguments"] == [
        "-e",
        "5",
        "--flag",
        "True",
        "--lr",
        "0.01",
        "--name",
        "a b",
        "--plain",
        "adam",
    ]
    assert (seen["cwd"], seen["helper"]) == (f"{base}/code", f"{base}/code/helper.py")
    hyperparameters = {"e": 5, "flag": True, "lr": 0.01, "name": "a b", "plain": "adam"}
    assert json.loads(seen["sm"]["SM_HPS"]) == hyperparameters
    expected = {
        "SM_HP_LR": "0.01",
        "SM_HP_NAME": "a b",
        "SM_CHANNELS": '["train-data"]',
        "SM_CHANNEL_TRAIN_DATA": f"{base}/input/data/train-data",
        "SM_INPUT_DIR": f"{base}/input",
        "SM_OUTPUT_DIR": f"{base}/output",
        "SM_CURRENT_HOST": "algo-1",
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_INSTANCE_TYPE": "ml.c5.xlarge",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_IS_HETERO": "false",
        "SM_LOG_LEVEL": "20",
    }
    assert {name: seen["sm"][name] for name in expected} == expected
    assert json.loads(seen["sm"]["SM_TRAINING_ENV"])["hps"] == hyperparameters
    assert int(seen["sm"]["SM_NUM_CPUS"]) >= 1


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a job has it, which the toolkit takes for /opt/ml."""
    group = {"instance_group_name": "g", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1"]}
    resources = {"current_host": "algo-1", "current_instance_type": "ml.c5.xlarge", "current_group_name": "g"}
    resources |= {"hosts": ["algo-1"], "instance_groups": [group], "network_interface_name": "lo"}
    for folder in ("input/config", "output/data", "code"):
        (tmp_path / "ml" / folder).mkdir(parents=True)
    (tmp_path / "ml/input/config/resourceconfig.json").write_text(json.dumps(resources))
    (tmp_path / "ml/input/config/inputdataconfig.json").write_text("{}")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "ml"))
    return tmp_path / "ml"


def run(base: Path, **hyperparameters: str) -> tuple[int, str]:
    """Exit code of the toolkit and the text of its failure file."""
    (base / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    code = toolkit.main()
    failure = base / "output" / "failure"
    return code, failure.read_text() if failure.exists() else ""


def test_a_script_in_a_folder_is_run_there(base: Path) -> None:
    (base / "code" / "train.py").write_text(SCRIPT)
    (base / "code" / "helper.py").touch()
    assert run(base, sagemaker_program="train.py") == (0, "")
    assert (base / "output" / "success").exists()
    code, failure = run(
        base, sagemaker_program="train.py", sagemaker_submit_directory=str(base / "code"), fail="1"
    )
    assert code == 9
    assert failure.startswith("ExecuteUserScriptError:\nExitCode 9\n")
    assert "train.py --fail 1" in failure


def test_a_shell_script_and_a_signal(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "code" / "train.sh").write_text("kill -9 $$")
    (base / "output" / "failure").write_text("what the script wrote")
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "train.sh")
    assert run(base) == (137, "what the script wrote")


def test_an_archive_in_a_folder(base: Path) -> None:
    (base / "code.tar.gz").write_bytes(archive(train__py="", sub__py=""))
    assert (
        run(base, sagemaker_program="train.py", sagemaker_submit_directory=str(base / "code.tar.gz"))[0] == 0
    )


@pytest.mark.parametrize(
    ("hyperparameters", "text"),
    [
        ({}, "sagemaker_program is missing"),
        ({"sagemaker_program": "other.py"}, "there is no other.py"),
        ({"sagemaker_program": "t.py", "sagemaker_submit_directory": "/no/such.tar.gz"}, "No such file"),
        (
            {"sagemaker_program": "t.py", "sagemaker_submit_directory": "s3://bucket/x"},
            "s3://bucket/x cannot be downloaded",
        ),
    ],
)
def test_scripts_that_cannot_be_started(
    base: Path, hyperparameters: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "k")
    code, failure = run(base, **hyperparameters)
    assert code == 1
    assert text in failure


@pytest.mark.parametrize("name", ["../out", "/absolute", "a/../../out"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str) -> None:
    packed = tmp_path / "code.tar.gz"
    with tarfile.open(packed, "w:gz") as opened:
        opened.addfile(tarfile.TarInfo("fine"))
        opened.addfile(tarfile.TarInfo(name))
    with pytest.raises(toolkit.ToolkitError, match="not a file inside of it"):
        toolkit.extract(packed, tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_an_archive_cannot_hold_links(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as opened:
        opened.addfile(link)
    with pytest.raises(toolkit.ToolkitError, match="link"):
        toolkit.extract(tmp_path / "code.tar.gz", tmp_path / "target")
