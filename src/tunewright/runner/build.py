"""Build the runner: one file that any Python >= 3.9 executes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, source_hash
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
    """Write the zipapp for use on this machine, with the bytecode of this Python's version; others compile the sources.

    Parameters
    ----------
    target
        The file to write, whole or not at all.

    Returns
    -------
    Path
        ``target``.
    """
    files = _files()
    sources = {name: path.read_bytes() for name, path in files.items()}
    bytecode = {f"{name}c": _bytecode(path, sources[name]) for name, path in files.items()}
    write_atomically(target, _zipapp({**sources, **bytecode}), mode=0o755)
    return target


def runner_bytes() -> bytes:
    """The content of the zipapp for any Python; the same sources give the same bytes, so that it can be named by its hash.

    It holds the runner and, below ``trial/``, the trial side: ``tunewright`` with its Reporter, the callbacks
    of frameworks, and the modules that stand in for Syne Tune's.
    """
    return _zipapp({name: path.read_bytes() for name, path in _files().items()})


def _files() -> dict[str, Path]:
    here = Path(__file__).parent
    root = here.parent
    files = {f"{PACKAGE}/{path.name}": path for path in here.glob("*.py") if path.name != "build.py"}
    files["trial/tunewright/__init__.py"] = root / "__init__.py"
    files["trial/tunewright/report.py"] = root / "report.py"
    for folder in ("compat", "integrations"):
        files |= {
            f"trial/tunewright/{path.relative_to(root)}": path for path in (root / folder).rglob("*.py")
        }
    return files


def _bytecode(path: Path, source: bytes) -> bytes:
    """The bytecode that imports of a module cache, marked as checked (PEP 552); empty if there is no cache."""
    SourceFileLoader(path.stem, str(path)).get_code(path.stem)  # writes the cache if it is absent or old
    try:
        cached = Path(cache_from_source(str(path))).read_bytes()
    except (OSError, NotImplementedError):
        return b""
    state = path.stat()
    is_current = cached[4:16] == b"".join(
        (number & 0xFFFFFFFF).to_bytes(4, "little") for number in (0, int(state.st_mtime), state.st_size)
    )
    return cached[:4] + (1).to_bytes(4, "little") + source_hash(source) + cached[16:] if is_current else b""


def _zipapp(contents: Mapping[str, bytes]) -> bytes:
    contents = {**contents, "__main__.py": _MAIN.encode()}
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(name for name, content in contents.items() if content or name.endswith(".py")):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return buffer.getvalue()
