"""How a user's script is started: its command line, its environment, and the paths of this package."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .contract import (
    CHECKPOINT_DIR_VARIABLE,
    METRIC_VARIABLE,
    PRICE_VARIABLE,
    RESOURCE_ATTR_VARIABLE,
    RESUME_FROM_VARIABLE,
    TRIAL_VARIABLE,
    UNTIL_VARIABLE,
    Mode,
)
from .run_order import AS_CONFIG_JSON, AS_FLAG, AS_HYDRA, TORCHRUN, RunOrder

ROOT = Path(__file__).absolute().parent.parent
"""The zipapp, or the folder that holds this package."""
IS_ZIPAPP = ROOT.is_file()


def entry() -> list[str]:
    """Arguments of Python that start this package."""
    return [str(ROOT)] if IS_ZIPAPP else ["-m", str(__package__)]


def foreign_paths() -> list[str]:
    """Python's import path without the zipapp."""
    return [path for path in sys.path if not IS_ZIPAPP or Path(path).absolute() != ROOT]


def trial_side_paths() -> list[str]:
    """Where ``tunewright`` and ``syne_tune`` are for a script; each only if its Python has not got it."""
    package = ROOT / "trial" / "tunewright" if IS_ZIPAPP else ROOT
    folders = {"tunewright": package.parent, "syne_tune": package / "compat"}
    elsewhere = foreign_paths()
    return [str(folder) for name, folder in folders.items() if not PathFinder.find_spec(name, elsewhere)]


_SYNE_TUNE = re.compile(r"^\s*(?:from|import)\s+syne_tune\b", re.MULTILINE)
_HYDRA = re.compile(r"^\s*(?:from|import)\s+hydra\b", re.MULTILINE)
_HYDRA_WORD = re.compile(r"(?!(?:true|false|null|nan|inf)\Z)[a-z_][a-z0-9_./-]*", re.IGNORECASE | re.ASCII)
_BEFORE_QUOTE = re.compile(r"(\\*)('|\Z)")
MASTER_PORT = "7777"
"""Port of the first host for PyTorch's processes, as in SageMaker's toolkit."""
_CHECKPOINT_OPTIONS = ("--checkpoint_dir", "--checkpoint-dir", "--st_checkpoint_dir")


def build_command(order: RunOrder) -> list[str]:
    """The command that starts the script: a list, never a shell's line, so that values may hold blanks and quotes."""
    interpreter = order.interpreter or sys.executable
    if order.function:
        return [*order.prefix, interpreter, *entry(), Mode.CALL.value, order.function, order.config_file]
    script = Path(order.cwd, order.script).absolute()
    start = [str(script)]
    if script.suffix == ".py":
        start = [interpreter, *_launcher(order), str(script)]
    return [*order.prefix, *start, *_script_arguments(order, script)]


def _script_arguments(order: RunOrder, script: Path) -> list[str]:
    """Everything that follows the script on its command line."""
    text = script.read_text(encoding="utf-8", errors="replace")
    if order.arguments == AS_HYDRA:
        return _overrides(order, text)
    return [*_hyperparameters(order, text), *_checkpoint_arguments(order, text)]


def _launcher(order: RunOrder) -> list[str]:
    """Arguments of Python before the script.

    ``torchrun`` is the command of the module ``torch.distributed.run``. Hosts find each other by address and port of the first
    one, as SageMaker's training toolkit lets them (``torch_distributed.py``).
    """
    if order.launch != TORCHRUN:
        return []
    hosts, host = _hosts(_read_json(_config_folder(order) / "resourceconfig.json"))
    n_processes = _count_gpus({**os.environ, **order.environment}) or 1
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(n_processes)]
    if len(hosts) == 1:
        return [*launcher, "--standalone"]
    place = ["--master_addr", hosts[0], "--master_port", MASTER_PORT, "--node_rank", str(hosts.index(host))]
    return [*launcher, "--nnodes", str(len(hosts)), *place]


def _hyperparameters(order: RunOrder, text: str) -> list[str]:
    if order.arguments == AS_CONFIG_JSON:
        option = "--st_config_json_filename" if _SYNE_TUNE.search(text) else "--config_json"
        return [option, order.config_file]
    arguments: list[str] = []
    for name, value in order.config.items():
        arguments += _argument(name, value, as_flag=order.booleans == AS_FLAG)
    return arguments


