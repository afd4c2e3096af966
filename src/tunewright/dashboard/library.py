"""Library: the experiments of this machine, read as their files change, for all pages together.

Files are looked at when a document is asked for, and five times a second for experiments that a page follows. Journals are
neither locked nor written; a lock is only tested, for the status.
"""

from __future__ import annotations

import math
import os
import re
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, final

from tunewright.advice import next_steps
from tunewright.dashboard.documents import (
    Experiment,
    ExperimentList,
    Row,
    Step,
    Stored,
    experiment_document,
    experiment_row,
    new_feed,
    read_stored,
    steps_of,
)
from tunewright.dashboard.feed import ExperimentFeed, open_regular
from tunewright.dashboard.row_cache import RowCache
from tunewright.events import Event, Header, decode_lines
from tunewright.exceptions import JournalError, SettingsError, TunewrightError, UnknownNameError
from tunewright.experiments.remote_marker import live_marker
from tunewright.formatting import stored_facts
from tunewright.journal import lock_path
from tunewright.metadata import ExperimentMetadata, read_metadata
from tunewright.remote.launch import open_launch
from tunewright.remote.mirror import send_request
from tunewright.requests import Request, write_request
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, home, order_of_making, safe_name
from tunewright.trial import ExperimentStatus

STATUS_SECONDS: Final = 1.0
"""Seconds for which a status counts that depends on a lock."""
_MOST_FEEDS: Final = 12
"""Journals that are kept in memory although no page follows them."""
_SHOWN: Final = 8  # names in a message
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_Stamp = tuple[int, ...]
"""Inode, size and modification time of a file; empty if it is missing."""


@final
class NoTunerError(TunewrightError):
    """No tuner takes a request."""


