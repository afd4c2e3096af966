"""A measurement's stand: the emulator with virtual jobs in this process, the tuner in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from direct import DirectS3
from played import Stage
from tuner import DONE, JOURNAL, PLAN

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.service.faults import Fault
from sagemaker_emulator.service.scripted import ScriptedExecutor, ScriptedJob
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage.memory import MemoryApplication, MemoryObjects
from tunewright.events import Event
from tunewright.journal import read_events

KEYS = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_DEFAULT_REGION": "us-east-1"}
SCRIPT = "script.py"


@dataclass
class Stand:
    """A running emulator and a folder for the tuner."""

    folder: Path
    emulator: Emulator
    store: MemoryObjects
    stage: Stage
    speed: float

    def plan(self, **plan: Any) -> None:
        """Say what the tuner does."""
        script = self.folder / "source" / SCRIPT
        script.parent.mkdir(exist_ok=True)
        script.write_text("'''A virtual training.'''\n")
        plan = {"url": self.emulator.url, "script": str(script), "workers": {}, "wall": None, **plan}
        plan.setdefault("sample_seconds", 1.0)
        (self.folder / PLAN).write_text(json.dumps(plan))

    def tuner(self, *command: str) -> subprocess.Popen[bytes]:
        """Start the tuner, or start it again; or another program that is given the folder, and finds us by its environment."""
        command = command or (sys.executable, str(Path(__file__).with_name("tuner.py")))
        environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": self.emulator.url}
        with (self.folder / "tuner.log").open("ab") as log:
            return subprocess.Popen([*command, str(self.folder)], stdout=log, stderr=log, env=environment)

    def done(self) -> dict[str, Any]:
        """What the tuner said at its end."""
        path = self.folder / DONE
        if not path.exists():
            log = (self.folder / "tuner.log").read_text()
            raise SystemExit(f"The tuner did not come to its end; see {self.folder}:\n{log[-3000:]}")
        return json.loads(path.read_text())

    def events(self) -> Iterator[Event]:
        """The events of the journal."""
        return read_events(self.folder / JOURNAL)

    def n_ended(self) -> int:
        """Runs that ended so far; counted without parsing, since it is polled."""
        path = self.folder / JOURNAL
        return path.read_bytes().count(b'{"kind":"end"') if path.exists() else 0

    def jobs(self) -> list[Any]:
        """All jobs of the emulator, as they are now."""
        engine = self.emulator._engine
        return engine.call(lambda: list(engine.jobs.values()))

    def statuses(self) -> Counter[str]:
        """How many jobs there are of each status."""
        return Counter(job.status for job in self.jobs())

    def n_instances(self) -> int:
        """Instances that jobs or warm pools hold."""
        engine = self.emulator._engine
        return engine.call(lambda: sum(sum(_sizes(cluster)) for cluster in engine.clusters()))

    def storm(self, real_seconds: float) -> None:
        """Refuse all requests of SageMaker as too many for a while."""
        book = self.emulator._server.app._components.faults
        fault = Fault(kind="throttle", target="*", count=None)
        book.add([fault])
        time.sleep(real_seconds)
        with book._lock:
            book._open = [pending for pending in book._open if pending.fault is not fault]

    def traffic(self) -> tuple[dict[str, int], dict[str, int]]:
        """Requests by operation, and how many of them were throttled."""
        application = self.emulator._server.app
        return dict(application._counts), dict(application._throttled)


def _sizes(cluster: Any) -> list[int]:
    resources = cluster.holder.request["ResourceConfig"]
    return [int(resources.get("InstanceCount") or 1)]


@contextmanager
def stand(
    folder: Path,
    cast: Callable[[JobOrder, DirectS3, Stage], ScriptedJob],
    *,
    speed: float,
    quota: int,
    faults: Sequence[Fault] = (),
    warm_pools: int = 0,
) -> Iterator[Stand]:
    """Start an emulator of virtual jobs; end it with everything in it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = MemoryObjects()
    (folder / "checkpoints").mkdir(exist_ok=True)
    stage = Stage(speed, folder / "checkpoints")
    client = DirectS3(store)
    settings = ServiceSettings(
        speed=speed,
        quotas={"ml.c5.xlarge": quota},
        warm_pool_quotas={"ml.c5.xlarge": warm_pools},
    )
    emulator = Emulator(
        EmulatorConfig(directory=folder / "state", access_key="KEY", secret_key="SECRET"),
        settings,
        lambda _url: (
            ScriptedExecutor(lambda order: cast(order, client, stage), speed=speed),
            MemoryApplication(store),
        ),
        list(faults),
    )
    emulator._server.handle_error = lambda *_: None  # whose answer was cut, or whose tuner was killed
    try:
        yield Stand(folder, emulator, store, stage, speed)
    finally:
        stage.close()
        emulator.close()


class Every(threading.Thread):
    """Does something now and then until it is closed."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._seconds = seconds
        self._act = act
        self._closed = threading.Event()
        self.start()

    def run(self) -> None:
        """Act."""
        while not self._closed.wait(self._seconds):
            self._act()

    def close(self) -> None:
        """End."""
        self._closed.set()
        self.join()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], pause: float = 0.1) -> None:
    """Wait until something is so, or the process has ended."""
    while not condition() and process.poll() is None:
        time.sleep(pause)
