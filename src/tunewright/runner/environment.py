"""The environment of a user's script: Tunewright's variables and those of SageMaker's training toolkit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .order import RunOrder
from .place import trial_side_paths


def build_environment(order: RunOrder, inherited: Mapping[str, str], packages: str = "") -> dict[str, str]:
    """Everything that the script finds in its environment.

    Parameters
    ----------
    order
        What is run.
    inherited
        The runner's own environment; what the order says wins.
    packages
        A folder of packages that were installed for the script; empty: none.
    """
    environment = {**inherited, **_sagemaker(order), **_tunewright(order), **order.environment}
    paths = [*order.import_paths, packages, environment.get("PYTHONPATH", ""), *trial_side_paths()]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment


def _tunewright(order: RunOrder) -> dict[str, str]:
    variables = {
        "TUNEWRIGHT_CHECKPOINT_DIR": order.checkpoint_dir,
        "TUNEWRIGHT_RESUME_FROM": str(order.resume_from),
        "TUNEWRIGHT_RESOURCE_ATTR": order.resource_attr,
        "TUNEWRIGHT_TRIAL": str(order.trial_id),
        "TUNEWRIGHT_UNTIL": "" if order.until is None else str(order.until),
    }
    if order.dollars_per_hour:
        variables["TUNEWRIGHT_DOLLARS_PER_HOUR"] = repr(order.dollars_per_hour)
    return variables


def _sagemaker(order: RunOrder) -> dict[str, str]:
    """The SM_* variables, from what lies below ``base_dir`` or from this machine."""
    base = Path(order.base_dir)
    facts: dict[str, Any] = {
        **_machine_facts(base / "input" / "config", order),
        **_folder_facts(base),
        **_script_facts(order),
        "HPS": order.config,
    }
    channels = {**_channels(base / "input" / "data"), **order.channels}
    facts["CHANNELS"] = sorted(channels)
    facts.update({f"HP_{_upper(name)}": value for name, value in order.config.items()})
    facts.update({f"CHANNEL_{_upper(name)}": folder for name, folder in channels.items()})
    return {f"SM_{name}": fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def _machine_facts(folder: Path, order: RunOrder) -> dict[str, Any]:
    resources = _read_json(folder / "resourceconfig.json")
    hosts: list[str] = resources.get("hosts") or ["algo-1"]
    host: str = resources.get("current_host") or hosts[0]
    groups = resources.get("instance_groups") or []
    return {
        "HOSTS": hosts,
        "HOST_COUNT": len(hosts),
        "CURRENT_HOST": host,
        "CURRENT_HOST_RANK": hosts.index(host) if host in hosts else 0,
        "CURRENT_INSTANCE_TYPE": resources.get("current_instance_type") or "local",
        "CURRENT_INSTANCE_GROUP": resources.get("current_group_name") or "homogeneousCluster",
        "INSTANCE_GROUPS": [group["instance_group_name"] for group in groups],
        "NETWORK_INTERFACE_NAME": resources.get("network_interface_name") or "lo",
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": 7777,
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": _read_json(folder / "inputdataconfig.json"),
        "NUM_GPUS": _count_gpus({**os.environ, **order.environment}),
        "NUM_CPUS": os.cpu_count() or 1,
        "NUM_NEURONS": 0,
        "LOG_LEVEL": 20,
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
    return {
        "MODULE_DIR": str(script.parent),
        "SOURCE_DIR": str(script.parent),
        "MODULE_NAME": script.stem,
        "USER_ENTRY_POINT": script.name,
        "ENTRY_SCRIPT": script.name,
        "USER_ARGS": [text for name, value in order.config.items() for text in (f"--{name}", str(value))],
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
    """The object in a file; an empty one where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
