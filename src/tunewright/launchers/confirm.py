"""Before anything is created on AWS: what, at what price per hour at most, and whether that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from tunewright.aws import EndpointKind, price_per_hour, resolve_endpoint
from tunewright.exceptions import SettingsError
from tunewright.experiments import SageMakerChoice
from tunewright.launchers.console import say

EMBEDDED = "Trials run as SageMaker training jobs on an endpoint embedded in this machine; nothing is created on AWS."
NO_CREDENTIALS = f"""\
{"*" * 100}
*** NO AWS CREDENTIALS WERE FOUND, so nothing happens on AWS and nothing is billed.
*** {EMBEDDED.removesuffix("; nothing is created on AWS.")}.
*** For AWS: aws configure (or aws sso login), then this command again.
{"*" * 100}"""


def settle_endpoint(
    choice: SageMakerChoice,
    *,
    n_workers: int,
    instance_types: Sequence[str],
    is_agreed: bool,
    ask: Callable[[str], str] = input,
) -> SageMakerChoice:
    """Decide where jobs run, say so, and have it confirmed where it costs money.

    Parameters
    ----------
    choice
        As the user gave it.
    n_workers, instance_types
        What runs at the same time at most.
    is_agreed
        Whether ``--yes`` was given.
    ask
        Asks a person on a terminal.

    Returns
    -------
    SageMakerChoice
        With the endpoint decided: never ``auto``.

    Raises
    ------
    SettingsError
        The answer was no, or nobody can be asked; nothing was created.
    """
    endpoint = resolve_endpoint(choice.endpoint, speed=choice.speed, region=choice.region)
    if endpoint.kind is EndpointKind.EMBEDDED:
        say(NO_CREDENTIALS if choice.endpoint == "auto" else EMBEDDED)
        return replace(choice, endpoint=str(endpoint.kind), region=endpoint.region)
    if endpoint.kind is EndpointKind.OTHER:
        say(f"Trials run as training jobs on {choice.endpoint}")
        return replace(choice, region=endpoint.region)
    say(_announcement(choice, endpoint.region, n_workers, instance_types))
    if not is_agreed:
        _confirm(choice, ask)
    return replace(choice, endpoint=str(endpoint.kind), region=endpoint.region)


def _announcement(choice: SageMakerChoice, region: str, n_workers: int, instance_types: Sequence[str]) -> str:
    prices = {t: price_per_hour(t) for t in dict.fromkeys(instance_types)}
    known = [price for price in prices.values() if price is not None]
    most = (
        f"at most ${n_workers * max(known):.2f} an hour"
        if len(known) == len(prices)
        else "at a price that is not known here"
    )
    pools = ", and as many warm instances between them" if choice.warm_pool else ""
    return (
        f"On AWS, region {region}, this creates: up to {n_workers} SageMaker training jobs at a time on "
        f"{', '.join(prices)}{pools}; files in the account's SageMaker bucket. Together {most}, storage apart."
    )


def _confirm(choice: SageMakerChoice, ask: Callable[[str], str]) -> None:
    if sys.stdin.isatty():
        if ask("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise SettingsError("Not confirmed: nothing was created")
    elif choice.endpoint != EndpointKind.AWS:
        raise SettingsError(
            "AWS credentials were found, and nobody can be asked: say --endpoint aws, --yes or --endpoint embedded"
        )
