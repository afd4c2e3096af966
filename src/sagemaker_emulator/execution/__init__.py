"""Training jobs as processes of this machine."""

from __future__ import annotations

from sagemaker_emulator.execution.command import ExecutionSettings, Isolation
from sagemaker_emulator.execution.executor import ProcessExecutor
from sagemaker_emulator.execution.image import IMAGE_PACKAGES, image_python, read_packages

__all__ = [
    "IMAGE_PACKAGES",
    "ExecutionSettings",
    "Isolation",
    "ProcessExecutor",
    "image_python",
    "read_packages",
]
