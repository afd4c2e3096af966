"""The entry of the runner: ``runner.pyz MODE ARGUMENTS``."""

from __future__ import annotations

import importlib
import sys

MODES = {
    "local": "local",
    "call": "call",
    "sagemaker": "s3_job",
    "logs": "log_job",
    "worker": "worker",
    "remote": "remote_job",
}
"""Mode -> module of this package whose ``main(arguments)`` is called; loaded only when it is asked for."""


def main(arguments: list[str]) -> int:
    """Start the mode that the first argument names."""
    mode = arguments[0] if arguments else ""
    if mode not in MODES:
        sys.stderr.write(f"usage: runner.pyz {{{','.join(MODES)}}} ARGUMENTS\n")
        return 2
    return importlib.import_module(f"{__package__}.{MODES[mode]}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
