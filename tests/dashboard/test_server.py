"""Documents of the dashboard's server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

starlette = pytest.importorskip("starlette.testclient")
server = pytest.importorskip("tunewright.dashboard.server")
library = pytest.importorskip("tunewright.dashboard.library")
security = pytest.importorskip("tunewright.dashboard.security")

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
    assert (found["progress"], found["cost"], found["note"]) == (1.0, 2.0, "a <note>")


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
