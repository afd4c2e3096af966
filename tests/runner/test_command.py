"""The command line and the environment of scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tunewright.runner.run_order import AS_CONFIG_JSON, AS_FLAG, AS_HYDRA, AS_LIST, RunOrder
from tunewright.runner.script_launch import build_command, build_environment


def test_values_are_passed_as_they_are(run_script) -> None:
    script = run_script.write("")
    config = {"a": "x 'y' \"z\" $HOME;", "b": "ü☃", "c": "", "d": -1e-05, "e": True, "f": 3, "g": "-q"}
    command = build_command(run_script.order(script, config=config))
    assert command[:2] == [sys.executable, str(script)]
    assert command[2:] == [
        *(
            "--a",
            "x 'y' \"z\" $HOME;",
            "--b",
            "ü☃",
            "--c",
            "",
            "--d=-1e-05",
            "--e",
            "True",
            "--f",
            "3",
            "--g=-q",
        )
    ]


def test_booleans_as_flags(run_script) -> None:
    order = run_script.order(
        run_script.write(""), config={"on": True, "off": False, "n": 1}, booleans=AS_FLAG
    )
    assert build_command(order)[2:] == ["--on", "--n", "1"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("print(1)", []),
        ("parser.add_argument('--checkpoint_dir')", ["--checkpoint_dir"]),
        ("parser.add_argument('--checkpoint-dir')", ["--checkpoint-dir"]),
        ("parser.add_argument('--checkpoint_dirs')", []),
        ("parser.add_argument('--st_checkpoint_dir')", ["--st_checkpoint_dir"]),
        ("from syne_tune import Reporter", ["--st_checkpoint_dir"]),
        ("import syne_tune\np.add_argument('--st_checkpoint_dir')", ["--st_checkpoint_dir"]),
        ("# from syne_tune import Reporter", []),
    ],
)
def test_the_checkpoint_folder_is_an_argument_where_the_script_names_it(run_script, text, options) -> None:
    order = run_script.order(run_script.write(text))
    assert build_command(order)[2:] == [part for name in options for part in (name, order.checkpoint_dir)]


def test_a_hyperparameter_wins_over_the_checkpoint_folder(run_script) -> None:
    script = run_script.write("p.add_argument('--checkpoint_dir')")
    order = run_script.order(script, config={"checkpoint_dir": "mine"})
    assert build_command(order)[2:] == ["--checkpoint_dir", "mine"]


@pytest.mark.parametrize(
    ("text", "option"), [("", "--config_json"), ("import syne_tune", "--st_config_json_filename")]
)
def test_the_configuration_as_a_file(run_script, text, option) -> None:
    order = run_script.order(run_script.write(text), config={"a": 1}, arguments=AS_CONFIG_JSON)
    assert build_command(order)[2:4] == [option, order.config_file]


_VALUES = (
    *(
        1,
        -3,
        0.1,
        -1e-05,
        1e22,
        5e-324,
        True,
        False,
        "adam",
        "a b",
        "it's",
        "a\\",
        "a\\'b",
        "\\\\n",
        "x 'y' \"z\" $HOME;",
    ),
    *(
        "",
        "true",
        "NaN",
        "1",
        "1e3",
        "null",
        "a,b",
        "{a:1}",
        "[1]",
        "ü☃",
        "-q",
        "a=b",
        "a\nb\\",
        "choice(1,2)",
        "s3://b/p",
    ),
)


def test_hydra_reads_the_values_that_were_passed(run_script) -> None:
    config = {f"group.x{number}": value for number, value in enumerate(_VALUES)}
    order = run_script.order(run_script.write(""), config=config, arguments=AS_HYDRA)
    parser = OverridesParser.create()
    parsed = [parser.parse_override(text) for text in build_command(order)[2:]]
    values = [(one.key_or_group, type(one.value()), one.value()) for one in parsed]
    assert values == [(name, type(value), value) for name, value in config.items()]


def test_a_hydra_script_writes_into_the_output_folder_of_its_run(run_script, tmp_path: Path) -> None:
    script = run_script.write("import hydra\n")
    order = run_script.order(script, arguments=AS_HYDRA, base_dir="/opt/ml")
    assert build_command(order)[2:] == ["hydra.run.dir='/opt/ml/output/data/hydra'"]
    mine = run_script.order(script, arguments=AS_HYDRA, config={"hydra.run.dir": "mine"})
    assert build_command(mine)[2:] == ["hydra.run.dir=mine"]


@pytest.mark.parametrize(
    ("style", "arguments"),
    [
        (AS_LIST, ["--model.lr=-0.5", "--note", "two words"]),
        (AS_HYDRA, ["model.lr=-0.5", "note='two words'"]),
        (AS_CONFIG_JSON, ["--config_json", "/config.json"]),
    ],
)
def test_sagemakers_variable_of_the_arguments_holds_those_of_the_call(
    run_script, style: str, arguments: list[str]
) -> None:
    config = {"model.lr": -0.5, "note": "two words"}
    order = run_script.order(run_script.write(""), config=config, arguments=style, config_file="/config.json")
    assert build_command(order)[2:] == arguments
    assert json.loads(build_environment(order, {})["SM_USER_ARGS"]) == arguments


def test_programs_other_than_python_are_executed_themselves(run_script) -> None:
    script = run_script.write("#!/bin/sh\n", "train.sh")
    assert build_command(run_script.order("train.sh", cwd=str(script.parent), config={"a": 1})) == [
        *(str(script), "--a", "1")
    ]


def test_orders_survive_json_and_refuse_unknown_words() -> None:
    order = RunOrder("s.py", {"a": 1.5, "b": "ü"}, "/c", until=3, trial_id=4, attempt=2, retry=1)
    assert RunOrder.from_json(order.to_json()) == order
    assert order.name == "4-2-1"
    assert RunOrder.from_json('{"script": "s.py", "config": {}, "checkpoint_dir": "/c", "new": 1}').retry == 0
    with pytest.raises(ValueError, match="arguments is"):
        RunOrder("s.py", {}, "/c", arguments="yaml")
    with pytest.raises(ValueError, match="booleans is"):
        RunOrder("s.py", {}, "/c", booleans="yes")
    with pytest.raises(ValueError, match="launch is"):
        RunOrder("s.py", {}, "/c", launch="mpi")


@pytest.mark.parametrize(
    ("script", "is_function", "file"),
    [
        ("a/b.py", False, "a/b.py"),
        ("pkg.mod:train", True, "pkg/mod.py"),
        ("a/b.py:train", True, "a/b.py"),
        (":x", False, ":x"),
        ("a:b c", False, "a:b c"),
    ],
)
def test_functions_are_told_from_scripts(script: str, is_function: bool, file: str) -> None:
    order = RunOrder(script, {}, "/c")
    assert (bool(order.function), order.script_file) == (is_function, file)


def test_sagemaker_variables_come_from_the_machine(run_script, tmp_path: Path) -> None:
    config_folder = tmp_path / "ml" / "input" / "config"
    config_folder.mkdir(parents=True)
    resources = {
        "hosts": ["algo-1", "algo-2"],
        "current_host": "algo-2",
        "current_instance_type": "ml.c5.xlarge",
        "current_group_name": "g",
        "instance_groups": [{"instance_group_name": "g"}],
    }
    (config_folder / "resourceconfig.json").write_text(json.dumps(resources))
    (tmp_path / "ml" / "input" / "data" / "training-set").mkdir(parents=True)
    order = run_script.order("x.py", config={"lr": 0.1, "use-it": True}, channels={"more": "/more"})
    found = build_environment(order, {"CUDA_VISIBLE_DEVICES": "0,1"})
    assert json.loads(found["SM_HPS"]) == {"lr": 0.1, "use-it": True}
    assert (found["SM_HP_LR"], found["SM_HP_USE_IT"]) == ("0.1", "true")
    assert (found["SM_CURRENT_HOST"], found["SM_CURRENT_HOST_RANK"]) == ("algo-2", "1")
    assert json.loads(found["SM_HOSTS"]) == ["algo-1", "algo-2"]
    assert json.loads(found["SM_CHANNELS"]) == ["more", "training-set"]
    assert found["SM_CHANNEL_TRAINING_SET"] == str(tmp_path / "ml" / "input" / "data" / "training-set")
    assert found["SM_CURRENT_INSTANCE_TYPE"] == "ml.c5.xlarge"
    assert found["SM_MODEL_DIR"] == str(tmp_path / "ml" / "model")
    assert found["SM_OUTPUT_DATA_DIR"] == str(tmp_path / "ml" / "output" / "data")
    assert found["SM_USER_ENTRY_POINT"] == "x.py"


HOSTS = {
    "hosts": ["algo-1", "algo-2"],
    "current_host": "algo-2",
    "current_group_name": "g",
    "network_interface_name": "eth0",
    "instance_groups": [
        {"instance_group_name": "g", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1", "algo-2"]}
    ],
}


@pytest.fixture
def two_hosts(tmp_path: Path) -> None:
    """The configuration of the second host of a job."""
    folder = tmp_path / "ml" / "input" / "config"
    folder.mkdir(parents=True)
    (folder / "resourceconfig.json").write_text(json.dumps(HOSTS))


@pytest.mark.usefixtures("two_hosts")
def test_the_toolkits_variables_are_all_there(run_script) -> None:
    """Names and forms of ``Environment.to_env_vars`` of SageMaker's training toolkit."""
    found = build_environment(run_script.order("x.py", config={"lr": 0.1}), {})
    assert json.loads(found["SM_CURRENT_INSTANCE_GROUP_HOSTS"]) == ["algo-1", "algo-2"]
    assert json.loads(found["SM_INSTANCE_GROUPS_DICT"]) == {"g": HOSTS["instance_groups"][0]}
    assert json.loads(found["SM_DISTRIBUTION_INSTANCE_GROUPS"]) == []
    assert (found["SM_IS_HETERO"], found["SM_FRAMEWORK_MODULE"], found["SM_FRAMEWORK_PARAMS"]) == (
        "false",
        "",
        "{}",
    )
    training = json.loads(found["SM_TRAINING_ENV"])
    assert training["hyperparameters"] == {"lr": 0.1}
    assert (training["hosts"], training["master_hostname"], training["is_master"]) == (
        ["algo-1", "algo-2"],
        "algo-1",
        False,
    )
    assert training["resource_config"] == HOSTS
    assert training["model_dir"] == found["SM_MODEL_DIR"]
    assert found["SM_HPS"] == '{"lr": 0.1}'


