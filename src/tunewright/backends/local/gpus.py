"""GPUs: which there are, and which a run gets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from typing import final

from tunewright.exceptions import SettingsError

VARIABLE = "CUDA_VISIBLE_DEVICES"


def find_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use: those of ``CUDA_VISIBLE_DEVICES``, else all that nvidia-smi lists."""
    visible = os.environ.get(VARIABLE)
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(number) for number in range(len(lines)))


@final
class GpuPool:
    """Gives each run the GPUs that are least used; more runs than GPUs share them.

    Parameters
    ----------
    gpus
        The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them; none: runs get no such variable.
    per_trial
        How many each run gets.

    Raises
    ------
    SettingsError
        There are GPUs, but fewer than ``per_trial``.
    """

    def __init__(self, gpus: Iterable[str], per_trial: int) -> None:
        self._gpus = tuple(gpus)
        self._per_trial = per_trial
        self._running = Counter[str]()
        self._uses = Counter[str]()
        if self._gpus and per_trial > len(self._gpus):
            raise SettingsError(
                f"gpus_per_trial={per_trial}, but there are only {len(self._gpus)} GPUs to use"
            )

    def take(self) -> tuple[str, ...]:
        """The GPUs of a new run: fewest runs now first, then fewest so far, then in order."""
        ranked = sorted(self._gpus, key=lambda gpu: (self._running[gpu], self._uses[gpu]))
        return self.hold(ranked[: self._per_trial])

    def hold(self, gpus: Iterable[str]) -> tuple[str, ...]:
        """Count a run on these GPUs, such as one that was found running."""
        held = tuple(gpus)
        self._running.update(held)
        self._uses.update(held)
        return held

    def give_back(self, gpus: Iterable[str]) -> None:
        """A run on these GPUs is over."""
        self._running.subtract(gpus)
