"""Reports in one file: the documents of an experiment or of a comparison, frozen into the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations
from typing import Final
from urllib.parse import quote

import msgspec

from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import Page, single_page
from tunewright.analysis.single import SingleReport, single_report
from tunewright.dashboard.analyses import contour, hypervolume_document, importance_document
from tunewright.dashboard.details import TrialDetail, trial_detail
from tunewright.dashboard.documents import steps_of
from tunewright.dashboard.feed import ExperimentFeed
from tunewright.dashboard.library import Entry
from tunewright.dashboard.page import frozen_page
from tunewright.exceptions import TunewrightError
from tunewright.storage import ExperimentFolder

_CONTOURS: Final = 4
"""Hyperparameters, the most important ones, of whose pairs a file has the contours."""
_DETAILS: Final = 1_000_000
"""Bytes of documents of trials in a file, the best and the failed ones first."""
_LOG: Final = 4_000
"""Characters at the end of a log that a file has."""
_URI: Final = "!*'()"
"""Characters that JavaScript's ``encodeURIComponent`` keeps and `quote` does not."""


def report_document(entry: Entry) -> Page:
    """The sections of the report of one experiment.

    Raises
    ------
    SettingsError
        It has no results yet.
    JournalError
        The journal is damaged.
    """
    entry.open_feed()
    return single_page(single_report(one_run(entry.folder)))


def comparison_file(page: Page) -> str:
    """One HTML file with the report of a comparison.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    name = quote(page.title, safe=_URI)
    return frozen_page({f"api/compare/{name}": page}, start=f"#/compare/{name}", title=page.title)


def experiment_file(folder: ExperimentFolder, report: SingleReport | None) -> str:
    """One HTML file with all views of an experiment, as they are now.

    Curves are sampled as on the live page; of a large experiment the file has the contours of the most important
    hyperparameters, and the reports and last output of the best and the failed trials.

    Parameters
    ----------
    folder
        The experiment.
    report
        Its report; None: it has no results.

    Raises
    ------
    TunewrightError
        The experiment cannot be read, or an extra is missing.
    """
    entry = Entry(folder)
    if report is None:
        entry.find_steps()
    feed, metadata = entry.open_feed(), entry.metadata
    place = f"e/{quote(folder.tag, safe=_URI)}/{quote(folder.name, safe=_URI)}"
    base = f"api/{place}"
    document = entry.document(control=False, is_frozen=True)
    if report is not None:
        document["next_steps"] = steps_of(report.next_steps)
    names = [axis["name"] for axis in document["space"] if axis["type"] != "constant"]
    paths: dict[str, object] = {
        "api/experiments": {"revision": "", "control": False, "experiments": [entry.row], "removed": []},
        base: document,
        f"{base}/since?after=0": feed.since(0),
    }
    if report is not None:
        paths[f"{base}/report"] = single_page(report)
        paths[f"{base}/importance"] = {"error": report.unknown_importance}
        if report.importance is not None:
            paths[f"{base}/importance"] = importance_document(report.importance)
            names = list(report.importance.mean)
    if len(metadata.metrics) > 1:
        with suppress(TunewrightError):
            paths[f"{base}/hypervolume"] = hypervolume_document(metadata, feed)
    for x, y in permutations(names[:_CONTOURS], 2):
        with suppress(TunewrightError):
            address = f"{base}/contour?x={quote(x, safe=_URI)}&y={quote(y, safe=_URI)}"
            paths[address] = contour(metadata, feed, x, y)
    for trial_id, detail in _details(entry, feed):
        paths[f"{base}/trials/{trial_id}"] = detail
    return frozen_page(paths, start=f"#/{place}/overview", title=folder.name)


def _details(entry: Entry, feed: ExperimentFeed) -> Iterator[tuple[int, TrialDetail]]:
    """Documents of trials until they fill their part of a file: the failed, then the best ones first."""
    n_bytes = 0
    for trial in sorted(feed.trials, key=lambda one: (not one.error, one.best_loss, one.id)):
        detail = trial_detail(entry.folder, feed, entry.metadata, trial.id)
        if log := detail["log"]:
            is_cut = len(log["text"]) > _LOG
            detail["log"] = {**log, "text": log["text"][-_LOG:], "is_whole": log["is_whole"] and not is_cut}
        n_bytes += len(msgspec.json.encode(detail))
        if n_bytes > _DETAILS:
            return
        yield trial.id, detail
