"""One instance (``algo-1`` ...) of a job: its folder, processes, log and checkpoints."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from sagemaker_emulator.execution.command import ExecutionSettings, is_aws_image, job_command
from sagemaker_emulator.execution.folders import DEFAULT_CHECKPOINTS, HostFolder
from sagemaker_emulator.execution.metrics import Definitions, Metric, check_expressions, metrics_of
from sagemaker_emulator.execution.output import JobOutput, OutputPump
from sagemaker_emulator.execution.sandbox import JobProcess, Sandbox
from sagemaker_emulator.execution.transfer import CheckpointSync, S3Uri, download_channels
from sagemaker_emulator.service.executor import ExecutionError, JobOrder
from sagemaker_emulator.storage import TRAINING_LOG_GROUP, AwsServices
from sagemaker_emulator.storage.permissions import CREDENTIALS_PATH, logs_need

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
        algorithm: dict[str, Any] = order.request["AlgorithmSpecification"]
        self.folder = HostFolder(root, hosts[number], _host_name(order, hosts[number]))
        self._order = order
        self._hosts = hosts
        self._number = number
        self._aws = aws
        self._store = aws.objects_of(order.request.get("RoleArn", ""))
        self._process: JobProcess | None = None
        self._output: JobOutput | None = None
        self._stream = ""
        try:
            self._definitions: Definitions = algorithm.get("MetricDefinitions") or []
            check_expressions(self._definitions)
            self._checkpoints = self._checkpoint_sync()
        except ValueError as error:
            raise ExecutionError(f"ClientError: {error}") from error

    def prepare(self, file_systems: Mapping[str, Path]) -> int:
        """Create the folder, download the data, and return its bytes.

        Parameters
        ----------
        file_systems
            Id of a file system -> folder that stands for it.

        Raises
        ------
        ExecutionError
            Data is missing.
        """
        cache = self._order.cluster_dir / "cache" / self.folder.name
        self.folder.create(self._order.request, self._hosts, cache)
        shard = (self._number, len(self._hosts))
        size = download_channels(self._store, self._order.request, self.folder, shard, file_systems)
        return size + (self._checkpoints.pull() if self._checkpoints else 0)

    def launch(self, sandbox: Sandbox, pump: OutputPump, settings: ExecutionSettings, marker: str) -> None:
        """Start the processes."""
        self._stream = f"{self._order.name}/{self.folder.name}-{int(time.time())}"
        self._output = JobOutput(self._aws.logs if self._may_log() else None, self._stream)
        variables = self._credentials(settings)
        is_bare = self._aws.permissions is not None and not is_aws_image(self._order.request)
        command = job_command(self._order, settings, self.folder, marker, variables, is_bare=is_bare)
        self._process = sandbox.start(command, self.folder)
        pump.attach(self._process.output, self._output)

    def _credentials(self, settings: ExecutionSettings) -> Mapping[str, str]:
        """Credentials of the job as environment variables."""
        if self._aws.permissions is not None:
            return {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{settings.endpoint_url}{CREDENTIALS_PATH}",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._aws.permissions.token_of(
                    self._order.request["RoleArn"]
                ),
            }
        return {"AWS_ACCESS_KEY_ID": settings.access_key, "AWS_SECRET_ACCESS_KEY": settings.secret_key}

    def _may_log(self) -> bool:
        """Whether the role may write the log; the service drops the lines of other jobs."""
        permissions = self._aws.permissions
        if permissions is None:
            return True
        role = permissions.role(self._order.request["RoleArn"])
        members = {"logGroupName": TRAINING_LOG_GROUP, "logStreamName": self._stream}
        needs = [
            logs_need(action, members, self._aws.region) for action in ("CreateLogStream", "PutLogEvents")
        ]
        return all(role.decide(need) == "allowed" for need in needs)

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

    def metrics(self) -> list[Metric]:
        """Last values of the metrics; complete after :meth:`end`."""
        return metrics_of(self._definitions, self._aws.logs.file_of(self._stream)) if self._stream else []

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
        is_literal = self._aws.permissions is not None
        return CheckpointSync(self._store, S3Uri.parse(config["S3Uri"]), local, is_literal=is_literal)


def _host_name(order: JobOrder, host: str) -> str:
    """Host name of an instance: that of a private address, unless the image's own entry point changes it.

    AWS's images set ``algo-1`` by a library that their entry point compiles (start_with_right_hostname.sh of
    aws/deep-learning-containers); another entry point sees the name of the machine.
    """
    if not order.request["AlgorithmSpecification"].get("ContainerEntrypoint"):
        return host
    digest = hashlib.sha256(f"{order.name} {host}".encode()).digest()
    return f"ip-10-{digest[0]}-{digest[1]}-{digest[2]}.ec2.internal"
