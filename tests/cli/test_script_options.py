"""Inputs, dependencies, environment, JSON configurations, VPC, keys, tags: from flags to what a script and a job get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import load_outcome, method
from tunewright.launchers import hpo_main_local, hpo_main_sagemaker
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.storage import experiments

SCRIPT = """
import json, os, sys
from pathlib import Path
import shared
assert sys.argv[1] == "--config_json", sys.argv
x = json.loads(Path(sys.argv[2]).read_text())["x"]
data = float(Path(os.environ["SM_CHANNEL_TRAIN"], "number").read_text())
Path(os.environ["SM_MODEL_DIR"], "weights").write_text("1")
assert json.loads(os.environ["SM_CHANNELS"]) == ["train"]
print('[tune-metric]: ' + json.dumps({"loss": x + data + shared.NUMBER + float(os.environ["OFFSET"])}))
"""


@pytest.fixture
def benchmark(tmp_path: Path) -> RealBenchmarkDefinition:
    for name, text in (("exp/train.py", SCRIPT), ("lib/shared.py", "NUMBER = 100.0"), ("data/number", "10")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return RealBenchmarkDefinition(
        name="toy",
        script=str(tmp_path / "exp" / "train.py"),
        space=SearchSpace({"x": Float(0.0, 1.0)}),
        metrics=(Metric("loss"),),
    )


def test_a_script_of_sagemakers_form_runs_as_a_process(
    benchmark: RealBenchmarkDefinition, tmp_path: Path, launch: Callable[..., int]
) -> None:
    line = f"--max_num_trials 1 --config_json --environment OFFSET=1000 --inputs train={tmp_path / 'data'} --dependencies {tmp_path / 'lib' / 'shared.py'}"
    assert launch(hpo_main_local.main, line, {"RS": method("RandomSearch")}, {"toy": benchmark}) == 0
    (folder,) = experiments()
    best = load_outcome(folder).best
    assert best is not None
    assert 1110 <= best.value <= 1111


def test_a_job_gets_all_of_it(
    benchmark: RealBenchmarkDefinition,
    tmp_path: Path,
    launch: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = (
        "--max_num_trials 1 --endpoint embedded --dry_run --config_json --environment OFFSET=1 --inputs train=s3://b/p"
        f" --dependencies {tmp_path / 'lib'} --subnets s1,s2 --security_group_ids g --kms_key k --volume_gb 77"
        " --tags team=a --tags cost=b --max_run 600"
    )
    assert launch(hpo_main_sagemaker.main, line, {"RS": method("RandomSearch")}, {"toy": benchmark}) == 0
    request = json.loads(capsys.readouterr().out)
    channels = {
        one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"] for one in request["InputDataConfig"]
    }
    assert channels["train"] == "s3://b/p"
    assert set(channels) == {"train", "code"}
    assert request["VpcConfig"] == {"Subnets": ["s1", "s2"], "SecurityGroupIds": ["g"]}
    assert request["OutputDataConfig"]["KmsKeyId"] == "k"
    assert (request["ResourceConfig"]["VolumeKmsKeyId"], request["ResourceConfig"]["VolumeSizeInGB"]) == (
        "k",
        77,
    )
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 600
    assert request["Environment"]["OFFSET"] == "1"
    assert {"Key": "team", "Value": "a"} in request["Tags"]
    assert {"Key": "cost", "Value": "b"} in request["Tags"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--inputs train", "NAME=VALUE"),
        ("--inputs train=/nowhere", "s3://"),
        ("--subnets s", "--security_group_ids"),
        ("--dependencies /nowhere/lib", "no dependency"),
    ],
)
def test_what_cannot_work_is_said(
    benchmark: RealBenchmarkDefinition,
    launch: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    line: str,
    said: str,
) -> None:
    line = f"--max_num_trials 1 --endpoint embedded --dry_run {line}"
    assert launch(hpo_main_sagemaker.main, line, {"RS": method("RandomSearch")}, {"toy": benchmark}) == 2
    assert said in capsys.readouterr().err


def test_an_input_folder_must_be_there(
    benchmark: RealBenchmarkDefinition, launch: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--max_num_trials 1 --inputs train=/nowhere"
    assert launch(hpo_main_local.main, line, {"RS": method("RandomSearch")}, {"toy": benchmark}) == 2
    assert "folder on this machine" in capsys.readouterr().err
