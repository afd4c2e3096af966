"""Config of the Ray backend: flags, TOML and stored JSON."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, cast, final

from tunewright.backends.folder_plugin import FolderConfig
from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.types import Json

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
_OWN_PYTHON: Final = ("pip", "uv", "conda", "image_uri", "container")
"""Keys of a runtime environment that bring a Python of their own."""
_LEAST_SILENCE_IN_S3: Final = 60
"""Jobs write a sign of life into S3 every 15 s."""
ONE_NODE: Final = (
    "is not possible with --backend ray: Ray runs the command of a job on one node. Let the script spread over nodes with Ray Train "
    "(ray.init(), then a trainer with ScalingConfig), which takes resources beside those of the job"
)
_UPLOADED: Final = ("working_dir", "py_modules")
"""Keys that may be folders of this machine, which Ray's own client uploads."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RayConfig(FolderConfig, BackendConfig):
    """Trials are jobs of a Ray cluster.

    Raises
    ------
    SettingsError
        A number is out of range, or a text has not its form.
    """

    backend_name: ClassVar[str] = "ray"
    runs_tuners: ClassVar[bool] = True
    absent_flags: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"nodes_per_trial": ONE_NODE, "tasks_per_node": ONE_NODE}
    )

    shared_folder: str = field(default="", metadata={"metavar": "DIR"})
    """Folder that all nodes see, or s3://BUCKET/PREFIX, for the files of trials (default: the experiment's folder)."""
    address: str = field(default="", metadata={"metavar": "URL"})
    """Address of the cluster's dashboard (default: $RAY_API_SERVER_ADDRESS, $RAY_ADDRESS, or http://127.0.0.1:8265)."""
    cpus_per_trial: float = 1.0
    """CPUs of each trial; fractions are possible. Trials without any resource run on the head node."""
    num_gpus_per_trial: float = 0.0
    """GPUs of each trial; 0.5 lets two trials share one."""
    mem: str = ""
    """Memory of each trial, such as 16G (default: not reserved)."""
    resources: tuple[str, ...] = field(default=(), metadata={"metavar": "NAME=NUMBER"})
    """Further resource of each trial, such as accelerator_type:A100=0.001; may be repeated."""
    runtime_env: str = field(default="", metadata={"metavar": "FILE"})
    """JSON or TOML file with Ray's runtime environment of the jobs, such as pip, env_vars or image_uri."""
    python: str = field(default="", metadata={"metavar": "PATH"})
    """Python of the trials, 3.9 or newer (default: the tuner's; in a runtime environment with packages or an image python3)."""
    checkpoint_seconds: float = 300.0
    """Seconds between two copies of a trial's checkpoint, for the loss of its node."""
    abandon_after: float = 600.0
    """Seconds without a tuner after which trials store their checkpoints and end; 0: they go on."""
    silent_after: float = 300.0
    """Seconds without a sign of life after which a job that Ray calls running, or a worker, is replaced."""
    idle_after: float = 300.0
    """Seconds without a run after which a worker's job ends, with --execution workers."""
    list_seconds: float = 2.0
    """Least seconds between two lists of the jobs."""
    stop_grace: float = 120.0
    """Seconds after which a trial that does not end when it is asked to is stopped by Ray."""
    close_seconds: float = 120.0
    """Longest wait for jobs to end when the tuner ends."""
    max_retries: int = 20
    """New jobs of a trial after lost nodes, restarts of the head and jobs that got no resources, before it has failed."""

    def __post_init__(self) -> None:
        if not self.is_in_s3:
            FolderConfig.__post_init__(self)  # super() does not work in a class with slots
        check_at_least(self, 0.1, "list_seconds")
        check_at_least(self, _LEAST_SILENCE_IN_S3 if self.is_in_s3 else 15, "silent_after")
        names = (
            "idle_after",
            "cpus_per_trial",
            "num_gpus_per_trial",
            "price_per_hour",
            "checkpoint_seconds",
            "abandon_after",
        )
        check_at_least(self, 0, *names, "stop_grace", "close_seconds", "max_retries")
        if self.num_gpus_per_trial > 1 and self.num_gpus_per_trial % 1:
            raise SettingsError(
                f"num_gpus_per_trial={self.num_gpus_per_trial:g}: above one, Ray shares no GPU; take a whole number"
            )
        self.needs()

    @property
    def is_in_s3(self) -> bool:
        """Whether the files of trials are in S3."""
        return self.shared_folder.startswith("s3://")

    def needs(self) -> dict[str, float]:
        """Resources of a trial by Ray's names, ``memory`` in bytes; those that are not 0.

        Raises
        ------
        SettingsError
            A text has not its form.
        """
        named = {
            "CPU": self.cpus_per_trial,
            "GPU": self.num_gpus_per_trial,
            "memory": float(_bytes(self.mem)),
        }
        for text in self.resources:
            name, equals, number = text.rpartition("=")
            if not name or not equals or not re.fullmatch(r"\d+(\.\d+)?", number) or name in named:
                raise SettingsError(
                    f"resources={text!r}: write NAME=NUMBER, with a name that is not CPU, GPU or memory"
                )
            named[name] = float(number)
        return {name: number for name, number in named.items() if number}

    def environment(self) -> dict[str, Json]:
        """Ray's runtime environment of the jobs, read from its file; empty if there is none.

        Raises
        ------
        SettingsError
            The file cannot be read, or asks for an upload.
        """
        if not self.runtime_env:
            return {}
        file = Path(self.runtime_env).expanduser()
        try:
            text = file.read_text(encoding="utf-8")
            found: object = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"runtime_env={file} cannot be read ({error}): give a JSON or TOML file"
            ) from error
        if not isinstance(found, dict):
            raise SettingsError(f"runtime_env={file} has no mapping at its top")
        environment = cast("dict[str, Json]", found)
        for name in _UPLOADED:
            for place in _listed(environment.get(name)):
                if "://" not in place:
                    raise SettingsError(
                        f"{name}={place!r} in runtime_env={file} would be uploaded: the shared folder brings the code, so leave it out"
                    )
        return environment

    def interpreter(self, own: str) -> str:
        """Python of the trials.

        Parameters
        ----------
        own
            The tuner's.

        Raises
        ------
        SettingsError
            The runtime environment cannot be read.
        """
        brings_python = any(name in self.environment() for name in _OWN_PYTHON)
        return self.python or ("python3" if brings_python else own)


def _bytes(size: str) -> int:
    """Bytes of a size such as ``16G``; 0 for an empty text."""
    if not size:
        return 0
    match = _SIZE.fullmatch(size)
    if match is None:
        raise SettingsError(f"mem={size!r} is no size: write 16G or 512M")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def _listed(places: Json) -> list[str]:
    """A place, or a list of places, as a list of texts."""
    listed = places if isinstance(places, list) else [places]
    return [str(place) for place in listed if place]
