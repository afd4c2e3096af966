"""The executor that runs jobs as processes, which see the environment of a container."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from sagemaker_emulator.execution.command import ExecutionSettings
from sagemaker_emulator.execution.instance import Instance
from sagemaker_emulator.execution.output import OutputPump
from sagemaker_emulator.execution.sandbox import choose_sandbox, kill_orphans
from sagemaker_emulator.execution.transfer import upload_artifacts
from sagemaker_emulator.service.executor import ExecutionError, Executor, JobArtifacts, JobExit, JobOrder
from sagemaker_emulator.storage import AwsServices

_SYNC_SECONDS: Final = 10.0
"""Service seconds between two uploads of checkpoints; the service's own interval is not documented."""
_MIN_SYNC_SECONDS: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


@final
class ProcessExecutor(Executor):
    """Runs each instance of a job as processes with their own ``/opt/ml``; thread-safe.

    The processes end with this one, also after kill -9. Orphans of an earlier emulator in the same folder are killed at
    the start.

    Parameters
    ----------
    settings
        Endpoint of the jobs, speed, interpreters and isolation.
    aws
        Source of channels, target of artifacts, checkpoints and log lines.

    Raises
    ------
    RuntimeError
        Namespaces were requested, but the machine does not allow them.
    """

    def __init__(self, settings: ExecutionSettings, aws: AwsServices) -> None:
        self._settings = settings
        self._aws = aws
        self._marker = str(aws.directory.resolve())
        kill_orphans(self._marker)
        self._sandbox = choose_sandbox(settings.isolation)
        self._pump = OutputPump()
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="checkpoint-sync", daemon=True)
        self._syncer.start()

    @override
    def prepare(self, order: JobOrder) -> int:
        """Build ``/opt/ml`` of each instance; see :meth:`Executor.prepare`."""
        self.discard(order.name)
        count = order.request["ResourceConfig"].get("InstanceCount", 1)
        hosts = [f"algo-{number + 1}" for number in range(count)]
        root = order.cluster_dir / "jobs" / f"{order.name}-{order.attempt}"
        shutil.rmtree(root, ignore_errors=True)  # may exist after kill -9
        instances = [
            Instance(order, hosts, number, root / name, self._aws) for number, name in enumerate(hosts)
        ]
        job = _Job(root, instances)
        with self._lock:
            self._jobs[order.name] = job
        try:
            return sum(instance.prepare(self._settings.file_systems) for instance in job.instances)
        except (OSError, ValueError) as error:
            raise ExecutionError(f"ClientError: Data download failed:{error}") from error

    @override
    def launch(self, order: JobOrder) -> None:
        """Start the processes of each instance; see :meth:`Executor.launch`."""
        try:
            for instance in self._job(order.name).instances:
                instance.launch(self._sandbox, self._pump, self._settings, self._marker)
        except (OSError, ValueError) as error:  # such as a process limit, or a NUL in a variable
            raise ExecutionError(f"InternalServerError: The job cannot be started: {error}") from error

    @override
    def poll(self, name: str) -> JobExit | None:
        return self._job(name).poll()

    @override
    def terminate(self, name: str) -> None:
        for instance in self._job(name).instances:
            instance.terminate()

    @override
    def kill(self, name: str) -> None:
        for instance in self._job(name).instances:
            instance.kill()

    @override
    def finish(self, order: JobOrder) -> JobArtifacts:
        job = self._job(order.name)
        for instance in job.instances:
            instance.end()
        try:
            for instance in job.instances:
                instance.sync_checkpoints()
            folders = [instance.folder for instance in job.instances]
            model_uri = upload_artifacts(
                self._aws.objects_of(order.request.get("RoleArn", "")), order.request, order.name, folders
            )
        except (LookupError, OSError, ValueError) as error:
            raise ExecutionError(f"ClientError: Checkpoint upload failed: {error}") from error
        finally:
            self.discard(order.name)
        metrics = {metric[0]: metric for instance in reversed(job.instances) for metric in instance.metrics()}
        return JobArtifacts(model_uri=model_uri, final_metrics=tuple(metrics.values()))

    @override
    def discard(self, name: str) -> None:
        """Kill the job's processes and forget it; unknown names are ignored."""
        with self._lock:
            job = self._jobs.pop(name, None)
        if job is not None:
            for instance in job.instances:
                instance.release()
            shutil.rmtree(job.root, ignore_errors=True)

    @override
    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            names = list(self._jobs)
        for name in names:
            self.kill(name)
        for name in names:
            self.discard(name)
        self._syncer.join()
        self._sandbox.close()
        self._pump.close()

    def _job(self, name: str) -> _Job:
        with self._lock:
            return self._jobs[name]

    def _sync(self) -> None:
        period = max(_MIN_SYNC_SECONDS, _SYNC_SECONDS / self._settings.speed)
        while not self._closing.wait(period):
            with self._lock:
                running = [instance for job in self._jobs.values() for instance in job.instances]
            for instance in running:
                try:
                    instance.sync_checkpoints()
                except (LookupError, OSError, ValueError) as error:
                    _LOG.warning(
                        "Checkpoints of %s are not uploaded: %s", instance.folder.root.parent.name, error
                    )


@final
class _Job:
    """The instances of one job, their folder, and the first failed instance."""

    def __init__(self, root: Path, instances: Sequence[Instance]) -> None:
        self.root = root
        self.instances = instances
        self._failed: Instance | None = None

    def poll(self) -> JobExit | None:
        codes = [instance.poll() for instance in self.instances]
        if self._failed is None:
            self._failed = next(
                (each for each, code in zip(self.instances, codes, strict=True) if code), None
            )
        if None in codes:
            if self._failed is not None:
                for instance in self.instances:
                    instance.kill()
            return None
        decisive = self._failed or self.instances[0]
        return JobExit(exit_code=decisive.poll() or 0, failure_text=decisive.folder.failure_text())
