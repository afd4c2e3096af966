"""Slurm's commands on this machine. Trials need sbatch, squeue and scancel alone; sacct is asked for reasons where there is accounting."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from tunewright.exceptions import BackendError, RequestError
from tunewright.threads import users_environment

_COMMANDS: Final = ("sbatch", "squeue", "scancel")
_TIMEOUT: Final = 60.0
_SACCT_SINCE: Final = "now-30days"
_OUT_OF_MEMORY: Final = "OUT_OF_MEMORY"
_KEPT: Final = {"SLURM_CONF", "SLURM_CLUSTERS"}
"""Variables of Slurm that jobs of a tuner inside a job get; the others describe the tuner's own job."""
_UNREACHABLE: Final = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Broken pipe",
    "No route to host",
    "Communication connection failure",
    "Communication shutdown failure",
    "Message send failure",
    "Message receive failure",
    "Unexpected message",
    "Zero Bytes were transmitted",
    "Header lengths are longer than data received",
    "in standby mode",
)


@final
class SlurmError(RequestError):
    """A command of Slurm failed.

    Parameters
    ----------
    text
        Command and reason.
    is_unanswered
        Whether the controller did not answer: the request may have been carried out.
    """

    def __init__(self, text: str, *, is_unanswered: bool = False) -> None:
        super().__init__(text)
        self.reason: Final = text
        self._is_unanswered = is_unanswered

    @property
    @override
    def is_lost(self) -> bool:
        return self._is_unanswered

    @property
    @override
    def is_transient(self) -> bool:
        return self._is_unanswered


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """A line of squeue."""

    job_id: str
    name: str
    state: str
    """Slurm's word, such as ``RUNNING``."""
    reason: str
    submitted: float
    """Seconds since 1970."""
    started: float | None
    """Seconds since 1970, of a waiting job the expected ones; None: unknown."""
    ended: float | None
    """Seconds since 1970, or the time limit of a running job; None: unknown."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A line of sinfo: the nodes of a partition that are alike."""

    name: str
    is_default: bool
    is_up: bool
    time_limit: str
    """As Slurm writes it, such as ``1-00:00:00`` or ``infinite``."""
    n_nodes: int
    cpus: str
    """Of a node; with a plus sign: at least so many."""
    memory: str
    """Of a node in MB, as :attr:`cpus`."""
    gres: str
    """Generic resources of a node, such as ``gpu:4``; empty: none."""


