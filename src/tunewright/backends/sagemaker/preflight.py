"""Comparison of an experiment's needs with the account's quotas, before the first job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tunewright.aws import AwsSession, EndpointKind, ServiceError
from tunewright.aws.account import (
    CREATE_RATE,
    LIST_RATE,
    Quota,
    per_job_quota,
    read_quotas,
    spot_quota,
    total_quota,
    training_quota,
    warm_pool_quota,
)
from tunewright.backends.sagemaker.settings import JobSettings

_DEFAULTS: Final[Mapping[str, float]] = {CREATE_RATE: 1.0, LIST_RATE: 2.0}
"""Published defaults, for accounts whose quotas cannot be read."""
_NO_CODE: Final = "(see the console)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Planned instances."""

    instance_type: str
    n_instances: int
    instances_per_job: int = 1
    has_warm_pool: bool = False
    is_spot: bool = False
    trial_seconds: float | None = None
    """Mean service seconds of a run, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quota beside the need."""

    quota: str
    has: float | None
    """None: unknown."""
    needs: float
    code: str = ""
    is_adjustable: bool = True
    is_default: bool = False
    """Whether ``has`` is AWS's default, because the account's own value is not listed."""

    @property
    def value(self) -> str:
        """The quota as text; a question mark if it is unknown."""
        if self.has is None:
            return "?"
        return f"{self.has:g}{' (default)' if self.is_default else ''}"

    @property
    def is_missing(self) -> bool:
        """Whether the need is known not to be met."""
        return self.has is not None and self.has < self.needs

    @property
    def remedy(self) -> str:
        """The command that requests an increase; empty if the quota suffices."""
        if not self.is_missing:
            return ""
        if not self.is_adjustable:
            return "not adjustable: use fewer workers, longer trials or --execution workers"
        return (
            "aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {self.code} --desired-value {self.needs:g}"
        )


def needs(plan: Plan, quotas: Mapping[str, Quota] | None) -> list[Line]:
    """The needs of a plan beside the account's quotas.

    Parameters
    ----------
    plan
        Planned instances.
    quotas
        Of the account; None: not readable, so that only published rates are known.

    Returns
    -------
    list of Line
        Instances, then warm instances, then request rates.
    """
    return [_line(name, need, quotas) for name, need in _needed(plan)]


def quotas_of(session: AwsSession, plan: Plan) -> Mapping[str, Quota] | None:
    """The account's quotas, and AWS's defaults of those that a plan needs and the account does not list.

    Raises
    ------
    ServiceError
        The service does not respond.
    """
    return read_quotas(session, [name for name, _ in _needed(plan) if name not in _DEFAULTS])


@dataclass(frozen=True, slots=True)
class Preflight:
    """Result of the comparison before the first job."""

    line: str = ""
    """For the user; empty if the quotas cannot be read."""
    max_instances: int | None = None
    """Maximum of instances of one job; None: unknown."""


def preflight(session: AwsSession, settings: JobSettings, n_instances: int) -> Preflight:
    """Compare the account's quotas with an experiment's needs.

    The embedded endpoint is not asked: its quotas are its settings.

    Parameters
    ----------
    session
        Its user may lack ``servicequotas:ListServiceQuotas``.
    settings
        Of the jobs; of several instance types, the preferred one is looked at.
    n_instances
        At the same time.
    """
    if session.endpoint.kind is EndpointKind.EMBEDDED:
        return Preflight()
    plan = Plan(
        instance_type=settings.instance_type,
        n_instances=n_instances,
        instances_per_job=settings.benchmark.instance_count,
        has_warm_pool=settings.config.warm_pool,
        is_spot=settings.config.spot,
    )
    try:
        quotas = quotas_of(session, plan)
    except ServiceError:
        return Preflight()
    if quotas is None:
        return Preflight()
    per_job = quotas.get(per_job_quota(is_spot=plan.is_spot))
    return Preflight(_words(needs(plan, quotas)), None if per_job is None else int(per_job.value))


def _words(lines: Sequence[Line]) -> str:
    known = [line for line in lines if line.has is not None]
    missing = [line for line in known if line.is_missing]
    shown = "; ".join(f"{line.quota}: {line.value}, needed {line.needs:g}" for line in missing or known)
    unknown = ", ".join(line.quota for line in lines if line.has is None)
    note = f"; not listed: {unknown}" if unknown else ""
    if not missing:
        return f"Quotas of the account: {shown}{note}"
    is_closed = any(line.has == 0 and line.quota.endswith(_INSTANCES) for line in missing)
    room = "No job can start" if is_closed else "As many run as there is room for"
    remedies = "; ".join(f"{line.quota}: {line.remedy}" if missing[1:] else line.remedy for line in missing)
    return f"WARNING: quotas of the account are too low: {shown}{note}. {room}. {remedies}"


_INSTANCES: Final = ("training job usage", "training jobs", "training job")
"""Ends of the names of quotas of instances; without warm instances jobs start cold."""


def _needed(plan: Plan) -> Iterator[tuple[str, float]]:
    name = spot_quota if plan.is_spot else training_quota
    yield name(plan.instance_type), float(plan.n_instances)
    yield total_quota(is_spot=plan.is_spot), float(plan.n_instances)
    if plan.instances_per_job > 1:
        yield per_job_quota(is_spot=plan.is_spot), float(plan.instances_per_job)
    if plan.has_warm_pool:
        yield warm_pool_quota(plan.instance_type), float(plan.n_instances)
    if plan.trial_seconds is not None:
        yield CREATE_RATE, plan.n_instances / plan.trial_seconds
    yield LIST_RATE, 1.0


def _line(name: str, need: float, quotas: Mapping[str, Quota] | None) -> Line:
    known = (quotas or {}).get(name)
    if known is None:
        is_adjustable = name != LIST_RATE
        return Line(
            quota=name, has=_DEFAULTS.get(name), needs=need, is_adjustable=is_adjustable, code=_NO_CODE
        )
    return Line(
        quota=name,
        has=known.value,
        needs=need,
        code=known.code,
        is_adjustable=known.is_adjustable,
        is_default=known.is_default,
    )
