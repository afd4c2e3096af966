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
    read_quotas,
    spot_quota,
    training_quota,
    warm_pool_quota,
)
from tunewright.backends.sagemaker.settings import JobSettings

_DEFAULTS: Final[Mapping[str, float]] = {CREATE_RATE: 1.0, LIST_RATE: 2.0}
"""Published defaults, for accounts whose quotas cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Planned instances."""

    instance_type: str
    n_instances: int
    has_warm_pool: bool = False
    is_spot: bool = False
    trial_seconds: float | None = None
    """Mean service seconds of a run, if known."""


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


def preflight(session: AwsSession, settings: JobSettings, n_instances: int) -> str:
    """One line for the user about the account's quotas; empty if they cannot be read.

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
        return ""
    try:
        quotas = read_quotas(session)
    except ServiceError:
        return ""
    if quotas is None:
        return ""
    plan = Plan(
        instance_type=settings.instance_type,
        n_instances=n_instances,
        has_warm_pool=settings.config.warm_pool,
        is_spot=settings.config.spot,
    )
    return _words(needs(plan, quotas))


def _words(lines: Sequence[Line]) -> str:
    shown = "; ".join(f"{line.quota}: {line.has or 0:g}, needed {line.needs:g}" for line in lines)
    missing = [f"{line.quota}: {line.remedy}" for line in lines if line.is_missing]
    if not missing:
        return f"Quotas of the account: {shown}"
    return f"WARNING: quotas of the account are too low: {shown}. As many run as there is room for. {'; '.join(missing)}"


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
