"""Documents of the dashboard's server."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.analysis.one_run import one_run
from tunewright.analysis.single import worker_time
from tunewright.aws import ServiceError
from tunewright.events import RequestEvent
from tunewright.experiments import load_outcome
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.journal import FileJournal
from tunewright.requests import StopTrial, read_requests
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

starlette = pytest.importorskip("starlette.testclient")
server = pytest.importorskip("tunewright.dashboard.server")
library = pytest.importorskip("tunewright.dashboard.library")
security = pytest.importorskip("tunewright.dashboard.security")
service_logs = pytest.importorskip("tunewright.dashboard.service_logs")

TOKEN = "a-token-of-the-tests"
Client = Any


@pytest.fixture
def client(tunewright_home: Any) -> Iterator[Client]:
    application = server.Dashboard(library.Library()).application(security.Safety(token=TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with starlette.TestClient(application, base_url="http://127.0.0.1", headers=headers) as found:
        yield found


Store = Callable[..., ExperimentFolder]


def ended(journals: SimpleNamespace) -> list[Any]:
    return [
        journals.session(0.0),
        journals.start(0.0, 0),
        journals.result(5.0, 0, 1, 0.75, cost=0.5),
        journals.result(9.0, 0, 2, 0.25, cost=1.5),
        journals.end(10.0, 0, TrialStatus.COMPLETED, cost=2.0),
        journals.start(10.0, 1),
        journals.end(20.0, 1, TrialStatus.FAILED, error="Traceback\nValueError: <b>no</b>"),
        journals.session(20.0, ExperimentStatus.STOPPED),
    ]


def test_the_list_has_a_row_for_each_experiment(
    client: Client, store: Store, journals: SimpleNamespace
) -> None:
    assert client.get("/api/experiments").json()["experiments"] == []
    folder = store(ended(journals))
    store([], tag="u", name="u-B-toy-1-20270101-000000-abcd", label="B", seed=1)
    folder.note_path.write_text("a <note>\n", encoding="utf-8")
    rows = client.get("/api/experiments").json()["experiments"]
    assert [row["tag"] for row in rows] == ["u", "t"]  # the newest first
    assert rows[0]["status"] == "interrupted"
    assert rows[0]["best"] is None
    found = rows[1]
    assert found["id"] == f"t/{folder.name}"
    assert (found["status"], found["best"], found["best_trial"]) == ("stopped", 0.25, 0)
    assert (found["n_trials"], found["n_failed"], found["n_results"]) == (2, 1, 2)
    assert (found["progress"], found["cost"], found["note"]) == (0.2, 2.0, "a <note>")


def test_the_document_of_an_experiment(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    found = client.get(f"/api/e/t/{folder.name}").json()
    assert found["best"]["config"] == {"lr": 0.1, "width": 1, "act": "relu"}
    assert found["best"]["values"] == {"loss": 0.25}
    assert found["best"]["resource"] == 2
    assert found["best"]["arguments"] == "--lr=0.1 --width=1 --act=relu"
    assert json.loads(found["best"]["json"]) == found["best"]["config"]
    assert [(one["name"], one["type"]) for one in found["space"]] == [
        ("lr", "float"),
        ("width", "int"),
        ("act", "choice"),
    ]
    limits = {one["name"]: (one["value"], one["used"]) for one in found["limits"]}
    assert limits == {"max_wallclock_time": (100.0, 20.0), "max_num_trials": (50, 2)}
    assert found["cost"]["total"] == 2.0
    assert found["decision_time"] == {"mean": 0.25, "max": 0.25}


def test_limits_count_trials_from_their_start_on(
    client: Client, store: Store, journals: SimpleNamespace
) -> None:
    known = journals.start(1.0, 1, note={"known": 3})
    events = [
        journals.session(0.0),
        journals.start(0.0, 0),
        known,
        journals.end(1.0, 1, TrialStatus.COMPLETED),
        journals.start(2.0, 2),
        journals.end(3.0, 2, TrialStatus.COMPLETED),
    ]
    folder = store(events, clock="wall", limits={"max_num_trials": 4})
    tuner = FileJournal(folder.journal_path)
    try:
        found = client.get(f"/api/e/t/{folder.name}").json()
    finally:
        tuner.close()
    assert found["limits"] == [{"name": "max_num_trials", "value": 4, "used": 2}]
    assert found["progress_text"] == "2 of 4 trials, 0 results"
    assert found["progress"] == 0.25  # the running one is not done


def test_changes_since_an_offset(client: Client, store: Store, journals: SimpleNamespace) -> None:
    events = ended(journals)
    folder = store(events[:3])
    address = f"/api/e/t/{folder.name}/since"
    first = client.get(address).json()
    assert first["curves"]["0"] == {"resource": [1], "values": {"loss": [0.75]}, "time": [5.0]}
    with folder.journal_path.open("ab") as file:
        file.write(journals.lines_of(events[3:]).partition(b"\n")[2])
    second = client.get(address, params={"after": first["offset"]}).json()
    assert second["curves"]["0"]["resource"] == [2]
    assert [row["id"] for row in second["trials"]] == [0, 1]
    assert second["offset"] == folder.journal_path.stat().st_size
    assert client.get(address, params={"after": 5}).status_code == 409  # not the end of a line
    assert client.get(address, params={"after": "-1"}).status_code == 422


def test_a_summary_has_the_first_view(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    whole = client.get(f"/api/e/t/{folder.name}/since").json()
    found = client.get(f"/api/e/t/{folder.name}/summary").json()
    assert [step["value"] for step in found["best"]] == [0.75, 0.25]
    assert found == {name: whole[name] for name in ("time", "wall", "best", "totals")}


def test_whole_curves_on_demand(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    address = f"/api/e/t/{folder.name}/curves"
    assert client.get(address, params={"trials": "0,9"}).json() == {
        "curves": {"0": {"resource": [1, 2], "values": {"loss": [0.75, 0.25]}, "time": [5.0, 9.0]}}
    }
    assert client.get(address, params={"trials": "0,x"}).status_code == 422
    assert client.get(address, params={"trials": ",".join("0" * 201)}).status_code == 422


def test_errors_say_the_cause(client: Client, store: Store) -> None:
    answer = client.get("/api/e/t/no-such-thing")
    assert answer.status_code == 404
    assert "no-such-thing" in answer.json()["error"]
    assert client.get("/api/nothing").json() == {"error": "There is nothing at this address"}
    folder = store([])
    folder.metadata_path.write_text("{}", encoding="utf-8")
    answer = client.get(f"/api/e/t/{folder.name}")
    assert answer.status_code == 409
    assert "metadata.json" in answer.json()["error"]


def test_a_trial_in_full(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    run = folder.trials_path / "1" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "stdout").write_text("<script>\n", encoding="utf-8")
    (run / "stderr").write_text("no\n", encoding="utf-8")
    address = f"/api/e/t/{folder.name}/trials"
    failed = client.get(f"{address}/1").json()
    assert failed["error"] == "Traceback\nValueError: <b>no</b>"
    log = {"text": "<script>\nno\n", "offset": "9-3-0", "is_whole": True, "error": "", "is_remote": False}
    assert failed["log"] == log
    assert failed["arguments"] == "--lr=0.05 --width=2 --act=relu"
    good = client.get(f"{address}/0").json()
    assert good["log"] is None
    assert [(row["resource"], row["metrics"], row["decision"]) for row in good["results"]] == [
        (1, {"loss": 0.75}, "continue"),
        (2, {"loss": 0.25}, "continue"),
    ]
    assert client.get(f"{address}/2").status_code == 404
    assert client.get(f"{address}/x").status_code == 404


def test_a_log_is_read_on(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    first, second = (folder.trials_path / "0" / "runs" / name for name in ("0-0", "1-0"))
    first.mkdir(parents=True)
    (first / "stdout").write_text("one\n", encoding="utf-8")
    address = f"/api/e/t/{folder.name}/trials/0/log"
    found = client.get(address).json()
    assert found["text"] == "one\n"
    second.mkdir()
    (first / "stdout").write_text("one\ntwo\n", encoding="utf-8")
    (second / "stderr").write_text("three\n", encoding="utf-8")
    found = client.get(address, params={"after": found["offset"]}).json()
    assert found["text"] == "two\nthree\n"
    (second / "stdout").write_bytes(b"x" * 300_000)
    found = client.get(address, params={"after": found["offset"]}).json()
    assert (len(found["text"]), found["is_whole"]) == (256 * 1024, False)
    assert client.get(address, params={"after": found["offset"]}).json()["text"] == ""
    assert client.get(address, params={"after": "../1"}).status_code == 422


def test_the_log_of_a_service_is_read_once_for_all_pages(store: Store, journals: SimpleNamespace) -> None:
    folder = store(ended(journals))
    reads = 0

    def read(_: ExperimentFolder, trial_id: int) -> str:
        nonlocal reads
        reads += 1
        return f"trial {trial_id}\n" if trial_id else "x" * 300_000

    logs = service_logs.ServiceLogs(read)
    first = logs.read(folder, 1, "")
    assert (first["text"], first["offset"], first["is_whole"]) == ("trial 1\n", "8", True)
    assert logs.read(folder, 1, first["offset"])["text"] == ""
    assert logs.read(folder, 1, "6")["text"] == "1\n"
    assert reads == 1
    long = logs.read(folder, 0, "")
    assert (len(long["text"]), long["offset"], long["is_whole"]) == (256 * 1024, "300000", False)


def test_errors_of_a_service_stand_in_the_log(
    client: Client, store: Store, journals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> str:
        raise ServiceError("AccessDenied", "User may not read logs")

    monkeypatch.setattr(server, "ServiceLogs", lambda: service_logs.ServiceLogs(refused))
    application = server.Dashboard(library.Library()).application(security.Safety(token=TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    folder = store(ended(journals), backend={"name": "sagemaker", "config": {}})
    with starlette.TestClient(application, base_url="http://127.0.0.1", headers=headers) as found:
        address = f"/api/e/t/{folder.name}/trials/0"
        assert found.get(address).json()["log"]["is_remote"] is True  # nothing is asked for yet
        log = found.get(f"{address}/log").json()
        assert log["text"] == ""
        assert "The output cannot be read" in log["error"]
        assert "User may not read logs" in log["error"]
        assert found.get(f"/api/e/t/{folder.name}/trials/7/log").status_code == 404


def test_a_log_behind_a_link_is_not_read(
    client: Client, store: Store, journals: SimpleNamespace, tmp_path: Any
) -> None:
    folder = store(ended(journals))
    secret = tmp_path / "secret"
    (secret / "0-0").mkdir(parents=True)
    (secret / "0-0" / "stdout").write_text("secret", encoding="utf-8")
    (folder.trials_path / "0").mkdir(parents=True)
    (folder.trials_path / "0" / "runs").symlink_to(secret)
    run = folder.trials_path / "1" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "stdout").symlink_to(secret / "0-0" / "stdout")
    for trial in (0, 1):
        assert client.get(f"/api/e/t/{folder.name}/trials/{trial}/log").json()["text"] == ""


def test_a_contour_follows_the_values(client: Client, store: Store, journals: SimpleNamespace) -> None:
    events = []
    for i in range(60):
        config = {"lr": 10 ** (-4 + 4 * (i % 10) / 9), "width": i % 8 + 1, "act": ("relu", "tanh")[i % 2]}
        events += [
            journals.start(float(i), i, config=config),
            journals.result(i + 0.5, i, 1, config["width"] / 8 + (config["act"] == "tanh")),
            journals.end(i + 0.6, i, TrialStatus.COMPLETED),
        ]
    folder = store(events)
    address = f"/api/e/t/{folder.name}/contour"
    found = client.get(address, params={"x": "lr", "y": "width"}).json()
    assert (found["x_log"], found["y_log"]) == (True, False)
    assert (len(found["z"]), len(found["z"][0])) == (len(found["y"]), len(found["x"]))
    low, high = (
        [value for value in found["z"][row] if value is not None] for row in (0, len(found["y"]) - 1)
    )
    assert max(low) < max(high)
    assert len(found["points"]) == 60
    categories = client.get(address, params={"x": "act", "y": "width"}).json()
    assert categories["x"] == ["relu", "tanh"]
    for relu, tanh in categories["z"]:
        if relu is not None and tanh is not None:
            assert tanh > relu + 0.5  # categories are not smoothed into each other
    assert "nothing" in client.get(address, params={"x": "nothing", "y": "lr"}).json()["error"]
    assert "two different" in client.get(address, params={"x": "lr", "y": "lr"}).json()["error"]


def test_importance_finds_the_hyperparameter_that_matters(
    client: Client, store: Store, journals: SimpleNamespace
) -> None:
    pytest.importorskip("sklearn")
    events = []
    for i in range(40):
        config = {"lr": 10 ** (-4 + 4 * (i * 7 % 40) / 40), "width": i % 8 + 1, "act": "relu"}
        events += [journals.start(float(i), i, config=config), journals.result(i + 0.5, i, 1, config["lr"])]
    folder = store(events)
    found = client.get(f"/api/e/t/{folder.name}/importance").json()
    assert found["values"][0]["name"] == "lr"
    assert found["values"][0]["share"] > 0.8
    few = store(events[:4], name="t-B-toy-0-20260101-000001-abcd")
    answer = client.get(f"/api/e/t/{few.name}/importance")
    assert answer.status_code == 200  # no failure: browsers report those on the console
    assert "10 trials" in answer.json()["error"]


def test_pareto_front_and_hypervolume(client: Client, store: Store, journals: SimpleNamespace) -> None:
    pairs = [(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (0.5, 0.25), (float("nan"), 2.0)]
    events = []
    for i, (loss, gain) in enumerate(pairs):
        metrics = {"loss": loss, "gain": gain}
        events += [journals.start(float(i), i), journals.result(i + 0.5, i, 1, loss, metrics=metrics)]
    metrics = [{"name": "loss", "goal": "min"}, {"name": "gain", "goal": "max"}]
    benchmark = {"name": "toy", "metrics": metrics}
    folder = store(events, benchmark=benchmark)
    found = client.get(f"/api/e/t/{folder.name}/hypervolume").json()
    assert found["reference"] == [1.0, 0.0]
    assert (found["time"], found["value"]) == ([0.5, 1.5, 2.5], [0.0, 0.0, 1.0])
    points = {point["trial_id"]: point for point in found["pareto"]["points"]}
    assert points[2] == {"trial_id": 2, "values": {"loss": 0.0, "gain": 1.0}, "is_front": True}
    assert [one for one, point in points.items() if point["is_front"]] == [2]
    single = store(events, name="t-B-toy-0-20260101-000001-abcd")
    assert "two metrics" in client.get(f"/api/e/t/{single.name}/hypervolume").json()["error"]


@pytest.fixture
def controller(tunewright_home: Any) -> Iterator[Client]:
    application = server.Dashboard(library.Library(control=True)).application(security.Safety(token=TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with starlette.TestClient(application, base_url="http://127.0.0.1", headers=headers) as found:
        yield found


def test_a_request_is_put_into_the_folder_of_a_running_experiment(
    controller: Client, store: Store, journals: SimpleNamespace
) -> None:
    folder = store([journals.session(0.0), journals.start(0.0, 0)], clock="wall")
    address = f"/api/e/t/{folder.name}/requests"
    stop = {"action": "stop_trial", "trial_id": 0, "arguments": {"reason": "<b>diverged</b>"}}
    before = folder.journal_path.read_bytes()
    refused = controller.post(address, json=stop)
    assert refused.status_code == 409
    assert f"tunewright resume {folder.name}" in refused.json()["error"]
    tuner = FileJournal(folder.journal_path)  # its lock
    try:
        answer = controller.post(address, json=stop)
        assert answer.status_code == 202
        ((number, request),) = read_requests(folder)
        assert number == answer.json()["id"]
        assert request == StopTrial(trial_id=0, reason="<b>diverged</b>")
        for body in (
            {"action": "no_such_action"},
            {"action": "stop_trial"},
            {"action": "stop_trial", "trial_id": "../1"},
            {"action": "try_config", "arguments": {"config": {"lr": "x"}}},
            {"action": "note", "arguments": {"text": ""}},
            {"action": "stop_trial", "trial_id": 0, "path": "/etc"},
            [],
        ):
            answer = controller.post(address, json=body)
            assert answer.status_code == 422, body
            assert answer.json()["error"]
        deep = controller.post(address, content="[" * 50_000, headers={"Content-Type": "application/json"})
        assert deep.status_code == 422
        assert len(read_requests(folder)) == 1
        assert folder.journal_path.read_bytes() == before
    finally:
        tuner.close()


def test_a_request_to_a_tuning_job_goes_to_its_launch(
    controller: Client, store: Store, journals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store([journals.session(0.0), journals.start(0.0, 0)], clock="wall")
    marker = RemoteMarker(tag="t", name="slice", state="running", looked_at=0.0)
    write_marker(folder.path, marker)
    address = f"/api/e/t/{folder.name}/requests"
    refused = controller.post(address, json={"action": "stop_experiment"})
    assert refused.status_code == 422
    assert "launched from another machine" in refused.json()["error"]
    sent: list[Any] = []

    def send(launch: str, _: ExperimentFolder, slice_name: str, request: Any) -> str:
        sent.append((launch, slice_name, request))
        return "7"

    monkeypatch.setattr(library, "open_launch", contextlib.nullcontext)
    monkeypatch.setattr(library, "send_request", send)
    answer = controller.post(address, json={"action": "stop_trial", "trial_id": 0})
    assert (answer.status_code, answer.json()) == (202, {"id": "7"})
    assert sent == [("t", "slice", StopTrial(trial_id=0))]
    assert read_requests(folder) == []


def test_no_requests_without_control(client: Client, store: Store, journals: SimpleNamespace) -> None:
    folder = store([journals.start(0.0, 0)], clock="wall")
    tuner = FileJournal(folder.journal_path)
    try:
        answer = client.post(f"/api/e/t/{folder.name}/requests", json={"action": "stop_experiment"})
        assert answer.status_code == 403
        assert "--control" in answer.json()["error"]
        assert read_requests(folder) == []
    finally:
        tuner.close()
    assert client.get(f"/api/e/t/{folder.name}").json()["control"] is False


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2)])
def test_workers_count_as_long_as_they_are_there(
    store: Store, journals: SimpleNamespace, before: int, after: int
) -> None:
    change = RequestEvent(
        t=10.0,
        wall=1e9,
        action="set_workers",
        trial_id=None,
        arguments={"n_workers": after},
        done="set_workers",
        reason="",
    )
    first = [journals.start(0.0, i) for i in range(before)]
    first += [journals.result(5.0, i, 1, 0.5) for i in range(before)]
    first += [journals.end(10.0, i, TrialStatus.COMPLETED) for i in range(before)]
    later = [journals.start(10.0, before + i) for i in range(after)]
    later += [journals.end(20.0, before + i, TrialStatus.COMPLETED) for i in range(after)]
    folder = store([*first, change, *later], n_workers=after)  # the tuner stores the new number
    found = worker_time(one_run(folder))
    assert found.n_workers == 4
    assert found.idle == pytest.approx(0.0)


def test_journaled_requests_are_events_and_notes(
    client: Client, store: Store, journals: SimpleNamespace
) -> None:
    def asked(
        action: str, trial_id: int | None, done: str, reason: str = "", **arguments: Any
    ) -> RequestEvent:
        return RequestEvent(
            t=1.0, wall=1e9, action=action, trial_id=trial_id, arguments=arguments, done=done, reason=reason
        )

    folder = store(
        [
            journals.start(0.0, 0),
            asked("note", None, "note", text="watch <this>", request="1"),
            asked("change_limits", None, "change_limits", max_cost=3, request="2"),
            asked("try_config", None, "try_config", config={"lr": 0.1, "act": "relu"}, request="3"),
            asked("stop_trial", 0, "", "The trial does not run"),
        ]
    )
    found = client.get(f"/api/e/t/{folder.name}/since").json()["events"]
    assert [(event["kind"], event["trial_id"], event["text"]) for event in found] == [
        ("note", None, "watch <this>"),
        ("request", None, "change limits: max_cost 3"),
        ("request", None, "try config: lr 0.1, act relu"),
        ("request", 0, "stop trial: refused (The trial does not run)"),
    ]
    assert client.get(f"/api/e/t/{folder.name}").json()["note"] == "watch <this>"
    requests = client.get(f"/api/e/t/{folder.name}/trials/0").json()["requests"]
    assert [(one["action"], one["done"]) for one in requests] == [("stop_trial", "")]


def test_experiments_of_version_0_1_are_shown(client: Client, tunewright_home: Path) -> None:
    stored = sorted((Path(__file__).parents[1] / "experiments_0_1").glob("*/journal.jsonl"))
    assert stored
    for journal in stored:
        shutil.copytree(journal.parent, tunewright_home / "experiments" / "old" / journal.parent.name)
    rows = client.get("/api/experiments").json()["experiments"]
    assert {row["name"] for row in rows} == {journal.parent.name for journal in stored}
    for row in rows:
        outcome = load_outcome(ExperimentFolder(tunewright_home / "experiments" / row["id"]))
        best = outcome.best
        assert best is not None
        assert (row["best"], row["best_trial"]) == (best.value, best.trial_id)
        assert (row["n_results"], row["status"]) == (outcome.history.n_results, str(outcome.status))
        document = client.get(f"/api/e/{row['id']}").json()
        assert document["best"]["config"] == dict(best.config)
        assert document["warnings"] == []
