"""``tunewright sagemaker verify``: an account beside the assumptions of the backend."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tunewright.aws import AwsSession, EndpointKind, ServiceError, prices_at
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.verification import (
    MINUTES,
    Observation,
    State,
    Verification,
    Verifier,
    verification_site,
)
from tunewright.cli.exits import FAILED, say
from tunewright.cli.flags import HERE, AccessFlags
from tunewright.cli.output import is_confirmed, print_table, writing
from tunewright.exceptions import SettingsError
from tunewright.remote.cleanup import plan_purge, purge
from tunewright.types import package_version

EXIT_DIFFERENT: Final = 3
"""Exit code if an assumption is contradicted."""


def verify(
    *,
    instance_type: str = "ml.m5.large",
    endpoint: str = "auto",
    access: AccessFlags = HERE,
    role: str | None = None,
    bucket: str | None = None,
    bucket_owner: str | None = None,
    image_uri: str | None = None,
    out: Path | None = None,
    yes: bool = False,
) -> int:
    """Run the jobs and print a line per assumption. Everything is removed afterwards.

    The exit code is 3 if an assumption is contradicted, else 1 if a step failed.

    Parameters
    ----------
    instance_type
        Of the jobs; one with several GPUs also shows how they are counted.
    endpoint
        auto, aws, embedded or a URL.
    access
        Region and credentials.
    role
        Role of the jobs (default: found).
    bucket
        Bucket of their files (default: sagemaker-REGION-ACCOUNT).
    bucket_owner
        Account that must own --bucket, 12 digits.
    image_uri
        Image of the jobs (default: AWS's PyTorch image).
    out
        File of the result as JSON, without account, role, bucket and keys.
    yes
        Do not ask before jobs are created on AWS.
    """
    if out is not None:
        with writing(out), out.open("a", encoding="utf-8"):  # before anything is paid for
            pass
    config = SageMakerConfig(
        instance_type=instance_type,
        role=role,
        bucket=bucket,
        bucket_owner=bucket_owner,
        image_uri=image_uri,
    )
    session = access.open(endpoint)
    try:
        _confirm(session, instance_type, is_agreed=yes)
        experiment = f"tunewright-verify-{secrets.token_hex(4)}"
        site = verification_site(session, config, experiment)
        verifier = Verifier(site, say)
        try:
            with _cleaned_up(verifier, site, experiment):
                verifier.run()
        finally:  # Ctrl-C as well
            _show(verifier.result)
            if out is not None:
                _write(verifier.result, site, out)
    finally:
        session.close()
    if verifier.result.count(State.CONTRADICTED):
        return EXIT_DIFFERENT
    return FAILED if verifier.result.failures else 0


@contextmanager
def _cleaned_up(verifier: Verifier, site: ExperimentSite, experiment: str) -> Generator[None]:
    """End all jobs and warm pools and delete all files afterwards, whatever happens."""
    left: list[str] | None = None
    try:
        yield
    finally:
        try:
            say("Ending jobs and deleting files ...")
            left = verifier.clear()
            root = site.session.objects(site.deployment.bucket, ROOT_PREFIX)
            purge(root, plan_purge(root, [experiment], []))
        except ServiceError as error:
            say(f"The files below {ROOT_PREFIX}/{experiment}/ could not be deleted: {error}")
        finally:
            for line in ["the end of the jobs is not known"] if left is None else left:
                say(f"{line}: tunewright sagemaker cleanup --all")


def _confirm(session: AwsSession, instance_type: str, *, is_agreed: bool) -> None:
    """State the costs, and have them confirmed.

    Raises
    ------
    SettingsError
        The user did not confirm, or there is no terminal to ask at; nothing was created.
    """
    price = prices_at(session.endpoint).get(instance_type)
    cost = "at an unknown price"
    if price is not None:
        cost = f"at most ${price.dollars_per_hour * MINUTES / 60:.2f} ({price})"
    text = f"Five short jobs, one after the other on one {instance_type} in {session.endpoint.region}, {MINUTES} minutes, {cost}."
    if session.endpoint.kind is not EndpointKind.AWS:
        say(f"{text} Nothing is billed here.")
        return
    say(text)
    if not is_agreed and not is_confirmed(
        "Go on?", unattended=f"{text} A terminal is needed to confirm; use --yes"
    ):
        raise SettingsError("Not confirmed: nothing was created")


def _show(result: Verification) -> None:
    rows = [(one.number, one.state, _line(one)) for one in result.observations]
    print_table(("line", "state", "assumption, observation, source"), rows, wraps_last=True)
    for kind in (result.image, result.further, result.failures):
        for name, text in kind.items():
            say(f"{name}: {text}")
    counts = ", ".join(f"{result.count(state)} {state}" for state in State)
    say(f"{counts}; {len(result.failures)} steps failed")


def _line(one: Observation) -> str:
    kind = "Reason" if one.state is State.NOT_SEEN else "Seen"
    source = f" [{one.source}]" if one.source else ""
    return f"{one.text} {kind}: {one.seen}{source}"


def _write(result: Verification, site: ExperimentSite, path: Path) -> None:
    config, endpoint = site.settings.config, site.session.endpoint
    facts = {
        "tunewright": package_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "endpoint": str(endpoint.kind),
        "region": endpoint.region,
        "instance_type": site.settings.instance_type,
        "framework_version": None if config.image_uri else config.framework_version,
        "calls": dict(site.session.calls),
        **result.to_json(),
    }
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    say(f"The result is in {path}. It names no account, role, bucket or key, so that you can send it to us")
