"""The modules that several training scripts import."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "scripts" / "shared"


def shared_modules(*names: str) -> tuple[str, ...]:
    """Paths of modules in ``scripts/shared``, for the ``dependencies`` of a benchmark."""
    return tuple(str(_FOLDER / f"{name}.py") for name in names)