def hydra_overrides(config: Mapping[str, Any]) -> list[str]:
    """Hyperparameters as overrides of Hydra, ``name=value``."""
    return [f"{name}={_override_value(value)}" for name, value in config.items()]


def _overrides(order: RunOrder, text: str) -> list[str]:
    """The hyperparameters as overrides of Hydra, and the folder of its output.

    A script that imports Hydra writes its output folder below SM_OUTPUT_DATA_DIR: Hydra names folders by the second, so
    that trials would share them.
    """
    folder = {"hydra.run.dir": str(Path(order.base_dir, "output", "data", "hydra"))}
    return hydra_overrides({**(folder if _HYDRA.search(text) else {}), **order.config})


def _override_value(value: Any) -> str:
    """A value in Hydra's grammar: a text is quoted unless it is a plain word.

    Between single quotes, a quote has a backslash before it, and the backslashes before a quote are doubled (Hydra 1.1
    and later, "Quoted values" of the override grammar).
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if _HYDRA_WORD.fullmatch(value):
        return value
    escaped = _BEFORE_QUOTE.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def _argument(name: str, value: Any, *, as_flag: bool) -> list[str]:
    if as_flag and isinstance(value, bool):
        return [f"--{name}"] if value else []
    text = str(value)
    # argparse would take "-1e-05" for an option of its own
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _checkpoint_arguments(order: RunOrder, text: str) -> list[str]:
    """The checkpoint folder as an argument, under the names that the script's text holds."""
    wanted = [option for option in _CHECKPOINT_OPTIONS if re.search(rf"{option}\b", text)]
    if _SYNE_TUNE.search(text) and "--st_checkpoint_dir" not in wanted:
        wanted.append("--st_checkpoint_dir")
    arguments: list[str] = []
    for option in wanted:
        if option[2:] not in order.config:
            arguments += [option, order.checkpoint_dir]
    return arguments


def build_environment(order: RunOrder, inherited: Mapping[str, str], packages: str = "") -> dict[str, str]:
    """Everything that the script finds in its environment.

    Parameters
    ----------
    order
        The run.
    inherited
        The runner's own environment; the order's values win.
    packages
        A folder of packages that were installed for the script; empty: none.
    """
    sagemaker = _sagemaker(order)
    environment = {
        **_distributed(sagemaker),
        **inherited,
        **sagemaker,
        **_tunewright(order),
        **order.environment,
    }
    paths = [*order.import_paths, packages, environment.get("PYTHONPATH", ""), *trial_side_paths()]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment


def _tunewright(order: RunOrder) -> dict[str, str]:
    variables = {
        CHECKPOINT_DIR_VARIABLE: order.checkpoint_dir,
        RESUME_FROM_VARIABLE: str(order.resume_from),
        RESOURCE_ATTR_VARIABLE: order.resource_attr,
        TRIAL_VARIABLE: str(order.trial_id),
        UNTIL_VARIABLE: "" if order.until is None else str(order.until),
    }
    if order.metric:
        variables[METRIC_VARIABLE] = order.metric
    if order.dollars_per_hour:
        variables[PRICE_VARIABLE] = repr(order.dollars_per_hour)
    return variables


def _distributed(sagemaker: Mapping[str, str]) -> dict[str, str]:
    """Variables of PyTorch and NCCL for scripts on several hosts, as SageMaker's PyTorch containers set them."""
    if sagemaker["SM_HOST_COUNT"] == "1":
        return {}
    return {
        "MASTER_ADDR": sagemaker["SM_MASTER_ADDR"],
        "MASTER_PORT": sagemaker["SM_MASTER_PORT"],
        "NCCL_SOCKET_IFNAME": sagemaker["SM_NETWORK_INTERFACE_NAME"],
    }


def _config_folder(order: RunOrder) -> Path:
    return Path(order.base_dir, "input", "config")


def _hosts(resources: Mapping[str, Any]) -> tuple[list[str], str]:
    """All hosts of the job and this one, by the content of ``resourceconfig.json``."""
    hosts: list[str] = resources.get("hosts") or ["algo-1"]
    return hosts, resources.get("current_host") or hosts[0]


