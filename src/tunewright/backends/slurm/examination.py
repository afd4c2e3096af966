"""What a cluster must have, looked at part by part, with a job of a second: ``tunewright doctor --backend slurm``."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from tunewright.backends.engine.folder_backend import JOB_LOG
from tunewright.backends.engine.node_check import LATE_SECONDS, PROGRAM, file_system, node_facts
from tunewright.backends.plugin import Finding
from tunewright.backends.slurm.commands import Partition, SlurmCommands, SlurmError
from tunewright.backends.slurm.config import SlurmConfig, seconds_of
from tunewright.backends.slurm.job_service import ENDED_STATES, job_script
from tunewright.exceptions import BackendError, SettingsError
from tunewright.formatting import plural

LONGEST_WAIT: Final = 60.0
"""Seconds for the job to begin and end."""
_POLL: Final = 0.5


def examine(config: SlurmConfig, folder: Path) -> Iterator[Finding]:
    """Look at commands, partitions, accounting, the shared folder and a node; each fact as soon as it is known.

    Parameters
    ----------
    config
        Resources of the job.
    folder
        Where files of trials would be, seen by all nodes.
    """
    commands = SlurmCommands()
    try:
        commands.check()
        yield Finding(what="commands", found=_commands(commands))
        partitions = commands.partitions()
    except (BackendError, SlurmError) as error:
        remedy = "run on a login node, or give slurm.conf by SLURM_CONF; ask the cluster's administrator if slurmctld does not answer"
        yield Finding(what="Slurm", found=str(error), remedy=remedy)
        return
    yield from _partitions(config, partitions)
    yield Finding(what="accounting", found=_accounting(commands))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield Finding(what="shared folder", found=f"{folder} on {file_system(folder)}")
    except OSError as error:
        yield Finding(what="shared folder", found=str(error), remedy="--shared_folder DIR that you may write")
        return
    yield from _Job(config, commands, folder).run()


def _commands(commands: SlurmCommands) -> str:
    missing = [name for name in ("srun", "sacct") if shutil.which(name) is None]
    uses = {"srun": "no trials on several nodes", "sacct": "no reasons from accounting"}
    notes = "".join(f"; {name} is missing: {uses[name]}" for name in missing)
    return f"{commands.version()}, {shutil.which('sbatch')}{notes}"


def _accounting(commands: SlurmCommands) -> str:
    if commands.has_accounting():
        return "yes: the reasons of lost jobs come from sacct"
    return "no, and not needed: the reasons of lost jobs come from squeue"


def _partitions(config: SlurmConfig, partitions: list[Partition]) -> Iterator[Finding]:
    """The partitions, and whether the wanted ones are among them and take jobs of this length."""
    wanted = [name for name in config.partition.split(",") if name]
    known = {one.name for one in partitions}
    for one in partitions:
        gres = f", {one.gres}" if one.gres else ""
        words = f"{plural(one.n_nodes, 'node')} of {one.cpus} CPUs, {one.memory} MB{gres}; time limit {one.time_limit}"
        is_wanted = one.name in wanted or (not wanted and one.is_default)
        remedy = ""
        if is_wanted and not one.is_up:
            remedy = "it takes no jobs at present: give another --partition"
        elif is_wanted and _is_longer(config.time_limit, one.time_limit):
            remedy = f"--time_limit {config.time_limit} is longer: give at most {one.time_limit}; a trial goes on in a new job"
        mark = " (default)" if one.is_default else ""
        yield Finding(what=f"partition {one.name}{mark}", found=words, remedy=remedy)
    for name in wanted:
        if name not in known:
            remedy = f"--partition {' or '.join(sorted(known)) or 'NAME'}"
            yield Finding(what=f"partition {name}", found="there is none of this name", remedy=remedy)
    if not wanted and not any(one.is_default for one in partitions):
        yield Finding(what="partition", found="there is no default", remedy="--partition NAME")


def _is_longer(limit: str, longest: str) -> bool:
    try:
        wanted, most = seconds_of(limit), seconds_of("" if longest == "infinite" else longest)
    except SettingsError:
        return False
    return wanted is not None and most is not None and wanted > most


@final
@dataclass(frozen=True, slots=True)
class _Job:
    """A job of a second with the resources and the setup of a trial."""

    config: SlurmConfig
    commands: SlurmCommands
    folder: Path

    def run(self) -> Iterator[Finding]:
        """Submit it, wait for its end, and say what it saw."""
        name = f"tw-doctor-{secrets.token_hex(4)}"
        python = self.config.python or ("python3" if self.config.container else sys.executable)
        script = self.folder / "job.sh"
        command = [python, "-c", PROGRAM, str(self.folder)]
        script.write_text(job_script(self.config, name, self.folder, command), encoding="utf-8")
        began = time.monotonic()
        try:
            self.commands.submit(script)
        except SlurmError as error:
            yield Finding(what="job", found=str(error), remedy=_SUBMIT_REMEDY)
            return
        try:
            state, reason = self._wait(name)
            seconds = time.monotonic() - began
            yield from self._seen(state, reason, seconds)
        except SlurmError as error:
            yield Finding(what="job", found=str(error), remedy="try again when slurmctld answers")
        finally:
            self._cancel(name)

    def _wait(self, name: str) -> tuple[str, str]:
        """State of the job and Slurm's reason for it, at its end or after the longest wait."""
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            jobs = self.commands.queue(name)
            state, reason = (jobs[0].state, jobs[0].reason) if jobs else ("COMPLETED", "")
            if state in ENDED_STATES or time.monotonic() > deadline:
                return state, reason
            time.sleep(_POLL)

    def _seen(self, state: str, reason: str, seconds: float) -> Iterator[Finding]:
        because = f" ({reason})" if reason else ""
        if state not in ENDED_STATES:
            found = f"it was still {state}{because} after {LONGEST_WAIT:.0f} s, and was cancelled"
            yield Finding(what="job", found=found, remedy=_WAIT_REMEDY)
            return
        deadline = time.monotonic() + LATE_SECONDS
        while (
            (facts := node_facts(self.folder)) is None
            and state == "COMPLETED"
            and not self._log()
            and time.monotonic() < deadline
        ):
            time.sleep(_POLL)
        if facts is None:
            yield self._failed(state, because)
            return
        gpus = f", with the GPUs {facts.gpus}" if facts.gpus else ""
        yield Finding(what="job", found=f"a job of one second took {seconds:.1f} s on {facts.host}{gpus}")
        if text := self._log():
            yield Finding(what="setup", found=f"it printed: {text}")
        yield Finding(what="shared folder", found=f"{facts.host} writes it, and this machine sees it")
        remedy = "" if facts.is_new_enough else "--python PATH of Python 3.9 or newer on the nodes"
        yield Finding(what="Python", found=f"{facts.version}, {facts.python}", remedy=remedy)

    def _failed(self, state: str, because: str) -> Finding:
        text = self._log()
        if not text and state == "COMPLETED":
            return Finding(
                what="shared folder",
                found=f"the job wrote a file below {self.folder}, and this machine does not see it",
                remedy="--shared_folder DIR (or TUNEWRIGHT_HOME) that is on all nodes under one path",
            )
        return Finding(
            what="job", found=f"it ended as {state}{because}{f': {text}' if text else ''}", remedy=_JOB_REMEDY
        )

    def _log(self) -> str:
        """The end of what the job itself printed."""
        log = self.folder / JOB_LOG
        return log.read_text(encoding="utf-8", errors="replace").strip()[-500:] if log.exists() else ""

    def _cancel(self, name: str) -> None:
        try:
            self.commands.cancel(name)
        except SlurmError:
            return


_SUBMIT_REMEDY: Final = (
    "change --partition, --account, --qos, --time_limit or the resources as Slurm's words ask for"
)
_WAIT_REMEDY: Final = "the queue is long: give a partition or a QoS with shorter waits, a shorter --time_limit, or fewer resources"
_JOB_REMEDY: Final = "change --setup, --python or --container; if it printed nothing, --shared_folder to one that the nodes see"
