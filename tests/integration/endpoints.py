"""Servers of embedded endpoints below a folder, an endpoint in this process, and secrets on an endpoint."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import boto3
import psutil

from sagemaker_emulator.emulator import Emulator, EmulatorConfig, permissions_of
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.service.settings import Preset, ServiceSettings
from sagemaker_emulator.storage import AwsServices
from tunewright.aws import Credentials

ROOT = Credentials(access_key="ROOT", secret_key="SECRET")
"""Keys of the root user of :func:`start_emulator`."""


def start_emulator(folder: Path, preset: Preset) -> Emulator:
    """An emulator in this process, without request rates; to be closed."""
    settings = ServiceSettings(preset=preset, speed=300.0, throttle="off")

    def make_services(url: str) -> tuple[ProcessExecutor, Any]:
        permissions = permissions_of(settings, ROOT.access_key)
        aws = AwsServices(folder / "aws", region=settings.region, permissions=permissions)
        execution = ExecutionSettings(
            endpoint_url=url,
            region=settings.region,
            access_key=ROOT.access_key,
            secret_key=ROOT.secret_key,
            speed=settings.speed,
            isolation=Isolation.FOLDER,
        )
        return ProcessExecutor(execution, aws), aws.app

    config = EmulatorConfig(
        directory=folder / "state", access_key=ROOT.access_key, secret_key=ROOT.secret_key
    )
    return Emulator(config, settings, make_services)


def server_pids(root: Path) -> list[int]:
    """Process ids in the state files; a server may have ended, and its id may be another process's by now."""
    return [json.loads(state.read_text())["pid"] for state in root.glob("*/endpoint.json")]


def kill_servers(root: Path) -> None:
    """Kill the servers that still run."""
    for pid in server_pids(root):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if any(part.startswith(str(root)) for part in process.cmdline()):
                process.kill()


def store_secrets(url: str, access_key: str, secret_key: str, token: str) -> None:
    """Store the secret ``team/token``, a JSON object with the key ``key``, and the parameter ``/team/plain``."""
    module: Any = boto3

    def client(service: str) -> Any:
        return module.client(
            service,
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
        )

    with closing(client("secretsmanager")) as secrets:
        secrets.create_secret(Name="team/token", SecretString=json.dumps({"key": token}))
    with closing(client("ssm")) as parameters:
        parameters.put_parameter(Name="/team/plain", Value="plain", Type="SecureString")
