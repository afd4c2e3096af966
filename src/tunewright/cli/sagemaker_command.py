"""``tunewright sagemaker``: permissions, quotas, and clearing away what a crash left running."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from tunewright.aws import AwsSession, EndpointKind, ServiceError, find_role, open_session, resolve_endpoint
from tunewright.aws.account import partition
from tunewright.aws.policy import policy
from tunewright.backends.plugin import backend_from_json
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.cli.sagemaker_quotas import run_quotas
from tunewright.cli.sagemaker_verify import run_verify
from tunewright.exceptions import BackendError, SettingsError, TunewrightError, UnknownNameError
from tunewright.journal import is_locked
from tunewright.launchers.confirm import ask_person
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser
from tunewright.remote.cleanup import Leftover, end_leftovers, find_leftovers
from tunewright.storage import experiments

_ENDPOINTS: Final = ("aws", "embedded")
_Place: TypeAlias = tuple[str, str | None, float | None]


def run(arguments: Sequence[str]) -> int:
    """Carry out one action."""
    name, *rest = arguments or ("--help",)
    if name in {"-h", "--help"}:
        say("Usage: tunewright sagemaker {" + ",".join(_ACTIONS) + "} ...\n")
        print_table(("action", "what it does"), [(key, what) for key, (_, what) in _ACTIONS.items()])
        return 0
    if name not in _ACTIONS:
        raise UnknownNameError("action of 'tunewright sagemaker'", name, _ACTIONS)
    return _ACTIONS[name][0](rest)


def _policy(arguments: Sequence[str]) -> int:
    parser = Parser("tunewright sagemaker policy", "Print the IAM policy that is needed, as JSON.")
    parser.flag("for", "user, or job: the role of tuning jobs", choices=("user", "job"), default="user")
    parser.switch("narrow", "for this account, region and role: AWS is asked who you are")
    parser.flag("region", "of AWS (default: as boto3 finds it); with --narrow")
    parser.flag("role", "that jobs run as; with --narrow")
    given = vars(parser.read(arguments))
    for_jobs = given["for"] == "job"
    document = policy(for_jobs=for_jobs)
    if given["narrow"]:
        session = open_session(resolve_endpoint("aws", region=given["region"]))
        try:
            region = session.endpoint.region
            document = policy(
                region=region,
                account=session.account,
                role_arn=find_role(session, given["role"]),
                partition=partition(region),
                for_jobs=for_jobs,
            )
        finally:
            session.close()
    say(json.dumps(document, indent=2))
    return 0


def _cleanup(arguments: Sequence[str]) -> int:
    parser = Parser(
        "tunewright sagemaker cleanup",
        "Show the jobs and warm pools of experiments that nobody works on any more, with their price, and end them.",
    )
    parser.flag("tag", "only experiments of this tag")
    parser.flag(
        "endpoint", "only experiments whose jobs ran there: aws, embedded or an address (default: everywhere)"
    )
    parser.switch("dry_run", "show them only")
    parser.switch("yes", "do not ask before they are ended")
    given = parser.read(arguments)
    if given.endpoint and given.endpoint not in _ENDPOINTS and "://" not in given.endpoint:
        raise UnknownNameError("endpoint", given.endpoint, _ENDPOINTS)
    places: dict[_Place, list[str]] = {}
    for place, name in _abandoned(given.tag):
        if given.endpoint in {None, place[0]}:
            places.setdefault(place, []).append(name)
    n_jobs = n_pools = 0
    for (endpoint, region, speed), names in places.items():
        session = open_session(resolve_endpoint(endpoint, region=region, speed=speed))
        try:
            left = find_leftovers(session, names)
            if left:
                _show_leftovers(left)
            if left and not given.dry_run and _is_agreed(session, is_agreed=given.yes):
                jobs, pools = end_leftovers(session, left)
                n_jobs, n_pools = n_jobs + jobs, n_pools + pools
        except ServiceError as error:
            raise BackendError(f"The service does not answer as it should ({error}): try again") from error
        finally:
            session.close()
    n_experiments = sum(map(len, places.values()))
    say(f"{n_experiments} experiments looked at: {n_jobs} jobs stopped, {n_pools} warm pools released")
    return 0


def _show_leftovers(left: Sequence[Leftover]) -> None:
    print_table(
        ("job", "experiment", "state", "instances", "price per hour"),
        [
            (
                one.job,
                one.experiment,
                "kept warm" if one.is_pool else "runs",
                f"{one.instance_count} x {one.instance_type}",
                "not known" if one.dollars_per_hour is None else f"${one.dollars_per_hour:.3f}",
            )
            for one in left
        ],
    )
    say(f"Together ${sum(one.dollars_per_hour or 0.0 for one in left):.2f} per hour")


def _is_agreed(session: AwsSession, *, is_agreed: bool) -> bool:
    if is_agreed or session.endpoint.kind is not EndpointKind.AWS:
        return True
    if not sys.stdin.isatty():
        raise SettingsError("Nobody can be asked whether to end these: say --yes; nothing was ended")
    return ask_person("End these? [y/N] ").strip().lower() in {"y", "yes"}


def _abandoned(tag: str | None) -> Iterator[tuple[_Place, str]]:
    """Stored SageMaker experiments that no process works on, by where their jobs run; what cannot be read is said."""
    for folder in experiments(tag):
        try:
            config = backend_from_json(folder.metadata()["backend"])
        except (TunewrightError, LookupError, TypeError, ValueError) as error:
            sys.stderr.write(f"Left out {folder.name}, whose backend is not known: {error}\n")
            continue
        if isinstance(config, SageMakerConfig) and not is_locked(folder.journal_path):
            yield (config.endpoint, config.region, config.speed), folder.name


_ACTIONS: Final[Mapping[str, tuple[Callable[[Sequence[str]], int], str]]] = {
    "policy": (_policy, "the permissions that are needed, as an IAM policy"),
    "quotas": (run_quotas, "what an experiment needs of the account, what it has, and how to ask for more"),
    "verify": (run_verify, "run short jobs and compare the service with what is assumed of it"),
    "cleanup": (
        _cleanup,
        "show jobs and warm pools that a crash left behind, with their price, and end them",
    ),
}
