"""A tuner of the same kind, with a SageMaker backend of its own, unmodified: it creates, searches and reads logs."""

from __future__ import annotations

import json
from collections.abc import Callable

from .conftest import CLIENTS, ROLE, Client, Endpoint

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3"


def test_syne_tune_runs_a_trial_and_hears_its_reports(client: Client, serve: Callable[..., Endpoint]) -> None:
    endpoint = serve(speed=300.0)
    done = endpoint.run([client("syne_tune") / "python", CLIENTS / "syne_tune_v013.py", CLIENTS, ROLE, IMAGE])
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert [(row["trial_id"], row["epoch"]) for row in seen["results"][:2]] == [(0, 1), (0, 2)]
    assert sum(line.startswith("[tune-metric]") for line in seen["log"]) == 2
