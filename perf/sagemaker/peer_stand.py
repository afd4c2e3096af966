"""A stand on the virtual clock, with CloudWatch Logs beside S3 in memory and a count of all requests, and a play of scripts
that print their reports, as those of Syne Tune do."""

from __future__ import annotations

# isort: off
from virtual import CLOCK, InlineThreads  # first, as it changes the clock

# isort: on
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from direct import DirectS3
from played import Stage, StagedPlay, accuracy
from stand import KEYS, Stand

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.service import engine, lifecycle
from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.service.scripted import ScriptedExecutor, ScriptedJob
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage import AwsServices, LogStore
from sagemaker_emulator.storage.memory import MemoryApplication, MemoryObjects

TAG = "[tune-metric]"
"""Begins a line that reports, in scripts of Syne Tune."""
SDK_SETTINGS = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}
"""Defaults of SageMaker's SDK 2: it is to tell nobody."""
SOCKET = "clock.socket"
"""In a stand's folder: where a tuner finds the clock."""
engine.ThreadPoolExecutor = InlineThreads
lifecycle.MIN_INTERVAL = 0.05


class LoopStage(Stage):
    """A stage on the emulator's own event loop, which keeps the virtual clock."""

    def __init__(self, folder: Path) -> None:
        super().__init__(1.0, folder)
        super().close()  # its thread, which waits on the real clock

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Let something happen at a second of :meth:`now`."""
        CLOCK.loop.call_at(when, self._do, act)

    def close(self) -> None:
        """There is nothing to end."""

    def _do(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
            self.errors.append(traceback.format_exc())


class Desk:
    """Passes CloudWatch Logs to moto and all else to S3 in memory, and counts the requests by operation."""

    def __init__(self, folder: Path, store: MemoryObjects) -> None:
        services = AwsServices(folder, region="us-east-1")
        self.logs: LogStore = services.logs
        self.counts: Counter[str] = Counter()
        self.n_printed = 0
        """Reports that scripts have printed."""
        self._aws = services.app
        self._memory = MemoryApplication(store)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        self.counts[target.partition(".")[2] or _s3_operation(environ)] += 1
        return (self._aws if target else self._memory)(environ, start_response)


def _s3_operation(environ: Any) -> str:
    if "/s3/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
        return "GetCallerIdentity"
    method = environ["REQUEST_METHOD"]
    is_object = "/" in environ.get("PATH_INFO", "").strip("/")
    if is_object:
        return f"{method.capitalize()}Object"
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if method == "GET":
        return "ListObjectsV2" if "list-type" in asked else "GetBucket"
    return {"PUT": "CreateBucket", "POST": "DeleteObjects"}.get(method, f"{method.capitalize()}Bucket")


class PrintingPlay(StagedPlay):
    """A script of Syne Tune's form under the image's ``train``: prints its reports, keeps its last epoch as a checkpoint.

    Like the real command it does not hear SIGTERM. Lines are in the log at once, and checkpoints in S3, which the service
    takes some seconds for.
    """

    def __init__(self, order: JobOrder, client: DirectS3, stage: Stage, desk: Desk) -> None:
        self._job = order
        self._client = client
        self._desk = desk
        self._stream = f"{order.name}/algo-1-{int(time.time())}"
        super().__init__(stage, obeys=False)

    def begin(self) -> None:
        """Read hyperparameters and checkpoint as the script does."""
        raw = self._job.request["HyperParameters"]
        self._config = {
            name: json.loads(text) for name, text in raw.items() if not name.startswith("sagemaker_")
        }
        uri = self._job.request["CheckpointConfig"]["S3Uri"]
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._key = f"{prefix.rstrip('/')}/state.json"
        self._epoch = self._stored_epoch()
        self._iter = 0
        self._began = time.monotonic()
        self._seconds = float(self._config["seconds"])
        self._stage.n_training += 1
        self._desk.logs.open_stream(self._stream)
        self._next = self._stage.now()
        self._go_on()

    def on_abort(self) -> None:
        """The script is gone."""
        if self._exit is None:
            self._stop_training()

    def _stored_epoch(self) -> int:
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._key)
        except self._client.exceptions.NoSuchKey:
            return 0
        return int(json.loads(found["Body"].read())["epoch"])

    def _go_on(self) -> None:
        if self._epoch >= int(self._config["epochs"]):
            self._stop_training()
            self.leave(0)
            return
        self._next += self._seconds
        self._stage.at(self._next, self._train)

    def _train(self) -> None:
        if self._is_gone:
            return
        self._epoch += 1
        state = json.dumps({"epoch": self._epoch}).encode()
        self._client.put_object(Bucket=self._bucket, Key=self._key, Body=state)
        report = {
            "epoch": self._epoch,
            "accuracy": accuracy(self._config, self._epoch),
            "st_worker_timestamp": time.time(),
            "st_worker_time": time.monotonic() - self._began,
            "st_worker_iter": self._iter,
        }
        self._iter += 1
        self._desk.n_printed += 1
        self._desk.logs.append(self._stream, [(int(time.time() * 1000), f"{TAG}: {json.dumps(report)}")])
        self._go_on()

    def _stop_training(self) -> None:
        self._stage.n_training -= 1
        self._stage.busy.append(time.monotonic() - self._began)


@contextmanager
def virtual_stand(
    folder: Path,
    cast: Callable[[JobOrder, DirectS3, Stage, Desk], ScriptedJob],
    *,
    quota: int,
    warm_pools: int = 0,
) -> Iterator[tuple[Stand, Desk]]:
    """Start an emulator of virtual jobs at speed 1 on the virtual clock; end it with everything in it."""
    (folder / "checkpoints").mkdir(parents=True)
    store = MemoryObjects()
    store.create_bucket("peer")
    stage, client, desk = LoopStage(folder / "checkpoints"), DirectS3(store), Desk(folder / "desk", store)
    emulator = Emulator(
        EmulatorConfig(
            directory=folder / "state",
            access_key=KEYS["AWS_ACCESS_KEY_ID"],
            secret_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        ),
        ServiceSettings(
            speed=1.0, quotas={"ml.c5.xlarge": quota}, warm_pool_quotas={"ml.c5.xlarge": warm_pools}
        ),
        lambda _url: (ScriptedExecutor(lambda order: cast(order, client, stage, desk), speed=1.0), desk),
    )
    CLOCK.serve(folder / SOCKET)
    try:
        yield Stand(folder, emulator, store, stage, 1.0), desk
    finally:
        emulator.close()
