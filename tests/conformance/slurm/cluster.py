"""A real Slurm cluster of two nodes on this machine, with processes that end with the tests."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

NODES = ("one", "two")
"""Names of the nodes; the partitions main and urgent have the first one, wide has both."""
_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdTimeout=10
MessageTimeout=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
KillWait=5
MinJobAge=300
ReturnToService=2
JobRequeue=1
MaxJobCount=100
GresTypes=gpu
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one_port} CPUs=8 RealMemory=8000 Gres=gpu:4 State=UNKNOWN
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two_port} CPUs=8 RealMemory=8000 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=one Default=YES State=UP PriorityTier=1 MaxTime=1-00:00:00
PartitionName=urgent Nodes=one State=UP PriorityTier=10
PartitionName=wide Nodes=one,two State=UP PriorityTier=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""


class Cluster:
    """Controller and node of a cluster, as child processes.

    Parameters
    ----------
    folder
        For everything that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.conf = folder / "slurm.conf"
        self._folder = folder
        ports = _free_ports(3)
        (folder / "state").mkdir()
        for name in NODES:
            (folder / f"spool-{name}").mkdir()
        for number in range(4):
            os.mknod(folder / f"gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # another /dev/null
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        """By the name of the service or node, in the order of their start."""
        host = socket.gethostname().partition(".")[0]
        names = ("controller_port", "one_port", "two_port")
        self.conf.write_text(_CONF.format(host=host, folder=folder, **dict(zip(names, ports, strict=True))))
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-3]\n")

    def start(self) -> None:
        """Start all daemons, and wait until both nodes are idle."""
        self._start_munge()
        self._start_controller()
        for name in NODES:
            self.start_node(name)
        states = ("sinfo", "-h", "-N", "-p", "wide", "-o", "%T")
        self.until(lambda: self.call(*states).split() == ["idle"] * len(NODES), "no idle nodes")

    def call(self, *command: str) -> str:
        """Run a command of Slurm; its output, with its errors."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
            env={**os.environ, "SLURM_CONF": str(self.conf)},
        )  # fmt: skip
        return done.stdout + done.stderr

    def until(self, condition: Callable[[], object], error: str) -> None:
        """Wait until a function returns something true."""
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                logs = [file.read_text()[-2000:] for file in self._folder.glob("*.log")]
                raise AssertionError(f"{error}: {logs}")
            time.sleep(0.05)

    def jobs(self) -> list[list[str]]:
        """Id, name and state of all jobs that are kept."""
        lines = self.call("squeue", "-h", "-t", "all", "-o", "%i|%j|%T").splitlines()
        return [line.split("|") for line in lines]

    def restart_controller(self) -> None:
        """Stop the controller, and start it again from its state."""
        self._end("slurmctld", signal.SIGTERM)
        self._start_controller()

    def kill_node(self, name: str = "one") -> None:
        """End a node's daemon and everything that runs on the node, as a loss of power does."""
        jobs = self.call("squeue", "-h", "-t", "R", "-w", name, "-o", "%i").split()
        self._end(name, signal.SIGKILL)
        for pid in _processes_of(set(jobs)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_node(self, name: str = "one") -> None:
        """Start a node's daemon, again as well."""
        self._start(name, ["slurmd", "-D", "-f", str(self.conf), "-N", name])

    def close(self) -> None:
        """Cancel all jobs, then stop the daemons; the nodes first, then the controller."""
        try:
            self.call("scancel", "-u", "root", "--signal=KILL", "--full")
            self.call("scancel", "-u", "root")
            self.until(lambda: not self.call("squeue", "-h"), "jobs are left")
        finally:
            for name in reversed(list(self._processes)):
                self._end(name, signal.SIGTERM)

    def _start_munge(self) -> None:
        """Start the service of authentication; auth/slurm does without, but has one socket for all clusters of a machine."""
        names = {"--key-file": "munge.key", "--socket": "munge.socket", "--pid-file": "munge.pid"}
        names |= {"--log-file": "munge.log", "--seed-file": "munge.seed"}
        key = self._folder / names["--key-file"]
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self._folder.chmod(0o755)
        options = [f"{option}={self._folder / name}" for option, name in names.items()]
        self._start("munged", ["munged", "--foreground", "--force", *options])
        self.until((self._folder / names["--socket"]).exists, "munged does not run")

    def _start_controller(self) -> None:
        self._start("slurmctld", ["slurmctld", "-D", "-f", str(self.conf)])

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, "SLURM_CONF": str(self.conf)},
            )  # fmt: skip

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._processes[name]
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _processes_of(jobs: set[str]) -> list[int]:
    """Processes of jobs, their shepherds first, so that none of them can say that its job has ended."""
    found: list[tuple[bool, int]] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            variables = dict(
                word.partition(b"=")[::2] for word in (process / "environ").read_bytes().split(b"\0")
            )
        except OSError:
            continue
        is_shepherd = words.startswith(b"slurmstepd: [") and words[13:].partition(b".")[0].decode() in jobs
        if is_shepherd or variables.get(b"SLURM_JOB_ID", b"").decode() in jobs:
            found.append((not is_shepherd, int(process.name)))
    return [pid for _, pid in sorted(found)]
