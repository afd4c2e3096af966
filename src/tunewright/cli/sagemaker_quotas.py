"""``tunewright sagemaker quotas``: what an experiment needs of the account, what it has, and how to ask for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from tunewright.aws import open_session, resolve_endpoint
from tunewright.aws.account import Quota, read_quotas
from tunewright.backends.sagemaker.preflight import Line, Plan, needs
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.benchmarks.real import real_benchmark_definitions
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser, positive, positive_int

EXIT_MISSING: Final = 3
"""Exit code where a quota is too low."""
_UNKNOWN: Final = "?"


def run_quotas(arguments: Sequence[str]) -> int:
    """Print the table; 3 where something is missing."""
    parser = Parser(
        "tunewright sagemaker quotas",
        "Compare what an experiment needs with the account's quotas, and say how to ask for more. Creates nothing.",
    )
    parser.flag("benchmark", "takes instance type and workers from this benchmark")
    parser.flag("instance_type", "such as ml.c5.xlarge")
    parser.flag("n_workers", "trials that run at once (default: the benchmark's, or 4)", type=positive_int)
    parser.flag("instance_count", "instances of each trial", type=positive_int, default=1)
    parser.switch("warm_pool", "instances are kept warm between trials")
    parser.switch("spot", "trials run on spot instances")
    parser.flag(
        "trial_seconds", "mean seconds of a run; tells whether jobs can be created fast enough", type=positive
    )
    parser.flag("endpoint", "auto, aws, embedded or an address", default="auto")
    parser.flag("region", "of AWS (default: as boto3 finds it)")
    parser.flag("format", "of what is printed", choices=("text", "json"), default="text")
    given = vars(parser.read(arguments))
    plan = _plan(given)
    session = open_session(resolve_endpoint(given["endpoint"], region=given["region"]))
    try:
        quotas = read_quotas(session)
    finally:
        session.close()
    lines = needs(plan, quotas)
    if given["format"] == "json":
        shown = [asdict(line) | {"is_missing": line.is_missing, "remedy": line.remedy} for line in lines]
        say(json.dumps(shown, indent=2))
    else:
        _show(lines, quotas, session.endpoint.region)
    return EXIT_MISSING if any(line.is_missing for line in lines) else 0


def _plan(given: Mapping[str, Any]) -> Plan:
    instance_type, workers = given["instance_type"], given["n_workers"]
    if given["benchmark"] is not None:
        records = real_benchmark_definitions(sagemaker_backend=True)
        if given["benchmark"] not in records:
            raise UnknownNameError("benchmark", given["benchmark"], records)
        record = records[given["benchmark"]]
        instance_type, workers = instance_type or record.instance_type, workers or record.n_workers
    if instance_type is None:
        raise SettingsError("Say what is to run: --instance_type ml.c5.xlarge, or --benchmark NAME")
    return Plan(
        instance_type=instance_type,
        n_instances=(workers or SageMakerSettings().n_workers) * given["instance_count"],
        has_warm_pool=given["warm_pool"],
        is_spot=given["spot"],
        trial_seconds=given["trial_seconds"],
    )


def _show(lines: Sequence[Line], quotas: Mapping[str, Quota] | None, region: str) -> None:
    if quotas is None:
        say(
            "The quotas of this account cannot be read (servicequotas:ListServiceQuotas is not allowed): "
            f"look them up at https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
        )
    print_table(
        ("quota", "has", "needs", "verdict"),
        [
            (
                line.quota,
                _UNKNOWN if line.has is None else f"{line.has:g}",
                f"{line.needs:.3g}",
                "too low" if line.is_missing else _UNKNOWN if line.has is None else "enough",
            )
            for line in lines
        ],
    )
    for line in lines:
        if line.is_missing:
            say(f"{line.quota}: {line.remedy}")
