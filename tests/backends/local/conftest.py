"""A folder, a script and backends for it."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.testing.events import EventReader

NO_GPUS = LocalConfig(gpus=())
TRAINING = """
import os, signal, sys, time
from tunewright.report import load_newest, report, save_checkpoint

config = dict(zip([name[2:] for name in sys.argv[1::2]], sys.argv[2::2]))
if config.get("stubborn") == "True":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
saved = load_newest()
first = saved.step + 1 if saved else 1
for epoch in range(first, int(config.get("epochs", 5)) + 1):
    time.sleep(float(config.get("seconds", 0.01)))
    save_checkpoint(epoch, {"epoch": epoch})
    report(epoch=epoch, pid=os.getpid(), first=first)
"""


@dataclass
class Bench:
    """Backends over one folder."""

    folder: Path
    script: Path
    made: list[LocalBackend] = field(default_factory=list)
    orphans: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def trials(self) -> Path:
        return self.folder / "trials"

    def write(self, text: str, name: str = "train.py") -> Path:
        self.script = self.folder / name
        self.script.write_text(textwrap.dedent(text), encoding="utf-8")
        return self.script

    def backend(self, script: str | Path | None = None, **settings: object) -> LocalBackend:
        values = {"resource_attr": "epoch", "config": NO_GPUS, "grace": 5.0, "n_workers": 4, **settings}
        backend = LocalBackend(script or self.script, folder=self.trials, **values)
        self.made.append(backend)
        return backend

    def events(self, backend: LocalBackend) -> EventReader:
        return EventReader(backend, patience=300.0)

    def abandon(self, backend: LocalBackend) -> None:
        """What a killed tuner leaves."""
        backend._lock.release()
        for live in (*backend._live.values(), *backend._leaving):
            if live._process is not None:
                live._process.returncode = 0  # nobody waits for the runner
                self.orphans.append(live._process)
        self.made.remove(backend)

    def close(self) -> None:
        """Close all backends and reap the runners of abandoned ones."""
        for backend in self.made:
            backend.close()
        for process in self.orphans:
            process.returncode = None
            process.kill()
            process.wait()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, tmp_path / "train.py")
    bench.write(TRAINING)
    yield bench
    bench.close()