@pytest.mark.usefixtures("two_hosts")
def test_hosts_find_each_other_by_the_variables_of_pytorch(run_script) -> None:
    found = build_environment(run_script.order("x.py"), {"MASTER_PORT": "1234"})
    assert (found["MASTER_ADDR"], found["NCCL_SOCKET_IFNAME"]) == ("algo-1", "eth0")
    assert found["MASTER_PORT"] == "1234", "the user's own wins"
    assert (found["SM_MASTER_ADDR"], found["SM_MASTER_PORT"]) == ("algo-1", "7777")


def test_a_script_on_one_host_chooses_for_itself(run_script) -> None:
    found = build_environment(run_script.order("x.py"), {})
    assert {"MASTER_ADDR", "MASTER_PORT", "NCCL_SOCKET_IFNAME"}.isdisjoint(found)


@pytest.mark.usefixtures("two_hosts")
def test_torchrun_on_each_of_two_hosts(run_script) -> None:
    script = run_script.write("")
    order = run_script.order(
        script, config={"lr": 1}, launch="torchrun", environment={"CUDA_VISIBLE_DEVICES": "0,1"}
    )
    assert build_command(order)[1:] == [
        *("-m", "torch.distributed.run", "--nproc_per_node", "2", "--nnodes", "2"),
        *("--master_addr", "algo-1", "--master_port", "7777", "--node_rank", "1"),
        *(str(script), "--lr", "1"),
    ]
    assert build_environment(order, {})["SM_DISTRIBUTION_INSTANCE_GROUPS"] == '["g"]'


