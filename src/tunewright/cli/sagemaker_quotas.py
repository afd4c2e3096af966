"""``tunewright sagemaker quotas``: what an experiment needs of the account, what it has, and how to ask for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tunewright.aws import open_session, resolve_endpoint
from tunewright.aws.quotas import (
    CREATE_RATE,
    LIST_RATE,
    Quota,
    read_quotas,
    spot_quota,
    training_quota,
    warm_pool_quota,
)
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.benchmarks.real import real_benchmark_definitions
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser, positive, positive_int

EXIT_MISSING: Final = 3
"""Exit code where a quota is too low."""
_DEFAULTS: Final[Mapping[str, float]] = {CREATE_RATE: 1.0, LIST_RATE: 2.0}
"""What the service publishes, for accounts that do not tell."""
_UNKNOWN: Final = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run."""

    instance_type: str
    n_instances: int
    has_warm_pool: bool = False
    is_spot: bool = False
    trial_seconds: float | None = None
    """Mean service seconds of a run, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quota beside the need."""

    quota: str
    has: float | None
    needs: float
    code: str = ""
    is_adjustable: bool = True

    @property
    def is_missing(self) -> bool:
        """Whether the need is known not to be met."""
        return self.has is not None and self.has < self.needs

    @property
    def remedy(self) -> str:
        """The command that asks for more; empty where there is enough."""
        if not self.is_missing:
            return ""
        if not self.is_adjustable:
            return "not adjustable: use fewer workers, longer trials or --execution workers"
        return (
            "aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {self.code} --desired-value {self.needs:g}"
        )


def needs(plan: Plan, quotas: Mapping[str, Quota] | None) -> list[Line]:
    """What a plan needs, beside what the account has.

    Parameters
    ----------
    plan
        What is to run.
    quotas
        Of the account; None: not readable, so that only published rates are known.

    Returns
    -------
    list of Line
        Instances, then warm instances, then request rates.
    """
    return [_line(name, need, quotas) for name, need in _needed(plan)]


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


def _needed(plan: Plan) -> Iterator[tuple[str, float]]:
    name = spot_quota if plan.is_spot else training_quota
    yield name(plan.instance_type), float(plan.n_instances)
    if plan.has_warm_pool:
        yield warm_pool_quota(plan.instance_type), float(plan.n_instances)
    if plan.trial_seconds is not None:
        yield CREATE_RATE, plan.n_instances / plan.trial_seconds
    yield LIST_RATE, 1.0


def _line(name: str, need: float, quotas: Mapping[str, Quota] | None) -> Line:
    known = (quotas or {}).get(name)
    if known is not None:
        return Line(
            quota=name, has=known.value, needs=need, code=known.code, is_adjustable=known.is_adjustable
        )
    has = 0.0 if quotas is not None and name not in _DEFAULTS else _DEFAULTS.get(name)
    return Line(quota=name, has=has, needs=need, is_adjustable=name != LIST_RATE, code="(see the console)")


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
