"""A real Slurm cluster of one node on this machine, with processes that end with the tests."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmdTimeout=10
MessageTimeout=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
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
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes={host} State=UP PriorityTier=10
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
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            ports = one.getsockname()[1], other.getsockname()[1]
        for name in ("state", "spool"):
            (folder / name).mkdir()
        self._munge = self._start_munge()
        host = socket.gethostname().partition(".")[0]
        self.conf.write_text(
            _CONF.format(host=host, folder=folder, controller_port=ports[0], node_port=ports[1])
        )
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        self._controller = self._start("slurmctld")
        self._node = self._start("slurmd")
        self.until(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"), "no idle node")

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
            logs = [file.read_text()[-2000:] for file in self._folder.glob("*.log")]
            assert time.monotonic() < deadline, f"{error}: {logs}"
            time.sleep(0.05)

    def jobs(self) -> list[list[str]]:
        """Id, name and state of all jobs that are kept."""
        lines = self.call("squeue", "-h", "-t", "all", "-o", "%i|%j|%T").splitlines()
        return [line.split("|") for line in lines]

    def restart_controller(self) -> None:
        """Stop the controller, and start it again from its state."""
        self._end(self._controller, signal.SIGTERM)
        self._controller = self._start("slurmctld")

    def close(self) -> None:
        """Cancel all jobs, then stop the daemons; the node first."""
        try:
            self.call("scancel", "-u", "root", "--signal=KILL", "--full")
            self.call("scancel", "-u", "root")
            self.until(lambda: not self.call("squeue", "-h"), "jobs are left")
        finally:
            self._end(self._node, signal.SIGTERM)
            self._end(self._controller, signal.SIGTERM)
            self._end(self._munge, signal.SIGTERM)

    def _start_munge(self) -> subprocess.Popen[bytes]:
        """The service of authentication; auth/slurm does without, but has one socket for all clusters of a machine."""
        names = {"--key-file": "munge.key", "--socket": "munge.socket", "--pid-file": "munge.pid"}
        names |= {"--log-file": "munge.log", "--seed-file": "munge.seed"}
        key = self._folder / names["--key-file"]
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self._folder.chmod(0o755)
        options = [f"{option}={self._folder / name}" for option, name in names.items()]
        process = subprocess.Popen(["munged", "--foreground", "--force", *options], stdin=subprocess.DEVNULL)
        self.until((self._folder / names["--socket"]).exists, "munged does not run")
        return process

    def _start(self, daemon: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{daemon}.out").open("ab") as out:
            return subprocess.Popen(
                [daemon, "-D", "-f", str(self.conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, "SLURM_CONF": str(self.conf)},
            )  # fmt: skip

    @staticmethod
    def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
