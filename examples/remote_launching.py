"""
Launching remotely
==================

A remote experiment needs no machine that stays on: its tuner is a training job too, the *tuning job*. Jobs of this page run on the embedded
endpoint of this machine, not on AWS. Run it with ``python examples/remote_launching.py``; it needs the extra ``emulator``.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tunewright.experiments import load_outcome
from tunewright.storage import experiments

HERE = Path(__file__).parent


def run(command: str) -> None:
    """Run a command of the terminal in the folder of this file, and print it with its output."""
    print(f"$ {command}")
    program, *rest = shlex.split(command.replace("\\\n", " "))
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *rest],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    done.check_returncode()


# %%
# Launch
# ------
# ``--remote`` of ``tunewright tune`` stores script, settings and this package in S3, starts the tuning job, and ends. ``--wait`` stays until the
# experiment ends, and starts the tuning job again if it dies. The trials are training jobs which the tuning job creates. The endpoint runs 200
# service seconds in one second.

run(r"""tunewright tune train.py --space space.toml --metric loss --resource epoch \
    --max_resource 9 --max_resource_attr epochs --method ASHA --max_num_trials 6 --n_workers 2 \
    --experiment_tag remote-tutorial --remote --wait --backend sagemaker --endpoint embedded \
    --speed 200 --min_interval 0.2 --warm_pool""")

# %%
# Follow
# ------
# ``status`` and ``logs`` read S3, and work from any machine with the rights. A slice is the work of one tuning job.

run("tunewright remote status remote-tutorial")
run("tunewright remote logs remote-tutorial ASHA-train-0")

# %%
# Fetch
# -----
# After ``fetch`` the experiment is like any other of this machine.

run("tunewright remote fetch remote-tutorial")
run("tunewright list")

# %%
# Timeline of the trials' jobs, drawn from the journal of the tuning job:

outcome = load_outcome(list(experiments("remote-tutorial"))[-1])
outcome.plot_workers()

# %%
# Several methods and seeds
# -------------------------
# ``launch_remote.py`` of an experiment folder starts a tuning job for each method and seed; ``tunewright init FOLDER --backend sagemaker`` writes
# such a folder. ``tunewright remote stop TAG`` ends tuning jobs, their trials' jobs and warm pools. :doc:`Remote launching </remote>` has all
# states, flags, and the effects of failures.
