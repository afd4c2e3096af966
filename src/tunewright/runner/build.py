"""Build the runner: one file that any Python >= 3.9 executes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from .checkpoints import write_atomically

PACKAGE = "tunewright_runner"
"""Name of this package inside the zipapp: not ``tunewright``, so that it hides nothing that is installed."""
_MAIN = (
    f'"""Entry."""\nimport sys\nfrom {PACKAGE}.__main__ import main\n'
    'if __name__ == "__main__":\n    sys.exit(main(sys.argv[1:]))\n'
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build_runner(target: Path) -> Path:
    """Write the zipapp; the same sources give the same bytes, so that it can be named by its hash.

    It holds the runner and, below ``trial/``, the trial side: ``tunewright`` with its Reporter, the callbacks
    of frameworks, and the modules that stand in for Syne Tune's.

    Parameters
    ----------
    target
        The file to write, whole or not at all.

    Returns
    -------
    Path
        ``target``.
    """
    write_atomically(target, runner_bytes(), mode=0o755)
    return target


def runner_bytes() -> bytes:
    """The content of the zipapp."""
    here = Path(__file__).parent
    root = here.parent
    files = {f"{PACKAGE}/{path.name}": path for path in here.glob("*.py") if path.name != "build.py"}
    files["trial/tunewright/__init__.py"] = root / "__init__.py"
    files["trial/tunewright/report.py"] = root / "report.py"
    for folder in ("compat", "integrations"):
        files |= {
            f"trial/tunewright/{path.relative_to(root)}": path for path in (root / folder).rglob("*.py")
        }
    contents = {name: path.read_bytes() for name, path in files.items()}
    contents["__main__.py"] = _MAIN.encode()
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return buffer.getvalue()
