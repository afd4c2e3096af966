"""The contract of backends, with the backend of another package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from typing_extensions import override

from tunewright.interfaces import Backend
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract

FILE = Path(__file__).parent / "backend" / "foreign_backend.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("foreign_backend", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestForeignBackend(BackendContract):
    keeps_checkpoints = False

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return load().ForeignBackend(
            str(training_script.PATH),
            n_workers=n_workers,
            resource_attr="epoch",
            folder=folder / "trials",
            niceness=0,
        )

    @override
    def abandon(self, backend: Backend) -> None:
        """Its processes end with the tuner's process."""
        backend.close()
