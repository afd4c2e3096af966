"""Runs training scripts in forks of one process that has imported PyTorch, so that its import is paid once.

Reads a JSON object per line: ``{"modules", "script", "arguments", "variables", "stdout", "stderr"}`` begins a script and is
answered by its process ID; ``{}`` waits for its end and is answered by its return code. A process is reaped only
then, so that its ID stays its own for as long as somebody may kill it.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn


def _run(task: dict[str, Any]) -> NoReturn:
    """Be the script, in this fork."""
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, task["stdout"], os.O_WRONLY),
        (2, task["stderr"], os.O_WRONLY),
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.update(task["variables"])
    sys.argv = [task["script"], *task["arguments"]]
    sys.path[0] = str(Path(task["script"]).parent)
    status = 0
    try:
        runpy.run_path(task["script"], run_name="__main__")
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


for line in sys.stdin:
    task = json.loads(line)
    if task:
        for name in task["modules"]:
            importlib.import_module(name)
        pid = os.fork()
        if pid == 0:
            _run(task)
        answer = pid
    else:
        answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(answer, flush=True)
