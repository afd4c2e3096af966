"""Training jobs as processes of this machine."""

from __future__ import annotations

from sagemaker_emulator.execution.executor import ProcessExecutor
from sagemaker_emulator.execution.settings import ExecutionSettings, Isolation

__all__ = ["ExecutionSettings", "Isolation", "ProcessExecutor"]