@final
class Entry:
    """One experiment: what was read of it, and when its files changed; thread-safe."""

    def __init__(self, folder: ExperimentFolder, cache: RowCache | None = None) -> None:
        self.folder = folder
        self._cache = cache
        self.id = f"{folder.tag}/{folder.name}"
        self.n_followers = 0
        """Pages that follow it."""
        self.feed: ExperimentFeed | None = None
        """None until it is needed, and after it was given up."""
        self.version = 0
        """Increases if the experiment's document changes, other than by the time that passes."""
        self.used = 0.0
        """When the feed was last needed, on the monotonic clock."""
        self.row: Row | None = None
        """As it was last made; None if the experiment cannot be read."""
        self.remark = ""
        """Warning about its copy on this machine."""
        self._lock = threading.RLock()
        self._metadata: ExperimentMetadata | None = None
        self._metadata_key: _Stamp = ()
        self._stored: Stored | None = None
        self._key: tuple[_Stamp, ...] = ()
        self._looked_at = 0.0
        self._steps: list[Step] = []
        self._steps_key: tuple[int, ...] = ()

    def look(self, *, with_feed: bool = False) -> bool:
        """Read what changed in its files; return whether anything did.

        Parameters
        ----------
        with_feed
            Whether the journal's content is needed in memory, not only the row.

        Raises
        ------
        TunewrightError
            Metadata or journal cannot be read.
        """
        with self._lock:
            folder = self.folder
            key = tuple(map(_key, (folder.journal_path, folder.note_path, folder.account_path)))
            metadata_key = _key(folder.metadata_path)
            _key(lock_path(folder.journal_path))
            is_due = self._is_open and monotonic() - self._looked_at >= STATUS_SECONDS
            is_same = key == self._key and metadata_key == self._metadata_key
            if is_same and not is_due and self._stored is not None and not (with_feed and self.feed is None):
                return False
            if self._metadata is None or metadata_key != self._metadata_key:
                old, self._metadata = self._metadata, read_metadata(self.folder)
                self._metadata_key = metadata_key
                if old is None or (old.metrics, old.bounds) != (
                    self._metadata.metrics,
                    self._metadata.bounds,
                ):
                    self.feed = None
            stored = read_stored(self.folder, self._metadata)
            self._looked_at = monotonic()
            if self._stored == stored and is_same and self.feed is None and not with_feed:
                return False
            if self.feed is None and not with_feed and (row := self._cached_row(stored, key, metadata_key)):
                self._stored, self._key, self.row = stored, key, row
                self.version += 1
                return True
            if self.feed is None:
                self.feed = new_feed(self.folder, self._metadata)
            is_changed = self.feed.refresh() or stored != self._stored or not is_same
            self._stored, self._key = stored, key
            self.row = experiment_row(stored, self.feed)
            self.version += is_changed
            if self._cache is not None and is_changed and stored.status.is_finished and not self.feed.problem:
                self._cache.put(self.folder.path, (*key, metadata_key), self.row)
            return is_changed

    def _cached_row(self, stored: Stored, key: tuple[_Stamp, ...], metadata_key: _Stamp) -> Row | None:
        if self._cache is None or not stored.status.is_finished:
            return None
        return self._cache.get(self.folder.path, (*key, metadata_key))

    @property
    def _is_open(self) -> bool:
        """Whether its status can change without a change of its journal: a process works on it, or was killed."""
        return self._stored is None or not self._stored.status.is_finished

    @property
    def is_gone(self) -> bool:
        """Whether its folder is not there any more: it was deleted or renamed."""
        return not self.folder.metadata_path.is_file()

    @property
    def metadata(self) -> ExperimentMetadata:
        """Metadata, after `look`."""
        if self._metadata is None:
            raise SettingsError(f"{self.id} was not read yet")
        return self._metadata

    def set_remark(self, text: str) -> None:
        """Add a warning to the document; an empty one removes it."""
        with self._lock:
            self.version += text != self.remark
            self.remark = text

    def file_request(self, request: Request) -> str:
        """Put a request to the tuner into the experiment's folder, or into S3 for one in a tuning job; return its id.

        Raises
        ------
        NoTunerError
            No tuner works on the experiment.
        SettingsError
            The request cannot work.
        TunewrightError
            The experiment cannot be read.
        """
        with self._lock:
            self._looked_at = -math.inf  # the status of this moment
            self.look()
            status = self._stored.status if self._stored is not None else ExperimentStatus.INTERRUPTED
        if (marker := live_marker(self.folder.path)) is not None:
            with open_launch(marker.tag) as launch:
                return send_request(launch, self.folder, marker.name, request)
        if status is not ExperimentStatus.RUNNING:
            raise NoTunerError(
                f"{self.folder.name} does not run ({status}): continue it with tunewright resume {self.folder.name}"
            )
        return write_request(self.folder, request)

    def open_feed(self) -> ExperimentFeed:
        """The feed, read to the present end of the journal.

        Raises
        ------
        TunewrightError
            The experiment cannot be read.
        """
        with self._lock:
            self.used = monotonic()
            self.look(with_feed=True)
            if self.feed is None:
                raise JournalError(f"{self.id} cannot be read")
            return self.feed

    def release_feed(self) -> None:
        """Give the journal's content up; the row stays."""
        with self._lock:
            self.feed = None

    def document(self, *, control: bool, is_frozen: bool = False) -> Experiment:
        """The document of the experiment, for a live page or for a file.

        Raises
        ------
        TunewrightError
            It cannot be read.
        """
        with self._lock:
            feed = self.open_feed()
            if self._stored is None:
                raise JournalError(f"{self.id} cannot be read")
            steps = self._steps if self._steps_key == (feed.generation, feed.offset) else []
            warnings = [self.remark] if self.remark else []
            return experiment_document(
                self._stored,
                feed,
                next_steps=steps,
                warnings=warnings,
                control=control,
                is_frozen=is_frozen,
            )

    @property
    def lacks_steps(self) -> bool:
        """Whether the experiment is over, and the advice on it was not found yet."""
        feed, stored = self.feed, self._stored
        if feed is None or stored is None or stored.status.is_running:
            return False
        return self._steps_key != (feed.generation, feed.offset)

    def find_steps(self) -> None:
        """Find the advice on an experiment that is over, from its whole history."""
        with self._lock:
            feed, stored = self.open_feed(), self._stored
            key = (feed.generation, feed.offset)
        if stored is None:
            return
        found: list[Step] = []
        with suppress(TunewrightError, OSError, ValueError):
            history = replay_history(read_prefix(self.folder.journal_path, key[1]))
            facts = stored_facts(stored.metadata, self.folder.name, stored.metadata.bounds)
            found = steps_of(next_steps(facts, history, stored.status))
        with self._lock:
            self._steps, self._steps_key = found, key
            self.version += 1


