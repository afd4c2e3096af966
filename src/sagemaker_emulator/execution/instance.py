"""One instance (``algo-1`` ...) of a job: its folder, processes, log and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

from sagemaker_emulator.execution.command import ExecutionSettings, job_command
from sagemaker_emulator.execution.folders import HostFolder
from sagemaker_emulator.execution.output import JobOutput, MetricScanner, OutputPump
from sagemaker_emulator.execution.sandbox import JobProcess, Sandbox
from sagemaker_emulator.execution.transfer import CheckpointSync, S3Uri, download_channels
from sagemaker_emulator.service.executor import ExecutionError, JobOrder
from sagemaker_emulator.storage import AwsServices

DEFAULT_CHECKPOINTS: Final = "/opt/ml/checkpoints"
_OUTPUT_SECONDS: Final = 5.0
"""Maximum wait for the last lines after the end of the last process."""


@final
class Instance:
    """One instance of a job; only :meth:`sync_checkpoints` is thread-safe.

    Parameters
    ----------
    order
        The job.
    hosts
        Names of all instances of the job.
    number
        Index of this instance, from 0.
    root
        Its folder, to be created.
    aws
        Source of data, target of checkpoints and log lines.

    Raises
    ------
    ExecutionError
        The request's metric expressions or checkpoint path are not valid.
    """

    def __init__(
        self, order: JobOrder, hosts: Sequence[str], number: int, root: Path, aws: AwsServices
    ) -> None:
        self.folder = HostFolder(root, hosts[number])
        self._order = order
        self._hosts = hosts
        self._number = number
        self._aws = aws
        self._process: JobProcess | None = None
        self._output: JobOutput | None = None
        try:
            algorithm: dict[str, Any] = order.request["AlgorithmSpecification"]
            definitions: list[dict[str, str]] = algorithm.get("MetricDefinitions") or []
            self._scanner = MetricScanner(definitions)
            self._checkpoints = self._checkpoint_sync()
        except ValueError as error:
            raise ExecutionError(f"ClientError: {error}") from error

    def prepare(self) -> int:
        """Create the folder, download the data, and return its bytes.

        Raises
        ------
        ExecutionError
            Data is missing.
        """
        cache = self._order.cluster_dir / "cache" / self.folder.name
        self.folder.create(self._order.request, self._hosts, cache)
        shard = (self._number, len(self._hosts))
        size = download_channels(self._aws.store, self._order.request, self.folder, shard)
        return size + (self._checkpoints.pull() if self._checkpoints else 0)

    def launch(self, sandbox: Sandbox, pump: OutputPump, settings: ExecutionSettings, marker: str) -> None:
        """Start the processes."""
        stream = f"{self._order.name}/{self.folder.name}-{int(time.time())}"
        self._output = JobOutput(self._aws.logs, stream, self._scanner)
        self._process = sandbox.start(job_command(self._order, settings, self.folder, marker), self.folder)
        pump.attach(self._process.output, self._output)

    def poll(self) -> int | None:
        """Exit code, or None while the process runs or was never started."""
        return self._process.poll() if self._process else None

    def terminate(self) -> None:
        """Send SIGTERM to process 1."""
        if self._process:
            self._process.terminate()

    def kill(self) -> None:
        """Kill all processes."""
        if self._process:
            self._process.kill()

    def sync_checkpoints(self) -> None:
        """Upload changed checkpoints; raises the errors of :meth:`CheckpointSync.push`."""
        if self._checkpoints:
            self._checkpoints.push()

    def metrics(self) -> list[tuple[str, float, float]]:
        """Last values of the metrics; complete after :meth:`end`."""
        return self._scanner.last()

    def end(self) -> None:
        """Kill all processes and wait until their output is in the log."""
        self.kill()
        if self._process and self._output:
            self._process.wait()
            self._output.ended.wait(_OUTPUT_SECONDS)

    def release(self) -> None:
        """Kill all processes and stop using the folder, which may be removed afterwards."""
        self.end()
        if self._checkpoints:
            self._checkpoints.close()

    def _checkpoint_sync(self) -> CheckpointSync | None:
        config = self._order.request.get("CheckpointConfig")
        if not config:
            return None
        local = self.folder.local(config.get("LocalPath", DEFAULT_CHECKPOINTS))
        return CheckpointSync(self._aws.store, S3Uri.parse(config["S3Uri"]), local)