def _sagemaker(order: RunOrder) -> dict[str, str]:
    """The SM_* variables, from the files below ``base_dir`` or from this machine."""
    base = Path(order.base_dir)
    facts: dict[str, Any] = {
        **_machine_facts(_config_folder(order), order),
        **_folder_facts(base),
        **_script_facts(order),
        **_FRAMEWORK_FACTS,
        "HPS": order.config,
    }
    channels = {**_channels(base / "input" / "data"), **order.channels}
    facts["TRAINING_ENV"] = _training_env(facts, channels)
    facts["CHANNELS"] = sorted(channels)
    facts.update({f"HP_{_upper(name)}": value for name, value in order.config.items()})
    facts.update({f"CHANNEL_{_upper(name)}": folder for name, folder in channels.items()})
    return {f"SM_{name}": fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def _machine_facts(folder: Path, order: RunOrder) -> dict[str, Any]:
    resources = _read_json(folder / "resourceconfig.json")
    hosts, host = _hosts(resources)
    listed: list[dict[str, Any]] = resources.get("instance_groups") or []
    groups = {str(group["instance_group_name"]): group for group in listed}
    group_name = resources.get("current_group_name") or "homogeneousCluster"
    return {
        "HOSTS": hosts,
        "HOST_COUNT": len(hosts),
        "CURRENT_HOST": host,
        "CURRENT_HOST_RANK": hosts.index(host) if host in hosts else 0,
        "CURRENT_INSTANCE_TYPE": resources.get("current_instance_type") or "local",
        "CURRENT_INSTANCE_GROUP": group_name,
        "CURRENT_INSTANCE_GROUP_HOSTS": groups.get(group_name, {}).get("hosts", hosts),
        "INSTANCE_GROUPS": list(groups),
        "INSTANCE_GROUPS_DICT": groups,
        "DISTRIBUTION_INSTANCE_GROUPS": [group_name] if order.launch else [],
        "IS_HETERO": len(groups) > 1,
        "NETWORK_INTERFACE_NAME": resources.get("network_interface_name") or "lo",
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": MASTER_PORT,
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": _read_json(folder / "inputdataconfig.json"),
        "NUM_GPUS": _count_gpus({**os.environ, **order.environment}),
        "NUM_CPUS": os.cpu_count() or 1,
        "NUM_NEURONS": 0,
        "LOG_LEVEL": 20,
    }


_FRAMEWORK_FACTS: dict[str, Any] = {"FRAMEWORK_MODULE": "", "FRAMEWORK_PARAMS": {}}
"""Of the toolkit's own framework modules, which this runner does without."""


def _training_env(facts: Mapping[str, Any], channels: Mapping[str, str]) -> dict[str, Any]:
    """SM_TRAINING_ENV: most other variables once more, by the names of the toolkit's ``Environment``."""
    others = {"HPS", "FRAMEWORK_PARAMS", "USER_ARGS", "MASTER_ADDR", "MASTER_PORT"}
    return {
        **{name.lower(): fact for name, fact in facts.items() if name not in others},
        "additional_framework_parameters": facts["FRAMEWORK_PARAMS"],
        "channel_input_dirs": dict(channels),
        "distribution_hosts": facts["HOSTS"],
        "hyperparameters": facts["HPS"],
        "is_master": facts["CURRENT_HOST"] == facts["MASTER_ADDR"],
        "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        "master_hostname": facts["MASTER_ADDR"],
    }


def _folder_facts(base: Path) -> dict[str, Any]:
    return {
        "MODEL_DIR": str(base / "model"),
        "INPUT_DIR": str(base / "input"),
        "INPUT_CONFIG_DIR": str(base / "input" / "config"),
        "OUTPUT_DIR": str(base / "output"),
        "OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "OUTPUT_INTERMEDIATE_DIR": str(base / "output" / "intermediate"),
    }


def _script_facts(order: RunOrder) -> dict[str, Any]:
    script = Path(order.script_file)
    path = Path(order.cwd, script)
    return {
        "MODULE_DIR": str(script.parent),
        "SOURCE_DIR": str(script.parent),
        "MODULE_NAME": script.stem,
        "USER_ENTRY_POINT": script.name,
        "ENTRY_SCRIPT": script.name,
        "USER_ARGS": [] if order.function or not path.is_file() else _script_arguments(order, path),
    }


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _channels(data: Path) -> dict[str, str]:
    """The input folders that the platform has filled."""
    return {entry.name: str(entry) for entry in data.iterdir() if entry.is_dir()} if data.is_dir() else {}


def _count_gpus(environment: Mapping[str, str]) -> int:
    """GPUs that the script may use."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    gpus = Path("/proc/driver/nvidia/gpus")
    return len(list(gpus.iterdir())) if gpus.is_dir() else 0


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
