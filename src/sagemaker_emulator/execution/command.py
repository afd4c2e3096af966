"""Command line and environment of a job's process 1, from its request."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from sagemaker_emulator.execution.folders import CONTAINER_ML, WARM_POOL_CACHE, HostFolder
from sagemaker_emulator.service.executor import JobOrder, JobRequest


class Isolation(StrEnum):
    """Way to give a job its own ``/opt/ml``."""

    AUTO = "auto"
    """Namespaces if the machine allows them, otherwise a folder."""
    NAMESPACES = "namespaces"
    """Mount, PID and UTS namespaces: the job's folder is ``/opt/ml`` and its entrypoint is process 1."""
    FOLDER = "folder"
    """A base directory that replaces ``/opt/ml`` in the job's command and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Settings of the execution of jobs.

    Raises
    ------
    ValueError
        The speed is not positive.
    """

    endpoint_url: str
    """URL of the emulator; ``AWS_ENDPOINT_URL`` in jobs."""
    region: str
    access_key: str
    secret_key: str
    speed: float = 1.0
    """Divisor of service seconds (checkpoint period); training is not scaled."""
    interpreters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """TrainingImage -> Python interpreter; other images use the default one."""
    default_interpreter: Path = Path(sys.executable)
    file_systems: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Id of an EFS or FSx for Lustre file system -> folder that stands for it."""
    isolation: Isolation = Isolation.AUTO

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(
                f"speed must be positive, got {self.speed}; 1 is real time, 60 a minute per second"
            )

    def interpreter(self, image: str) -> Path:
        """Python interpreter for a TrainingImage."""
        return self.interpreters.get(image, self.default_interpreter)


MARKER: Final = "SAGEMAKER_EMULATOR"
"""Environment variable that marks the processes of an emulator; its value is the emulator's folder."""
_OF_AWS_IMAGES: Final = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
"""Variables of the Dockerfiles of aws/deep-learning-containers."""
_AWS_IMAGE: Final = re.compile(
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.-]+/(pytorch|tensorflow|huggingface|mxnet|autogluon|djl)[a-z-]*[:@]"
)
_TOOLKIT: Final = Path(__file__).with_name("toolkit.py")
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ML_PATH: Final = re.compile(rf"(?<![\w./-]){re.escape(CONTAINER_ML)}(?![\w.-])")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with its complete environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    is_isolated: bool = False
    """Whether the command has no network."""

    def moved_to(self, folder: Path) -> Command:
        """The same command with another folder instead of ``/opt/ml``; toolkits read it from SAGEMAKER_BASE_DIR."""
        target = str(folder)
        moved = {name: _ML_PATH.sub(lambda _: target, value) for name, value in self.environment.items()}
        return Command(
            [_ML_PATH.sub(lambda _: target, argument) for argument in self.arguments],
            {"SAGEMAKER_BASE_DIR": target} | moved,
            self.is_isolated,
        )


def is_aws_image(request: JobRequest) -> bool:
    """Whether a job's image is one of AWS's deep learning containers, by its name."""
    return _AWS_IMAGE.match(request["AlgorithmSpecification"].get("TrainingImage", "")) is not None


def job_command(
    order: JobOrder,
    settings: ExecutionSettings,
    folder: HostFolder,
    marker: str,
    credentials: Mapping[str, str],
    *,
    is_bare: bool = False,
) -> Command:
    """Command and environment of one instance of a job, as in a container.

    Nothing is inherited from the emulator's own environment. The request's ``Environment`` takes precedence. A job with
    network isolation gets neither credentials nor endpoint; a bare one lacks the variables that AWS's images set.
    """
    request = order.request
    interpreter = settings.interpreter(request["AlgorithmSpecification"].get("TrainingImage", ""))
    environment = {
        "PATH": f"{interpreter.parent}:{_SYSTEM_PATH}",
        "HOME": str(folder.home),
        "TMPDIR": str(folder.tmp),
        **({} if is_bare else _OF_AWS_IMAGES),
        "TRAINING_JOB_NAME": order.name,
        "TRAINING_JOB_ARN": order.arn,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        MARKER: marker,
    }
    is_isolated = bool(request.get("EnableNetworkIsolation"))
    if not is_isolated:
        environment |= {**credentials, "AWS_ENDPOINT_URL": settings.endpoint_url}
    if request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
        environment["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"] = WARM_POOL_CACHE
    environment |= request.get("Environment") or {}
    return Command(_arguments(order, interpreter), environment, is_isolated)


def _arguments(order: JobOrder, interpreter: Path) -> list[str]:
    """The request's entrypoint, or the image's: ``train`` of the SageMaker toolkit."""
    algorithm = order.request["AlgorithmSpecification"]
    entrypoint = list(algorithm.get("ContainerEntrypoint") or [])
    if not entrypoint:
        return [str(interpreter), "-I", str(_TOOLKIT)]
    if entrypoint[0] in {"python", "python3"}:
        entrypoint[0] = str(interpreter)
    return [*entrypoint, *(algorithm.get("ContainerArguments") or [])]
