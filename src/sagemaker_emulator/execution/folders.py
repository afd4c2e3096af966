"""The folder of one instance of a job: its ``/opt/ml`` and configuration files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sagemaker_emulator.service.executor import JobRequest

CONTAINER_ML: Final = "/opt/ml"
"""Path of a job's folder in a container."""
WARM_POOL_CACHE: Final = f"{CONTAINER_ML}/sagemaker/warmpoolcache"
DEFAULT_CHECKPOINTS: Final = f"{CONTAINER_ML}/checkpoints"
_FAILURE_CHARACTERS: Final = 1024
_FOLDERS: Final = ("input/config", "input/data", "model", "output/data", "checkpoints", "code", "sagemaker")


@dataclass(frozen=True, slots=True)
class HostFolder:
    """The folder of one instance (``algo-1`` ...) of a job.

    Attributes
    ----------
    root
        Parent of ``ml`` (the job's ``/opt/ml``), ``home`` and ``tmp``.
    name
        Name of the host among those of the job, ``current_host``.
    host_name
        Answer of ``gethostname``: another one, unless the entry point of AWS's images sets it.
    """

    root: Path
    name: str
    host_name: str

    @property
    def ml(self) -> Path:
        """The job's ``/opt/ml``."""
        return self.root / "ml"

    @property
    def home(self) -> Path:
        """Home folder of the job's user."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """Folder for temporary files."""
        return self.root / "tmp"

    @property
    def hosts_file(self) -> Path:
        """The job's ``/etc/hosts``."""
        return self.root / "hosts"

    def create(self, request: JobRequest, hosts: Sequence[str], cache: Path) -> None:
        """Create the tree, the configuration files, and the link to the warm pool's cache."""
        for folder in _FOLDERS:
            (self.ml / folder).mkdir(parents=True)
        self.home.mkdir()
        self.tmp.mkdir()
        cache.mkdir(parents=True, exist_ok=True)
        (self.ml / "sagemaker" / "warmpoolcache").symlink_to(cache)
        self.hosts_file.write_text(f"127.0.0.1 localhost {' '.join(hosts)} {self.host_name}\n::1 localhost\n")
        config = self.ml / "input" / "config"
        contents = {
            "hyperparameters": dict(request.get("HyperParameters") or {}),
            "inputdataconfig": _input_data_config(request),
            "resourceconfig": _resource_config(request, self.name, hosts),
        }
        if request.get("CheckpointConfig"):
            contents["checkpointconfig"] = {"LocalPath": DEFAULT_CHECKPOINTS, **request["CheckpointConfig"]}
        for name, content in contents.items():
            (config / f"{name}.json").write_text(json.dumps(content))

    def local(self, container_path: str) -> Path:
        """Path on this machine of a path under ``/opt/ml``.

        Raises
        ------
        ValueError
            The path is not under ``/opt/ml``.
        """
        below = container_path.removeprefix(CONTAINER_ML).strip("/")
        if not container_path.startswith(f"{CONTAINER_ML}/") or ".." in below.split("/"):
            raise ValueError(
                f"{container_path} is not below {CONTAINER_ML}, the only folder that is the job's own"
            )
        return self.ml / below

    def failure_text(self) -> str:
        """Beginning of ``/opt/ml/output/failure``; empty without that file."""
        file = self.ml / "output" / "failure"
        if file.is_symlink() or not file.is_file():
            return ""
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_FAILURE_CHARACTERS)


def _input_data_config(request: JobRequest) -> dict[str, Any]:
    default_mode = request["AlgorithmSpecification"].get("TrainingInputMode", "File")
    channels: dict[str, Any] = {}
    inputs: list[dict[str, Any]] = request.get("InputDataConfig") or []
    for channel in inputs:
        source: dict[str, Any] = channel["DataSource"].get("S3DataSource") or {}
        channels[channel["ChannelName"]] = {
            "TrainingInputMode": channel.get("InputMode", default_mode),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        } | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})
    return channels


def _resource_config(request: JobRequest, host: str, hosts: Sequence[str]) -> dict[str, Any]:
    instance_type = request["ResourceConfig"].get("InstanceType", "")
    group = {
        "instance_group_name": "homogeneousCluster",
        "instance_type": instance_type,
        "hosts": list(hosts),
    }
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": group["instance_group_name"],
        "hosts": list(hosts),
        "instance_groups": [group],
        "network_interface_name": "lo",
    }