@final
class SlurmCommands:
    """Calls Slurm's commands, and counts them.

    Attributes
    ----------
    calls
        Number of calls by command.
    """

    def __init__(self) -> None:
        self.calls: Final[dict[str, int]] = dict.fromkeys(_COMMANDS, 0)
        self._has_accounting: bool | None = None

    def check(self) -> None:
        """Check that the commands are there.

        Raises
        ------
        BackendError
            One is missing.
        """
        missing = [name for name in _COMMANDS if shutil.which(name) is None]
        if missing:
            raise BackendError(
                f"Slurm's {', '.join(missing)} cannot be found: run the tuner on a login node of the cluster, "
                "or on any machine with the slurm-client package and the cluster's slurm.conf"
            )

    def version(self) -> str:
        """Version of the commands, such as ``slurm-wlm 24.11.5``.

        Raises
        ------
        SlurmError
            Slurm's configuration cannot be found.
        """
        return self._run("sinfo", "--version").strip()

    def partitions(self) -> list[Partition]:
        """The partitions that this user may see; one with nodes of several kinds has several lines.

        Raises
        ------
        SlurmError
            There is no answer.
        """
        lines = self._run("sinfo", "-h", "-o", "%P|%a|%l|%D|%c|%m|%G").splitlines()
        return [_partition(line) for line in lines if line.count("|") >= 6]

    def has_accounting(self) -> bool:
        """Whether sacct answers: the cluster stores facts of jobs that have ended."""
        if shutil.which("sacct") is None:
            return False
        try:
            self._run("sacct", "-n", "-X", "-S", "now", "-o", "JobID")
        except SlurmError:
            return False
        return True

    def accounted_state(self, name: str) -> str:
        """State of the newest job of a name by sacct, such as ``OUT_OF_MEMORY``; empty without accounting.

        A job whose step ran out of memory may itself be called failed: the step's word counts.
        """
        if self._has_accounting is None:
            self._has_accounting = self.has_accounting()
        if not self._has_accounting:
            return ""
        options = (
            "-n",
            "-P",
            "-u",
            getpass.getuser(),
            "--name",
            name,
            "-S",
            _SACCT_SINCE,
            "-o",
            "JobIDRaw,State",
        )
        try:
            lines = self._run("sacct", *options).splitlines()
        except SlurmError:
            return ""
        found = [line.split("|", 1) for line in lines if "|" in line]
        newest = max((int(step.partition(".")[0]) for step, _ in found), default=0)
        states = [state.partition(" ")[0] for step, state in found if int(step.partition(".")[0]) == newest]
        return _OUT_OF_MEMORY if _OUT_OF_MEMORY in states else next(iter(states), "")

    def submit(self, script: Path) -> str:
        """Submit a script; the id of its job.

        Raises
        ------
        SlurmError
            It was refused, or the outcome is unknown.
        """
        return self._run("sbatch", "--parsable", str(script)).strip().partition(";")[0]

    def queue(self, name: str = "") -> list[QueuedJob]:
        """Jobs of this user, also those that ended a short while ago.

        Parameters
        ----------
        name
            Full name of the wanted job; empty: all.

        Raises
        ------
        SlurmError
            There is no answer.
        """
        options = ["--name", name] if name else []
        output = self._run(
            "squeue", "-h", "-u", getpass.getuser(), "-t", "all", *options, "-o", "%i|%T|%V|%S|%e|%r|%j"
        )
        return [_parse(line) for line in output.splitlines() if line.count("|") >= 6]

    def cancel(self, name: str) -> None:
        """Cancel the jobs of a name; jobs that have ended are left alone.

        Raises
        ------
        SlurmError
            There is no answer.
        """
        self._run("scancel", "--quiet", "-u", getpass.getuser(), "--name", name)

    def _run(self, command: str, *arguments: str) -> str:
        self.calls[command] = self.calls.get(command, 0) + 1
        try:
            done = subprocess.run(
                [command, *arguments],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise SlurmError(f"{command} did not answer within {_TIMEOUT:g} s", is_unanswered=True) from error
        except OSError as error:
            raise SlurmError(f"{command} cannot be run ({error})") from error
        if done.returncode:
            reason = _reason(done.stderr) or f"exit code {done.returncode}"
            is_unanswered = any(text in done.stderr for text in _UNREACHABLE)
            raise SlurmError(f"{command}: {reason}", is_unanswered=is_unanswered)
        return done.stdout


def _environment() -> dict[str, str]:
    """The user's environment, which sbatch gives to the jobs."""
    environment = {
        name: value
        for name, value in users_environment(os.environ).items()
        if name in _KEPT or not name.startswith(("SLURM_", "SLURMD_"))
    }
    return {**environment, "SLURM_TIME_FORMAT": "%s"}


def _reason(errors: str) -> str:
    """Lines of an error message in one, without the name of the command."""
    lines = (line.partition("error: ")[2] or line for line in errors.strip().splitlines())
    return "; ".join(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _parse(line: str) -> QueuedJob:
    job_id, state, submitted, started, ended, reason, name = line.split("|", 6)
    return QueuedJob(
        job_id=job_id,
        name=name,
        state=state,
        reason="" if reason == "None" else reason,
        submitted=_seconds(submitted) or 0.0,
        started=_seconds(started),
        ended=_seconds(ended),
    )


def _partition(line: str) -> Partition:
    name, available, time_limit, n_nodes, cpus, memory, gres = line.split("|", 6)
    return Partition(
        name=name.rstrip("*"),
        is_default=name.endswith("*"),
        is_up=available == "up",
        time_limit=time_limit,
        n_nodes=int(n_nodes),
        cpus=cpus,
        memory=memory,
        gres="" if gres == "(null)" else gres,
    )


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "N/A"
        return None