@final
class Library:
    """All stored experiments of this machine, or those of some tags and names.

    Parameters
    ----------
    names
        Tags, and names of experiments; empty: all.
    control
        Whether requests are taken.
    """

    def __init__(self, names: Sequence[str] = (), *, control: bool = False) -> None:
        self._root = home() / "experiments"
        self._tags, self._names = _chosen(self._root, names)
        self.control = control
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self._rows: dict[str, tuple[int, Row]] = {}
        """Of each experiment its row, and the revision at which it changed last."""
        self._removed: dict[str, int] = {}
        self._looked_at: set[str] = set()
        self._next_place = 0
        """Place in the list of folders at which the next look begins."""
        self._cache = RowCache()
        self._lock = threading.Lock()

    def entry(self, tag: str, name: str) -> Entry:
        """The experiment of a tag and a name.

        Raises
        ------
        UnknownNameError
            There is none that may be shown.
        """
        folder = self._folder(tag, name)
        if folder is None:
            raise UnknownNameError("experiment", f"{tag}/{name}"[:200], list(self._entries)[-_SHOWN:])
        with self._lock:
            return self._entries.setdefault(f"{tag}/{name}", Entry(folder, self._cache))

    def _folder(self, tag: str, name: str) -> ExperimentFolder | None:
        """The folder of an experiment that lies below the root without a link, and is chosen."""
        if not (_NAME.fullmatch(tag) and _NAME.fullmatch(name)) or not self._is_chosen(tag, name):
            return None
        path = self._root / tag / name
        is_inside = path.resolve() == self._root.resolve() / tag / name
        return ExperimentFolder(path) if is_inside and (path / "metadata.json").is_file() else None

    def _is_chosen(self, tag: str, name: str) -> bool:
        return not (self._tags or self._names) or tag in self._tags or name in self._names

    def unknown(self) -> list[str]:
        """Chosen words that are neither a tag nor an experiment yet."""
        known = {name for folder in self.folders() for name in (folder.tag, folder.name)}
        return sorted(self._names - known)

    def set_remark(self, tag: str, text: str) -> None:
        """Add a warning to the documents of a tag's experiments; an empty one removes it."""
        for folder in self.folders():
            if folder.tag == tag:
                self.entry(tag, folder.name).set_remark(text)

    def of_tag(self, tag: str) -> list[ExperimentFolder]:
        """Folders of the chosen experiments of a tag, the newest first, without those whose journal is a link.

        Raises
        ------
        UnknownNameError
            There is none.
        """
        found = [
            folder for folder in self.folders() if folder.tag == tag and not folder.journal_path.is_symlink()
        ]
        if not found:
            raise UnknownNameError("tag", tag[:200], ())
        return found

    def folders(self) -> list[ExperimentFolder]:
        """Folders of the chosen experiments, the newest first."""
        found = [
            ExperimentFolder(self._root / tag / name)
            for tag in _folders_in(self._root)
            for name in _folders_in(self._root / tag)
            if self._is_chosen(tag, name) and (self._root / tag / name / "metadata.json").is_file()
        ]
        return sorted(found, key=order_of_making, reverse=True)

    def look(self, *, most_seconds: float | None = None) -> bool:
        """Read the rows that changed, the newest experiments first; return whether each was read once at least.

        Parameters
        ----------
        most_seconds
            Seconds after which the rest is left to the next call, which begins there.
        """
        begin = monotonic()
        folders = self.folders()
        ids = {f"{folder.tag}/{folder.name}" for folder in folders}
        with self._lock:
            for gone in (self._entries.keys() | self._rows.keys()) - ids:
                self._entries.pop(gone, None)
                self._rows.pop(gone, None)
                self._revision += 1
                self._removed[gone] = self._revision
        first = self._next_place if self._next_place < len(folders) else 0
        self._next_place = 0
        for number, folder in enumerate([*folders[first:], *folders[:first]]):
            if number and most_seconds is not None and monotonic() - begin > most_seconds:
                self._next_place = (first + number) % len(folders)
                break
            self._look_at(self.entry(folder.tag, folder.name))
        self._cache.write()
        return ids <= self._looked_at

    def _look_at(self, entry: Entry) -> None:
        """Read the row of an experiment; one that cannot be read keeps its last row."""
        with suppress(TunewrightError, OSError):
            entry.look()
        with self._lock:
            self._looked_at.add(entry.id)
            _, known = self._rows.get(entry.id, (0, None))
            if entry.row is not None and entry.row != known:
                self._revision += 1
                self._rows[entry.id] = (self._revision, entry.row)
                self._removed.pop(entry.id, None)
        if entry.feed is not None:
            self._release_feeds()

    def _release_feeds(self) -> None:
        """Give up the journals that were not needed for the longest time."""
        with self._lock:
            held = [
                entry for entry in self._entries.values() if entry.feed is not None and not entry.n_followers
            ]
        held.sort(key=lambda entry: entry.used)
        for entry in held[:-_MOST_FEEDS]:
            entry.release_feed()

    @property
    def revision(self) -> int:
        """Increases with each row that changes."""
        return self._revision

    def rows(self, after: int = 0, *, is_whole: bool = True) -> ExperimentList:
        """Rows that changed after a revision, the newest experiments first.

        Parameters
        ----------
        after
            The revision; 0: all rows.
        is_whole
            Whether all experiments were read.
        """
        with self._lock:
            rows = [row for at, row in self._rows.values() if at > after]
            removed = [one for one, at in self._removed.items() if at > after] if after else []
            rows.sort(key=lambda row: order_of_making(ExperimentFolder(Path(row["id"]))), reverse=True)
            return {
                "revision": str(self._revision),
                "control": self.control,
                "experiments": rows,
                "removed": removed,
                "is_whole": is_whole,
            }


def read_prefix(path: Path, size: int) -> Sequence[Event]:
    """The events in the first bytes of a journal.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is damaged.
    """
    with open_regular(path) as file:
        lines = decode_lines(file.read(size))
    return [line for line in lines if not isinstance(line, Header)]


def _chosen(root: Path, names: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Tags and names of experiments among words of a command line; a word that is neither yet may become both."""
    tags: set[str] = set()
    found: set[str] = set()
    for word in names:
        tag = safe_name(word)
        if (root / tag).is_dir():
            tags.add(tag)
        else:
            found.add(word)
            if not any((root / one / word).is_dir() for one in _folders_in(root)):
                tags.add(tag)
    return frozenset(tags), frozenset(found)


def _folders_in(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _key(path: Path) -> _Stamp:
    """The stamp of a file, which changes if its content does.

    Raises
    ------
    JournalError
        It is a link or a device, which could lead out of the experiment's folder.
    """
    try:
        found = path.lstat()
    except OSError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        raise JournalError(f"{path.name} is not a regular file: links are not followed")
    return (found.st_ino, found.st_size, found.st_mtime_ns)
