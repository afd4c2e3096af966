"""The dashboard in a cell: a server in the kernel's process, and a page in a frame without cookies."""

from __future__ import annotations

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.dashboard.notebook import HUB_PREFIX, NotebookDashboard
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, Outcome, load_outcome, method, run_experiment


@pytest.fixture
def outcome(tunewright_home: Path) -> Outcome:
    del tunewright_home
    return run_experiment(
        Experiment(
            tag="cell",
            benchmark=simulated_benchmark("digits"),
            method=method("RandomSearch"),
            label="RS",
            backend=SimulatedConfig(),
            limits=Limits(max_num_trials=5),
        )
    )


@pytest.fixture
def shown(outcome: Outcome) -> Iterator[NotebookDashboard]:
    dashboard = NotebookDashboard(outcome.folder)
    yield dashboard
    dashboard.stop()


def read(url: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def test_a_cell_has_the_page_in_a_frame(outcome: Outcome, shown: NotebookDashboard) -> None:
    card = shown._repr_html_()
    assert '<iframe src="http://127.0.0.1:' in card
    assert outcome.folder.name in card
    page, token = shown.url.partition("#")[0], shown.url.partition("token=")[2].partition("&")[0]
    assert '<div id="app">' in read(page)
    address = f"{page.partition('?')[0]}api/experiments"
    listed = ""
    while '"is_whole":true' not in listed:  # a list of more experiments comes in parts
        listed = read(address, Authorization=f"Bearer {token}")
    assert outcome.folder.name in listed
    with pytest.raises(urllib.error.HTTPError, match="401"):
        read(address)
    shown.stop()
    with pytest.raises(urllib.error.URLError):
        read(page)


def test_behind_a_hub_addresses_begin_with_its_path(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HUB_PREFIX, "/user/me/")
    dashboard = outcome.dashboard()
    try:
        base, _, rest = dashboard.url.partition("/?token=")
        assert base.startswith("/user/me/proxy/")
        origin = f"http://127.0.0.1:{base.rpartition('/')[2]}"
        token = rest.partition("&")[0]
        for path in (f"{base}/", "/"):  # proxies remove the prefix or keep it
            answer = read(
                f"{origin}{path}api/experiments", Authorization=f"Bearer {token}", Host="hub.example.org"
            )
            assert outcome.folder.name in answer
    finally:
        dashboard.stop()


def test_an_experiment_stored_elsewhere_is_refused(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "other"))
    with pytest.raises(SettingsError, match="shows experiments in"):
        load_outcome(outcome.folder).dashboard()


def test_a_page_of_another_port_shows_it_without_cookies(shown: NotebookDashboard, chromium: Any) -> None:
    frame = shown._repr_html_().encode()

    class Notebook(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>notebook</title>" + frame)

        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notebook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://localhost:{server.server_address[1]}/")
        inside = page.frame_locator("iframe")
        inside.get_by_role("heading", name="cell-RS").wait_for()
        inside.get_by_text("Live", exact=True).wait_for()
        assert context.cookies() == []
    finally:
        context.close()
        server.shutdown()
        server.server_close()
