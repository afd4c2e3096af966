"""The tuner itself as a job, continued by another one before its time limit ends."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from string import Template
from typing import Final

from tunewright.backends.plugin import TunerJob
from tunewright.backends.slurm.commands import SlurmCommands, SlurmError
from tunewright.backends.slurm.config import TUNER_SIGNAL_SECONDS, SlurmConfig
from tunewright.backends.slurm.job_service import ENDED_STATES, option_lines
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.checkpoints import write_atomically

_HOME: Final = "TUNEWRIGHT_HOME"
_SCRIPT: Final = Template("""\
#!/bin/bash
$options

tuner= is_cancelled= is_handed_over=
# Before the time limit a job after this one is submitted, which resumes the experiment from its journal. Trials run on meanwhile.
hand_over() {
    until (
        job=$$SLURM_JOB_ID
        for name in "$${!SLURM_@}"; do [ "$$name" = SLURM_CONF ] || unset "$$name"; done
        sbatch --parsable --dependency="afterany:$$job" $script
    ); do sleep 5; done
    echo "[tunewright] the time limit is near: the job after this one goes on"
    is_handed_over=1
    end_tuner KILL
}
# A signal may come before the tuner has begun.
end_tuner() { [ -z "$$tuner" ] || kill -"$$1" "$$tuner"; }
trap hand_over USR1
trap 'is_cancelled=1; end_tuner TERM' TERM  # cancelled or preempted: the tuner asks its trials to end, and saves everything

$environment
cd $cwd || exit 1
$setup
$command &
tuner=$$!
[ -z "$$is_cancelled" ] || end_tuner TERM
[ -z "$$is_handed_over" ] || end_tuner KILL
wait "$$tuner"
code=$$?
while kill -0 "$$tuner" 2>/dev/null; do wait "$$tuner"; code=$$?; done
[ -n "$$is_handed_over" ] || exit "$$code"
""")


def launch(config: SlurmConfig, tuner: TunerJob) -> str:
    """Submit the job of a tuner; how the user follows and ends it.

    Raises
    ------
    SettingsError
        Slurm refuses the job, or it is in the queue already.
    BackendError
        Slurm does not answer.
    """
    commands = SlurmCommands()
    commands.check()
    try:
        there = [job for job in commands.queue(tuner.name) if job.state not in ENDED_STATES]
        if there:
            raise SettingsError(
                f"The tuner {tuner.name} is {there[0].state} as job {there[0].job_id}: scancel {there[0].job_id} ends it"
            )
        tuner.folder.mkdir(parents=True, exist_ok=True)
        script = tuner.folder / "tuner.sh"
        write_atomically(script, tuner_script(config, tuner))
        job_id = commands.submit(script)
    except SlurmError as error:
        if error.is_lost:
            raise BackendError(f"Slurm does not answer ({error}): launch again with --resume") from error
        raise SettingsError(f"Slurm refuses the tuner's job ({error})") from error
    except OSError as error:
        raise SettingsError(f"{tuner.folder} cannot be written ({error})") from error
    return f"{tuner.name}: job {job_id}, output in {_log(tuner)}; scancel --name {tuner.name} ends it with its trials"


def tuner_script(config: SlurmConfig, tuner: TunerJob) -> str:
    """The script of a tuner's job, which all jobs of the tuner share.

    Parameters
    ----------
    config
        Account, QoS and setup are those of the trials; partition, time limit and further options may be others.
    tuner
        The command.
    """
    options = {
        "job-name": tuner.name,
        "output": str(_log(tuner)),
        "open-mode": "append",
        "signal": f"B:USR1@{TUNER_SIGNAL_SECONDS}",
        "ntasks": "1",
        "partition": config.tuner_partition or config.partition,
        "account": config.account,
        "qos": config.qos,
        "time": config.tuner_time_limit,
    }
    home = os.environ.get(_HOME)
    return _SCRIPT.substitute(
        options="\n".join(
            [*option_lines(options), "#SBATCH --requeue", *(f"#SBATCH {one}" for one in config.tuner_sbatch)]
        ),
        script=shlex.quote(str(tuner.folder / "tuner.sh")),
        environment=f"export {_HOME}={shlex.quote(home)}" if home else "",
        cwd=shlex.quote(str(tuner.cwd)),
        setup="\n".join(config.setup),
        command=shlex.join(tuner.command),
    )


def _log(tuner: TunerJob) -> Path:
    return tuner.folder / "tuner.log"
