"""Servers of embedded endpoints below a folder, and secrets on an endpoint."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import boto3
import psutil


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
