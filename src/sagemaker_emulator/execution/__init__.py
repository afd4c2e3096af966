"""Training jobs as processes of this machine."""

from __future__ import annotations

from sagemaker_emulator.execution.command import ExecutionSettings, Isolation
from sagemaker_emulator.execution.executor import ProcessExecutor

__all__ = ["ExecutionSettings", "Isolation", "ProcessExecutor"]