TORCHRUN = """
import runpy, sys
at = sys.argv.index("--standalone")
assert sys.argv[1:at] == ["--nproc_per_node", "1"], sys.argv
sys.argv = sys.argv[at + 1 :]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_torchrun_starts_the_script_on_one_host(run_script, tmp_path: Path) -> None:
    package = tmp_path / "site" / "torch" / "distributed"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "run.py").write_text(TORCHRUN)
    outcome = run_script(
        "import sys; print('[tune-metric]: {\"epoch\": %s}' % sys.argv[-1])",
        config={"lr": 3},
        resource_attr="epoch",
        launch="torchrun",
        import_paths=[str(tmp_path / "site")],
    )
    assert (outcome.end.exit, outcome.resources) == (0, [3])


def test_our_variables_and_paths(run_script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,-1")
    order = run_script.order(
        "x.py", until=9, resume_from=3, resource_attr="epoch", trial_id=5, dollars_per_hour=2.0,
        import_paths=["/first"], environment={"MINE": "1"},
    )  # fmt: skip
    found = build_environment(order, {"PYTHONPATH": "/last", "MINE": "0"}, packages="/packages")
    assert {name: text for name, text in found.items() if name.startswith("TUNEWRIGHT_")} == {
        "TUNEWRIGHT_CHECKPOINT_DIR": order.checkpoint_dir,
        "TUNEWRIGHT_UNTIL": "9",
        "TUNEWRIGHT_RESUME_FROM": "3",
        "TUNEWRIGHT_RESOURCE_ATTR": "epoch",
        "TUNEWRIGHT_TRIAL": "5",
        "TUNEWRIGHT_DOLLARS_PER_HOUR": "2.0",
    }
    assert found["PYTHONPATH"].split(":")[:3] == ["/first", "/packages", "/last"]
    assert found["PYTHONPATH"].endswith("compat")
    assert (found["MINE"], found["SM_NUM_GPUS"]) == ("1", "1")
