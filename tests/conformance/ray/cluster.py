"""A real Ray cluster of one node on this machine, with processes that end with the tests."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tunewright.backends.ray.client import RayClient, RayError, RayJob

_MARK = "TUNEWRIGHT_TEST_CLUSTER"
"""Variable in the environment of all processes of a cluster."""
_DAEMONS = ("gcs_server", "raylet/raylet", "ray/dashboard/", "ray start")


class Cluster:
    """A head node with 8 CPUs and 2 GPUs, which are numbers only, and with a token.

    Parameters
    ----------
    programs
        Folder of the program ``ray``.
    folder
        For everything that Ray writes, with a short path: Ray makes sockets in it.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.token = secrets.token_hex(16)
        self._programs = programs
        self._folder = folder
        self._id = uuid.uuid4().hex
        self._n_starts = 0
        self._ports = _free_ports(5)
        self.address = f"http://127.0.0.1:{self._ports[1]}"
        self.client = RayClient(self.address, self.token)
        self._process = self._start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which Ray's programs and tuners find the cluster."""
        return {"RAY_API_SERVER_ADDRESS": self.address, "RAY_AUTH_TOKEN": self.token}

    def until(self, condition: Callable[[], object], error: str) -> None:
        """Wait until a function returns something true."""
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, f"{error}: {self._output()}"
            time.sleep(0.1)

    def jobs(self, prefix: str = "") -> dict[str, RayJob]:
        """The jobs that Ray knows, by name."""
        found = {job.submission_id or "": job for job in self.client.jobs()}
        return {name: job for name, job in found.items() if name.startswith(prefix)}

    def kill_supervisor(self, folder: Path) -> bool:
        """Kill Ray's process that runs the job of a folder; whether there was one."""
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                if parent is not None and str(folder) in process.cmdline():
                    parent.kill()
                    return True
        return False

    def restart(self) -> None:
        """Kill the head's own processes, wait until Ray has ended those of jobs, and start it again under the same address."""
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                if any(word in " ".join(process.cmdline()) for word in _DAEMONS):
                    process.kill()
        self._stop(self._process)
        self._process = self._start()

    def close(self) -> None:
        """End all processes."""
        self._stop(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the head; again if it gives up, as it does on a machine with much other work."""
        for _ in range(3):
            process = self._launch()
            if self._comes_up(process):
                return process
            self._stop(process)
        raise AssertionError(f"Ray does not start: {self._output()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        self._n_starts += 1
        port, dashboard, agent, client, metrics = map(str, self._ports)
        command = [self._programs / "ray", "start", "--head", "--block", "--disable-usage-stats"]
        command += ["--num-cpus", "8", "--num-gpus", "2", "--object-store-memory", "80000000"]
        command += ["--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1"]
        command += ["--port", port, "--dashboard-port", dashboard, "--dashboard-agent-listen-port", agent]
        command += ["--ray-client-server-port", client, "--metrics-export-port", metrics]
        command += ["--temp-dir", self._folder / str(self._n_starts)]
        variables = {
            _MARK: self._id,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "HOME": str(self._folder),
        }
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        with (self._folder / "out").open("ab") as out:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **variables, "PATH": path},
            )  # fmt: skip

    def _comes_up(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(RayError):
                if self.client.nodes():
                    return True
            time.sleep(0.1)
        return False

    def _stop(self, head: subprocess.Popen[bytes]) -> None:
        head.terminate()
        deadline = time.monotonic() + 20
        while left := list(self._processes()):
            if time.monotonic() > deadline:
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
            if head.poll() is not None and time.monotonic() > deadline + 20:
                raise AssertionError(f"processes are left: {left}")
            time.sleep(0.1)
        head.wait(30)

    def _processes(self) -> Iterator[psutil.Process]:
        """All processes of the cluster and of its jobs that run."""
        for process in psutil.process_iter():
            try:
                is_own = process.environ().get(_MARK) == self._id
                if is_own and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    def _output(self) -> str:
        return (self._folder / "out").read_text(errors="replace")[-3000:]


def _free_ports(n_ports: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n_ports)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
