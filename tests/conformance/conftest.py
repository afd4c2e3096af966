"""An emulator of its own process, and the environments of clients that are not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = Path(__file__).resolve().parent / "clients"
ROLE = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole-Emulator"
PATIENCE = 200.0
"""Seconds until a client that hangs is killed."""

Client = Callable[[str], Path]


@dataclass(frozen=True)
class Endpoint:
    """A running emulator, as programs find it by their environment."""

    variables: Mapping[str, str]
    speed: float

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a client to its end; its output is shown when the test fails."""
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        print(done.stdout, done.stderr)
        return done


@pytest.fixture(scope="session")
def client() -> Client:
    """The folder of programs of an environment that ``scripts/test --full`` makes, by the name of its requirements."""

    def find(name: str) -> Path:
        venv = ROOT / f".venv-conformance-{name}"
        if not (venv / ".complete").exists():
            pytest.skip(f"There is no {venv.name}: scripts/test --full makes it")
        return venv / "bin"

    return find


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """Starts an emulator with options of its command line."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*options: str, speed: float = 60.0) -> Endpoint:
        state = tmp_path / "state.json"
        command = [sys.executable, "-m", "sagemaker_emulator", "serve", "--dir", str(tmp_path / "emulator")]
        command += ["--state_file", str(state), "--speed", str(speed), *options]
        servers.append(subprocess.Popen(command))
        deadline = time.monotonic() + 60
        while not state.exists():
            assert servers[-1].poll() is None, "the emulator ended at its start"
            assert time.monotonic() < deadline, "the emulator does not start"
            time.sleep(0.05)
        written = json.loads(state.read_text())
        return Endpoint(
            {
                "AWS_ENDPOINT_URL": written["url"],
                "AWS_ACCESS_KEY_ID": written["access_key"],
                "AWS_SECRET_ACCESS_KEY": written["secret_key"],
                "AWS_DEFAULT_REGION": written["region"],
                "AWS_REGION": written["region"],
                "AWS_EC2_METADATA_DISABLED": "true",
                "HOME": str(tmp_path),
            },
            speed,
        )

    yield start
    for server in servers:
        server.terminate()
        server.wait(30)
