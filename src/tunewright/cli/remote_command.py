"""``tunewright remote``: what was launched remotely, from here."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tunewright.aws import AwsSession, ServiceError, default_bucket, open_session, resolve_endpoint
from tunewright.exceptions import BackendError, SettingsError, UnknownNameError
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser, positive, positive_int
from tunewright.launchers.remote_table import HEADINGS, follow, slice_rows
from tunewright.remote.cleanup import clear_experiments
from tunewright.remote.journal import SliceLog
from tunewright.remote.launch import ENDED, Fleet, SliceStatus, load_record
from tunewright.remote.mirror import SliceView, fetch_views

_SERVICE_SECONDS: Final = 5.0
_SHORTEST: Final = 1.0


def run(arguments: Sequence[str]) -> int:
    """Look at a launch, print a slice's log, stop it, or fetch its results."""
    name, *rest = arguments or ("--help",)
    if name in {"-h", "--help"}:
        say("Usage: tunewright remote {" + ",".join(_ACTIONS) + "} TAG ...\n")
        print_table(("action", "what it does"), [(key, what) for key, (_, what) in _ACTIONS.items()])
        return 0
    if name not in _ACTIONS:
        raise UnknownNameError("action of 'tunewright remote'", name, _ACTIONS)
    try:
        return _ACTIONS[name][0](rest)
    except ServiceError as error:
        raise BackendError(f"The service does not answer as it should ({error}): try again") from error


def _status(arguments: Sequence[str]) -> int:
    parser = _parser("status", "Show all slices: state, best so far, trials, cost.")
    parser.flag("format", "how", choices=("table", "json"), default="table")
    parser.switch("resume", "launch those again whose tuning job died, and those that wait in line")
    parser.switch("wait", "follow all slices until they end; with --resume, keep them going")
    parser.flag("max_parallel_jobs", "tuning jobs at the same time", type=positive_int)
    given = parser.read(arguments)
    session, fleet = _open(given)
    try:
        statuses = _look(fleet, given.tag)
        if given.wait and given.resume:
            interval = session.endpoint.seconds(_SERVICE_SECONDS, at_least=_SHORTEST)
            names = {status.slice.name for status in statuses}
            return follow(fleet, names, interval=interval, max_parallel=given.max_parallel_jobs)
        if given.resume and fleet.launch_waiting(statuses, given.max_parallel_jobs):
            statuses = fleet.look()
        while given.wait and any(status.state not in ENDED for status in statuses):
            time.sleep(session.endpoint.seconds(_SERVICE_SECONDS, at_least=_SHORTEST))
            statuses = fleet.look()
        _show(fetch_views(fleet, statuses), given.format)
    finally:
        session.close()
    return 0


def _fetch(arguments: Sequence[str]) -> int:
    parser = _parser("fetch", "Bring the results here; only what has changed is downloaded.")
    given = parser.read(arguments)
    session, fleet = _open(given)
    try:
        views = fetch_views(fleet, _look(fleet, given.tag), all_files=True)
    finally:
        session.close()
    outcomes = [outcome for view in views for outcome in view.outcomes]
    say(f"{len(outcomes)} experiments, {sum(view.n_fetched for view in views)} files were new or had changed")
    for outcome in outcomes:
        say(str(outcome.path))
    return 0


def _stop(arguments: Sequence[str]) -> int:
    parser = _parser("stop", "Stop slices: tuning jobs, their trials' training jobs, and warm pools.")
    parser.flag("slice", "only this one (default: all)")
    given = parser.read(arguments)
    session, fleet = _open(given)
    try:
        chosen = [_find(fleet, given)] if given.slice else _look(fleet, given.tag)
        fleet.stop(chosen)
        names = {status.slice.name for status in chosen}
        while True:
            statuses = [status for status in fleet.look() if status.slice.name in names]
            if all(status.state in ENDED for status in statuses):
                break
            time.sleep(session.endpoint.seconds(_SERVICE_SECONDS, at_least=_SHORTEST))
        for status in statuses:
            say(f"{status.slice.name}: {status.state}")
        experiments = [experiment for status in statuses for experiment in status.experiments]
        n_jobs, n_pools = clear_experiments(session, experiments)
        if n_jobs or n_pools:
            say(f"{n_jobs} training jobs stopped, {n_pools} warm pools released")
    finally:
        session.close()
    return 0


def _logs(arguments: Sequence[str]) -> int:
    parser = _parser("logs", "Print what a slice's tuning jobs printed.")
    parser.positional("slice", "its name, as 'tunewright remote status' shows it")
    parser.switch("follow", "go on until the slice ends")
    given = parser.read(arguments)
    session, fleet = _open(given)
    try:
        status = _find(fleet, given)
        log = SliceLog(fleet.objects(status.slice.name))
        while given.follow and status.state not in ENDED:
            _print(log)
            time.sleep(session.endpoint.seconds(_SERVICE_SECONDS, at_least=_SHORTEST))
            status = _find(fleet, given)
        _print(log)
    finally:
        session.close()
    return 0


def _print(log: SliceLog) -> None:
    sys.stdout.write(log.new_text())
    sys.stdout.flush()


def _parser(action: str, what: str) -> Parser:
    parser = Parser(f"tunewright remote {action}", what)
    parser.positional("tag", "the experiment tag that was launched")
    parser.flag("endpoint", "for what another machine launched: aws, embedded or a URL")
    parser.flag("region", "likewise")
    parser.flag("bucket", "likewise")
    parser.flag("speed", "likewise, of an embedded endpoint", type=positive)
    return parser


def _open(given: Namespace) -> tuple[AwsSession, Fleet]:
    record = load_record(given.tag)
    if given.endpoint is None and record is not None:
        session = open_session(record.endpoint())
        return session, Fleet(session, record.bucket, given.tag)
    session = open_session(resolve_endpoint(given.endpoint or "aws", region=given.region, speed=given.speed))
    return session, Fleet(session, given.bucket or default_bucket(session), given.tag)


def _look(fleet: Fleet, tag: str) -> list[SliceStatus]:
    statuses = fleet.look()
    if not statuses:
        raise SettingsError(f"Nothing was launched under the tag {tag}: see launch_remote.py --help")
    return statuses


def _find(fleet: Fleet, given: Namespace) -> SliceStatus:
    found = {status.slice.name: status for status in _look(fleet, given.tag)}
    if given.slice not in found:
        raise UnknownNameError("slice", given.slice, found)
    return found[given.slice]


def _show(views: Sequence[SliceView], how: str) -> None:
    if how == "json":
        say(json.dumps([_json(view) for view in views], indent=2))
    else:
        print_table(HEADINGS, slice_rows(views))


def _json(view: SliceView) -> dict[str, Any]:
    status = view.status
    return {
        "slice": status.slice.name,
        "state": str(status.state),
        "why": status.why,
        "tuning_jobs": list(status.jobs),
        "tuning_seconds": status.seconds,
        "tuning_cost": status.cost,
        "experiments": [outcome.to_json() for outcome in view.outcomes],
    }


_ACTIONS: Final[Mapping[str, tuple[Callable[[Sequence[str]], int], str]]] = {
    "status": (_status, "all slices: state, best so far, trials, cost"),
    "logs": (_logs, "what a slice's tuning jobs printed"),
    "stop": (_stop, "stop slices with their trials' jobs and warm pools"),
    "fetch": (_fetch, "bring the results here; then tunewright list and show know them"),
}
