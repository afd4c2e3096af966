"""Running small scripts under the supervisor."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tunewright.runner.channel import GO_ON, Channel, End, Report
from tunewright.runner.run_order import RunOrder
from tunewright.runner.supervisor import supervise


class RecordingChannel(Channel):
    """Keeps what it is told, and wants ``wish`` once ``after`` reports have come."""

    poll_seconds = 0.02

    def __init__(self, wish: str = GO_ON, after: int = 0) -> None:
        self.wish = wish
        self.after = after
        self.reports: list[Report] = []
        self.noted: list[int] = []
        self.saved: list[int] = []
        self.ends: list[End] = []

    def load_checkpoint(self) -> None:
        pass

    def send_report(self, report: Report) -> None:
        self.reports.append(report)

    def wanted(self) -> str:
        return self.wish if len(self.reports) >= self.after else GO_ON

    def note_checkpoint(self, resource: int) -> None:
        self.noted.append(resource)

    def save_checkpoint(self, resource: int) -> bool:
        self.saved.append(resource)
        return True

    def send_end(self, end: End) -> None:
        self.ends.append(end)


@dataclass
class Outcome:
    end: End
    channel: RecordingChannel
    out: str
    err: str

    @property
    def resources(self) -> list[int]:
        return [report.resource for report in self.channel.reports]


@dataclass
class ScriptRunner:
    folder: Path
    config: dict[str, object] = field(default_factory=dict)

    def write(self, text: str, name: str = "script.py") -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def order(self, script: str | Path, **changes: object) -> RunOrder:
        values = {
            "config": self.config,
            "checkpoint_dir": str(self.folder / "checkpoint"),
            "base_dir": str(self.folder / "ml"),
            "config_file": str(self.folder / "config.json"),
            "grace": 5.0,
        }
        return RunOrder(script=str(script), **{**values, **changes})

    def __call__(self, text: str, channel: RecordingChannel | None = None, **changes: object) -> Outcome:
        return self.run(self.order(self.write(text), **changes), channel)

    def run(self, order: RunOrder, channel: RecordingChannel | None = None) -> Outcome:
        channel = channel or RecordingChannel()
        out, err = io.BytesIO(), io.BytesIO()
        end = supervise(order, channel, (out, err), owns_process=False)
        assert channel.ends == [end]
        return Outcome(end, channel, out.getvalue().decode(errors="replace"), err.getvalue().decode())


@pytest.fixture
def run_script(tmp_path: Path) -> ScriptRunner:
    return ScriptRunner(tmp_path)


@pytest.fixture
def channel() -> Callable[..., RecordingChannel]:
    return RecordingChannel
