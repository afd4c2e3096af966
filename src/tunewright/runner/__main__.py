"""The entry of the runner: ``runner.pyz MODE ARGUMENTS``."""

from __future__ import annotations

import importlib
import sys

from .contract import Mode

MODULES = {
    Mode.LOCAL.value: "local_run",
    Mode.CALL.value: "call_function",
    Mode.FUNCTIONS.value: "function_server",
    Mode.S3.value: "s3_job",
    Mode.LOGS.value: "log_job",
    Mode.WORKER.value: "s3_worker",
    Mode.FOLDER.value: "folder_job",
    Mode.FOLDER_WORKER.value: "folder_worker",
    Mode.REMOTE.value: "remote_job",
}
"""Module of this package whose ``main(arguments)`` runs a mode; only that one is imported."""


def main(arguments: list[str]) -> int:
    """Run the mode that the first argument names."""
    mode = arguments[0] if arguments else ""
    if mode not in MODULES:
        sys.stderr.write(f"usage: runner.pyz {{{','.join(MODULES)}}} ARGUMENTS\n")
        return 2
    return importlib.import_module(f"{__package__}.{MODULES[mode]}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
