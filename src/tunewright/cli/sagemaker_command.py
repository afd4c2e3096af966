"""``tunewright sagemaker``: permissions, and clearing away what a crash left running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from tunewright.aws import ServiceError, find_role, open_session, resolve_endpoint
from tunewright.aws.identity import partition
from tunewright.aws.policy import policy
from tunewright.exceptions import BackendError, UnknownNameError
from tunewright.experiments import SageMakerChoice
from tunewright.experiments.choices import choice_from_json
from tunewright.experiments.remote.clearing import clear_experiments
from tunewright.journal import is_locked
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser
from tunewright.storage import experiments

_Place: TypeAlias = tuple[str, str | None, float | None]


def run(arguments: Sequence[str]) -> int:
    """Print a policy, or clear up."""
    name, *rest = arguments or ("--help",)
    if name in {"-h", "--help"}:
        say("Usage: tunewright sagemaker {" + ",".join(_ACTIONS) + "} ...\n")
        print_table(("action", "what it does"), [(key, what) for key, (_, what) in _ACTIONS.items()])
        return 0
    if name not in _ACTIONS:
        raise UnknownNameError("action of 'tunewright sagemaker'", name, _ACTIONS)
    _ACTIONS[name][0](rest)
    return 0


def _policy(arguments: Sequence[str]) -> None:
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


def _cleanup(arguments: Sequence[str]) -> None:
    parser = Parser(
        "tunewright sagemaker cleanup",
        "Stop the jobs and release the warm pools of experiments that nobody works on any more.",
    )
    parser.flag("tag", "only experiments of this tag")
    given = parser.read(arguments)
    left: dict[_Place, list[str]] = {}
    for place, name in _abandoned(given.tag):
        left.setdefault(place, []).append(name)
    n_jobs = n_pools = 0
    for (endpoint, region, speed), names in left.items():
        session = open_session(resolve_endpoint(endpoint, region=region, speed=speed))
        try:
            jobs, pools = clear_experiments(session, names)
        except ServiceError as error:
            raise BackendError(f"The service does not answer as it should ({error}): try again") from error
        finally:
            session.close()
        n_jobs, n_pools = n_jobs + jobs, n_pools + pools
    n_experiments = sum(map(len, left.values()))
    say(f"{n_experiments} experiments looked at: {n_jobs} jobs stopped, {n_pools} warm pools released")


def _abandoned(tag: str | None) -> Iterator[tuple[_Place, str]]:
    """Stored SageMaker experiments that no process works on, by where their jobs run."""
    for folder in experiments(tag):
        choice = choice_from_json(folder.metadata()["backend"])
        if isinstance(choice, SageMakerChoice) and not is_locked(folder.journal_path):
            yield (choice.endpoint, choice.region, choice.speed), folder.name


_ACTIONS: Final[Mapping[str, tuple[Callable[[Sequence[str]], None], str]]] = {
    "policy": (_policy, "the permissions that are needed, as an IAM policy"),
    "cleanup": (_cleanup, "stop jobs and release warm pools that a crash left behind"),
}
