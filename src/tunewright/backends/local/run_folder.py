"""The folder of one retry of a run, as the backend reads it while the runner writes it."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import final

from tunewright.runner.channel import End, Report
from tunewright.runner.checkpoints import write_atomically
from tunewright.runner.local_run import (
    CONTROL,
    END,
    ORDER,
    REPORTS,
    WORKING,
    attempt_lock,
    frozen_folder,
    is_locked,
    whole_resource,
)
from tunewright.runner.run_order import RunOrder


class RunState(Enum):
    """What a look at the folder shows."""

    ABSENT = "absent"
    """It was never ordered."""
    ALIVE = "alive"
    """A runner holds the attempt's lock."""
    ENDED = "ended"
    """The runner wrote its end."""
    CUT = "cut"
    """It was ordered, and nobody runs it."""


@final
class RunFolder:
    """``trials/{trial}/runs/{attempt}-{retry}``.

    Parameters
    ----------
    trial
        The trial's folder.
    attempt, retry
        Which run.
    """

    def __init__(self, trial: Path, attempt: int, retry: int) -> None:
        self.trial = trial
        self.path = trial / "runs" / f"{attempt}-{retry}"
        self.working = self.path / WORKING
        self._lock = attempt_lock(self.path)
        self._offset = 0

    @staticmethod
    def all_of(trial: Path) -> list[tuple[int, int]]:
        """The (attempt, retry) of all runs of a trial that were ordered, in order."""
        names = [order.parent.name for order in (trial / "runs").glob(f"*-*/{ORDER}")]
        return sorted((int(attempt), int(retry)) for attempt, _, retry in (n.partition("-") for n in names))

    def last_runner(self) -> tuple[str, int] | None:
        """Folder name and pid of the runner that took the attempt's lock last."""
        if not self._lock.exists():
            return None
        name, _, pid = self._lock.read_text(encoding="utf-8").partition(" ")
        return (name, int(pid)) if pid else None

    def state(self) -> RunState:
        """How things stand; the end is looked for last, because the runner writes it before it lets go."""
        if not (self.path / ORDER).exists():
            return RunState.ABSENT
        is_alive = is_locked(self._lock)
        if (self.path / END).exists():
            return RunState.ENDED
        return RunState.ALIVE if is_alive else RunState.CUT

    def is_held(self) -> bool:
        """Whether some runner works on the attempt."""
        return is_locked(self._lock)

    def order(self) -> RunOrder:
        """What was ordered."""
        return RunOrder.from_json((self.path / ORDER).read_text(encoding="utf-8"))

    def write_order(self, order: RunOrder) -> None:
        """Order it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.trial / "config.json", json.dumps(order.config))
        write_atomically(self.path / ORDER, order.to_json())

    def write_control(self, wanted: str) -> None:
        """Tell the runner what is wanted."""
        write_atomically(self.path / CONTROL, wanted)

    def end(self) -> End | None:
        """The end, once the runner has written it."""
        path = self.path / END
        return End(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def new_reports(self) -> list[Report]:
        """The reports since the last call; the first call begins with the first report."""
        path = self.path / REPORTS
        if not path.exists() or path.stat().st_size <= self._offset:
            return []
        with path.open("rb") as file:
            file.seek(self._offset)
            lines, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(lines) + len(newline)
        return [Report(**json.loads(line)) for line in lines.splitlines()]

    def continuation(self) -> tuple[str, int]:
        """Where a retry begins: folder and resource of the newest whole checkpoint; ``("", 0)`` from scratch."""
        end = self.end()
        if end is not None and end.checkpoint is not None:
            return str(frozen_folder(self.trial, end.checkpoint)), end.checkpoint
        resource = whole_resource(self.path)
        if resource is not None:
            return str(self.working), resource
        order = self.order()
        if order.checkpoint_from and Path(order.checkpoint_from).is_dir():
            return order.checkpoint_from, order.resume_from
        return "", 0

    def output(self) -> str:
        """What the script printed, then what the runner itself had to say."""
        files = [self.path / name for name in ("stdout", "stderr", "runner.log")]
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.exists())
