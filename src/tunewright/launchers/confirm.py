"""Before anything is created on AWS: what, at what price per hour at most, and whether that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tunewright.aws import EndpointKind
from tunewright.backends.sagemaker import SageMakerSettings, estimate
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import SageMakerChoice, sagemaker_endpoint, settle_execution
from tunewright.launchers.console import say

_RULE: Final = "*" * 100
_EMBEDDED: Final = "SageMaker training jobs run on an endpoint embedded in this machine"
_NO_CREDENTIALS: Final = f"""\
{_RULE}
*** NO AWS CREDENTIALS WERE FOUND: nothing is created on AWS, nothing is billed.
*** {_EMBEDDED}.
*** For AWS: aws configure (or aws sso login), then this command again.
{_RULE}"""


def settle_endpoint(
    choice: SageMakerChoice,
    settings: SageMakerSettings,
    *,
    is_agreed: bool,
    ask: Callable[[str], str] | None = None,
) -> SageMakerChoice:
    """Decide where jobs run, say so, and have it confirmed where it costs money.

    Parameters
    ----------
    choice
        As the user gave it.
    settings
        What jobs will be.
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
    endpoint = sagemaker_endpoint(choice)
    if settings.warm_pool or settings.spot:
        say(_quota_text(settings))
    if endpoint.kind is EndpointKind.OTHER:
        say(f"SageMaker training jobs run on {choice.endpoint}")
        return replace(choice, region=endpoint.region)
    if endpoint.kind is EndpointKind.EMBEDDED:
        say(_NO_CREDENTIALS if choice.endpoint == "auto" else f"{_EMBEDDED}; nothing is created on AWS")
    else:
        say(
            f"On AWS, region {endpoint.region}, this creates training jobs, {estimate(settings)}, and files in S3"
        )
        if not is_agreed:
            _confirm(choice, ask or ask_person)
    return replace(choice, endpoint=str(endpoint.kind), region=endpoint.region)


def say_execution(
    benchmark: RealBenchmarkDefinition, choice: SageMakerChoice, *, is_quiet: bool = False
) -> SageMakerChoice:
    """Decide whether each run is a job or workers take them, and say which would keep how many workers busy.

    Raises
    ------
    SettingsError
        Workers were asked for, and the trials cannot run on them.
    """
    settled, text = settle_execution(benchmark, choice)
    if not is_quiet:
        say(text)
    return settled


def _quota_text(settings: SageMakerSettings) -> str:
    n, kind = settings.n_workers * settings.instance_count, settings.instance_type
    if settings.spot:
        return f'Spot instances need a quota of {n} for "{kind} for spot training job usage" (Service Quotas)'
    return (
        f'Warm pools need a quota of {n} both for "{kind} for training job usage" and for '
        f'"{kind} for training warm pool usage" (Service Quotas)'
    )


def ask_person(text: str) -> str:
    """Ask on the terminal; where nothing more can be typed (Ctrl-D) the answer is empty."""
    try:
        return input(text)
    except EOFError:
        say("")
        return ""


def _confirm(choice: SageMakerChoice, ask: Callable[[str], str]) -> None:
    if sys.stdin.isatty():
        if ask("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise SettingsError("Not confirmed: nothing was created")
    elif choice.endpoint != EndpointKind.AWS:
        raise SettingsError(
            "AWS credentials were found, and nobody can be asked: say --endpoint aws, --yes or --endpoint embedded"
        )
