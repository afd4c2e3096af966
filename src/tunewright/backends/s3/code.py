"""Code of jobs: files of a folder that are sent, their content address, and their upload."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from pathspec import GitIgnoreSpec, PathSpec

from tunewright.aws import S3Objects
from tunewright.aws.objects import in_parallel
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.build import runner_bytes
from tunewright.runner.contract import JOB_FILE, SOURCE
from tunewright.runner.run_order import place_and_function
from tunewright.runner.training_job import code_digest, folder_digest, pieces_of
from tunewright.storage import ExperimentFolder, home, leads_elsewhere, replacing, write_atomically

ROOT_PREFIX: Final = "tunewright"
"""Prefix of all our keys in a bucket."""
CODE: Final = "code/"
"""Prefix, below :data:`ROOT_PREFIX`, of the code of all experiments, by the hash of its content; below an experiment's prefix, of the
hashes that it uses."""
JOURNALS: Final = "journals/"
"""Prefix, below :data:`ROOT_PREFIX`, of the copies of experiments' folders."""
RUNNER: Final = "runner.pyz"
IGNORE_FILE: Final = ".tunewrightignore"
"""File with rules of gitignore, in a script's folder or below it, for files that are not sent to jobs."""

MANY_FILES: Final = 1000
"""A folder with more files is worth a notice: every job downloads them one by one."""

_CODE_FILE: Final = "code.json"
_MEGABYTE: Final = 1 << 20
_REFRESH_SECONDS: Final = 7 * 24 * 3600.0
"""Stored code that is older is stored again when it is used, so that a life-cycle rule counts from its last use."""
_BACKEND: Final = "simple"
"""Regular expressions of Python, whatever else is installed."""
_JUNK: Final = (".*", "__pycache__/", "node_modules/", "venv/", "*.pyc", "*.pyo")
"""Version control, caches, environments, and hidden files, many of which hold credentials."""
_SECRETS: Final = (
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.ppk", "*.p12", "*.pfx", "*.jks"),
    *(
        "*.keystore",
        "*.kdbx",
        "*.ovpn",
        "*.env",
        "kubeconfig",
        "credentials",
        "accessKeys.csv",
        "*_accessKeys.csv",
    ),
    *("rootkey.csv", "client_secret*.json", "service[-_]account*.json"),
    *(
        f"{name}.{end}"
        for name in ("secret", "secrets", "credentials")
        for end in ("txt", "json", "toml", "ini")
    ),
    *(f"{name}.{end}" for name in ("secret", "secrets", "credentials") for end in ("yaml", "yml", "csv")),
)
"""Names of private keys and of files with credentials."""
_KEY_BEGINS: Final = b"-----BEGIN "
_KEY_HEAD: Final = b"PRIVATE KEY-----"


# --- files of a folder


@dataclass(slots=True)
class SourceFolder:
    """Files of a folder that are sent to jobs, and those that are left out.

    Left out are hidden files, caches and virtual environments; private keys and files with credentials; what ``.gitignore`` and
    ``.tunewrightignore`` name (the latter also brings files back, by ``!name``); links to folders; and the files that Tunewright
    itself stores.
    """

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    """By path in the folder."""
    left_out: list[str] = field(default_factory=list[str])
    """Paths in the folder, those of folders with a slash at the end; without hidden files and caches."""


def source_folder(folder: Path) -> SourceFolder:
    """List the files of a script's folder.

    Raises
    ------
    SettingsError
        A link leads out of the folder.
    """
    folder = folder.resolve()
    found = SourceFolder()
    top, rules = _beginning(folder)
    _Walk(folder, top, found).visit(folder, rules)
    return found


def package_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of an installed package or of a table, by their paths in it, without hidden files and caches."""
    junk = _Rules(junk=True)
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not junk.leave_out(f"{name}/"))
        for name in sorted(names):
            path = Path(where, name)
            if not junk.leave_out(name) and path.is_file():
                yield path.relative_to(folder).as_posix(), path


@final
class _Rules:
    """Rules of gitignore, relative to the top folder; the last one that fits decides, and rules of files go over those of folders."""

    def __init__(self, git: Sequence[str] = (), own: Sequence[str] = (), *, junk: bool = False) -> None:
        self.git = tuple(git)
        self.own = tuple(own)
        lines = _JUNK if junk else (*self.git, *_JUNK, *_SECRETS, *self.own)
        self._of_files = _spec(lines)
        self._of_folders = PathSpec(self._of_files.patterns, backend=_BACKEND)
        self._brought_back = _spec(self.own)
        self._junk = _spec(_JUNK)

    def with_rules_of(self, folder: Path, place: str) -> _Rules:
        """These rules and those of the files in a folder, whose path below the top folder is given."""
        git = _lines(folder / ".gitignore", place)
        own = _lines(folder / IGNORE_FILE, place)
        return _Rules((*self.git, *git), (*self.own, *own)) if git or own else self

    def leave_out(self, path: str) -> bool:
        """Whether a file is left out, or a folder, whose path ends in a slash."""
        return (self._of_folders if path.endswith("/") else self._of_files).match_file(path)

    def bring_back(self, path: str) -> bool:
        """Whether ``.tunewrightignore`` asks for a file explicitly."""
        return self._brought_back.check_file(path).include is False

    def is_junk(self, path: str) -> bool:
        """Whether a file or folder is hidden, a cache or an environment."""
        return self._junk.match_file(path)


def _spec(lines: Sequence[str]) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(lines, backend=_BACKEND)


@final
class _Walk:
    """Walk through a folder, by the rules of each folder on the way."""

    def __init__(self, folder: Path, top: Path, found: SourceFolder) -> None:
        self._folder = folder
        self._top = top
        self._found = found
        self._stored = home().resolve()

    def visit(self, folder: Path, rules: _Rules) -> None:
        rules = rules.with_rules_of(folder, _place(folder, self._top))
        for path in sorted(folder.iterdir()):
            is_folder = path.is_dir()
            name = path.relative_to(self._top).as_posix() + ("/" if is_folder else "")
            if path == self._stored:
                continue
            if rules.leave_out(name) or (is_folder and path.is_symlink()):
                self._leave_out(path, name, rules)
            elif is_folder:
                self.visit(path, rules)
            elif path.is_file():
                self._take(path, name, rules)

    def _take(self, path: Path, name: str, rules: _Rules) -> None:
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(self._folder):
            raise SettingsError(
                f"{path} is a link to {target}, outside of the folder that is sent to the jobs: copy the file, or leave the "
                f"link out in {self._folder / IGNORE_FILE}"
            )
        is_left_out = target != path and rules.leave_out(target.relative_to(self._top).as_posix())
        if is_left_out or (_is_private_key(path) and not rules.bring_back(name)):
            self._leave_out(path, name, rules)
        else:
            self._found.files[path.relative_to(self._folder).as_posix()] = path

    def _leave_out(self, path: Path, name: str, rules: _Rules) -> None:
        if not rules.is_junk(name):
            inner = path.relative_to(self._folder).as_posix()
            self._found.left_out.append(f"{inner}/" if name.endswith("/") else inner)


def _beginning(folder: Path) -> tuple[Path, _Rules]:
    """The folder of the repository that a folder is in, and the rules from there on down to the folder.

    Outside of a repository, and if a rule of the repository leaves out the folder itself, that is the folder, without rules.
    """
    top = next((one for one in folder.parents if (one / ".git").exists()), folder)
    if top == folder or (folder / ".git").exists():
        return folder, _Rules()
    rules = _Rules()
    for one in reversed([one for one in (folder, *folder.parents) if one.is_relative_to(top)][1:]):
        rules = rules.with_rules_of(one, _place(one, top))
    parts = folder.relative_to(top).parts
    inner = ["/".join(parts[:n]) + "/" for n in range(1, len(parts) + 1)]
    return (folder, _Rules()) if any(map(rules.leave_out, inner)) else (top, rules)


def _place(folder: Path, top: Path) -> str:
    return "" if folder == top else f"{folder.relative_to(top).as_posix()}/"


def _lines(path: Path, place: str) -> list[str]:
    """Rules of a file, made relative to the top folder: ``place`` is the path of the file's folder below it."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for character in "\\*?[":
        place = place.replace(character, f"\\{character}")
    return [_moved(line, place) for line in lines if line.strip() and not line.startswith("#")]


def _moved(line: str, place: str) -> str:
    """A rule that is relative to a folder, relative to the top folder."""
    mark, body = ("!", line[1:]) if line.startswith("!") else ("", line)
    is_anchored = "/" in body.strip().rstrip("/")
    return f"{mark}/{place}{body.lstrip('/')}" if is_anchored else f"{mark}/{place}**/{body}"


def _is_private_key(path: Path) -> bool:
    """Whether a file begins as private keys in PEM do."""
    try:
        with path.open("rb") as file:
            head = file.read(80)
    except OSError:
        return False
    return head.startswith(_KEY_BEGINS) and _KEY_HEAD in head


# --- bundles


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBundle:
    """All files of the code channel."""

    files: Mapping[str, Path | bytes]
    """By path in the channel: a file of this machine, or the content itself."""
    digest: str
    """SHA-256 of all names and contents, which the runner compares with what it has received."""
    size: int
    """Bytes."""
    states: Mapping[str, tuple[int, int]]
    """Sizes and times of the files of this machine before they were read."""

    @property
    def runner_sha256(self) -> str:
        """SHA-256 of the runner."""
        runner = self.files[RUNNER]
        return hashlib.sha256(runner if isinstance(runner, bytes) else runner.read_bytes()).hexdigest()

    @property
    def prefix(self) -> str:
        """Common prefix of its keys below :data:`ROOT_PREFIX`, ending in a slash."""
        return f"{CODE}{self.digest}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A script with the files that it needs, before anything of them is read."""

    entry: str
    """Path of the script beside its files, or the name of the function."""
    files: Mapping[str, Path]
    """By path beside the script."""
    left_out: Sequence[str] = ()


def sources_of(script: str, dependencies: Sequence[Path] = ()) -> Sources:
    """List the files that are sent with a script.

    Parameters
    ----------
    script
        A script's path, or ``path/file.py:name`` or ``module:name`` of a function. A script's whole folder goes with
        it, as :func:`source_folder` lists it; of a module, its package.
    dependencies
        Further folders and files, which lie beside the script.

    Raises
    ------
    SettingsError
        There is no such script, module or dependency, the script lies in the user's home folder itself or is left out by a
        rule, or a link leads out of a folder.
    """
    place, function = place_and_function(script)
    path = Path(place)
    if function and path.suffix != ".py":
        entry, found = script, _module(place)
    else:
        entry, found = (f"{path.name}:{function}" if function else path.name), _script_folder(path)
    files, left_out = dict(found.files), list(found.left_out)
    for dependency in dependencies:
        more = dependency_files(dependency)
        files.update(more.files)
        left_out += more.left_out
    return Sources(entry=entry, files=files, left_out=left_out)


def bundle_code(sources: Sources, job: Mapping[str, Any]) -> CodeBundle:
    """Read the files of a script, and bundle them with the runner.

    Parameters
    ----------
    sources
        From :func:`sources_of`.
    job
        Content of :data:`~tunewright.runner.contract.JOB_FILE` beside the script.
    """
    order = {**job["order"], "script": sources.entry}
    contents: dict[str, Path | bytes] = {f"{SOURCE}/{name}": path for name, path in sources.files.items()}
    contents[RUNNER] = runner_bytes()
    contents[JOB_FILE] = json.dumps({**job, "order": order}, sort_keys=True).encode("utf-8")
    return bundle_contents(contents)


def bundle_contents(contents: Mapping[str, Path | bytes]) -> CodeBundle:
    """The bundle of these files, by path in the channel; files are read in pieces."""
    states = {name: _state(path) for name, path in contents.items() if isinstance(path, Path)}
    sizes = {name: len(one) if isinstance(one, bytes) else states[name][0] for name, one in contents.items()}
    pieces = ((one,) if isinstance(one, bytes) else pieces_of(one) for _, one in sorted(contents.items()))
    digest = code_digest(
        (name, sizes[name], part) for name, part in zip(sorted(contents), pieces, strict=True)
    )
    return CodeBundle(files=contents, digest=digest, size=sum(sizes.values()), states=states)


def size_problem(files: Mapping[str, Path], max_mb: int) -> str:
    """Message about files that are larger together than the limit; empty if they are not.

    Parameters
    ----------
    files
        By path.
    max_mb
        Mebibytes.
    """
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total <= max_mb * _MEGABYTE:
        return ""
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
    shown = ", ".join(f"{name} {sizes[name] / _MEGABYTE:.0f} MB" for name in largest)
    return (
        f"The files beside the script have {total / _MEGABYTE:.0f} MB (largest: {shown}), and every job would download them: "
        f"put data elsewhere (--inputs), leave them out by a {IGNORE_FILE}, or give --max_code_mb {-(-total // _MEGABYTE)}"
    )


def upload_code(root: S3Objects, bundle: CodeBundle, user: str) -> None:
    """Store a bundle for all experiments unless it is there already, and note that an experiment uses it.

    The note comes first, so that code which is in use is not purged: see `tunewright.remote.cleanup`.

    Parameters
    ----------
    root
        The objects under :data:`ROOT_PREFIX`.
    bundle
        The code.
    user
        Prefix of the experiment, or of the remote launch, below the same prefix.

    Raises
    ------
    BackendError
        A file has changed since it was bundled.
    ServiceError
        S3 refuses or does not answer.
    """
    root.put(f"{user}/{CODE}{bundle.digest}", b"")
    root.put(users_prefix(bundle.digest) + user, b"")
    if _is_fresh(root, complete_key(bundle.digest)):
        return

    def put(name: str) -> None:
        content = bundle.files[name]
        if isinstance(content, bytes):
            root.put(bundle.prefix + name, content)
        else:
            root.put_file(bundle.prefix + name, content)
            if _state(content) != bundle.states[name]:  # the content address would be another one
                raise BackendError(f"{content} changed while it was stored: start again")

    in_parallel(put, sorted(bundle.files))
    root.put(complete_key(bundle.digest), b"")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCode:
    """Code of an experiment in S3, by which another machine gets the script."""

    entry: str
    """As :attr:`Sources.entry`."""
    digest: str
    """As :attr:`CodeBundle.digest`."""

    def note(self, folder: ExperimentFolder) -> None:
        """Note it in the folder of the experiment."""
        write_atomically(folder.path / _CODE_FILE, json.dumps({"entry": self.entry, "digest": self.digest}))

    @staticmethod
    def noted(folder: ExperimentFolder) -> StoredCode:
        """Return the note of a folder.

        Raises
        ------
        SettingsError
            There is none.
        """
        try:
            return StoredCode(**json.loads((folder.path / _CODE_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"{folder.name} does not say which code it uses: {error}") from None

    def fetch(self, root: S3Objects) -> str:
        """Download the code into ``$TUNEWRIGHT_HOME/code``, unless it is there; return the script's place.

        Parameters
        ----------
        root
            The objects under :data:`ROOT_PREFIX`.

        Raises
        ------
        SettingsError
            It is not in S3, or was changed there.
        ServiceError
            S3 refuses or does not answer.
        """
        folder = home() / CODE / self.digest
        if not folder.is_dir():
            self._download(root.under(f"{CODE}{self.digest}"), folder)
        place, function = place_and_function(self.entry)
        is_of_module = bool(function) and not place.endswith(".py")
        return self.entry if is_of_module else str(folder / SOURCE / self.entry)

    def _download(self, objects: S3Objects, folder: Path) -> None:
        names = [stored.key for stored in objects.list()]
        if not names:
            raise SettingsError(f"The code of the experiment is not in {objects.uri()}: it was deleted")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as unfinished:

            def get(name: str) -> None:
                if leads_elsewhere(name):
                    raise SettingsError(
                        f"In S3 the code holds {name!r}, which would be written elsewhere: remove it there"
                    )
                path = unfinished / name
                path.parent.mkdir(parents=True, exist_ok=True)
                objects.get_file(name, path)

            in_parallel(get, names)
            if folder_digest(unfinished) != self.digest:
                raise SettingsError(
                    f"The code in {objects.uri()} was changed: it is not used. Find out who writes to the bucket"
                )


def complete_key(digest: str) -> str:
    """Key, below :data:`ROOT_PREFIX`, of the marker of code that is there as a whole."""
    return f"{CODE}{digest}.complete"


def users_prefix(digest: str) -> str:
    """Prefix, below :data:`ROOT_PREFIX`, of the markers of the experiments that use code."""
    return f"{CODE}{digest}.users/"


def _is_fresh(root: S3Objects, key: str) -> bool:
    """Whether the marker is there and not old."""
    marker = next((stored for stored in root.page(key) if stored.key == key), None)
    return marker is not None and (not marker.modified or time.time() - marker.modified < _REFRESH_SECONDS)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _script_folder(path: Path) -> SourceFolder:
    if not path.is_file():
        raise SettingsError(f"There is no training script {path}: check the path")
    folder = path.resolve().parent
    if folder in {Path.home(), Path(folder.root)}:
        raise SettingsError(
            f"Jobs would get all of {folder}, where the script lies: move it into a folder of its own"
        )
    found = source_folder(folder)
    if path.resolve().name not in found.files:
        raise SettingsError(
            f"{path} is left out by a .gitignore or {IGNORE_FILE}: bring it back by !{path.name} in {folder / IGNORE_FILE}"
        )
    return found


def _module(module: str) -> SourceFolder:
    """The files of a module's outermost package, or the module's own."""
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise SettingsError(f"There is no module {top!r} whose files could be sent: check the name")
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return SourceFolder({origin.name: origin})
    installed = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}
    if not installed.isdisjoint(origin.parents):
        return SourceFolder({f"{top}/{name}": path for name, path in package_files(origin.parent)})
    return _inside(top, source_folder(origin.parent))


def dependency_files(dependency: Path) -> SourceFolder:
    """The files of a dependency, by their paths beside a script.

    Raises
    ------
    SettingsError
        It is not there, or a link leads out of it.
    """
    if dependency.is_file():
        return SourceFolder({dependency.name: dependency})
    if dependency.is_dir():
        return _inside(dependency.resolve().name, source_folder(dependency))
    raise SettingsError(f"There is no dependency {dependency}: give folders or files")


def _inside(name: str, found: SourceFolder) -> SourceFolder:
    """The same files in a folder of that name."""
    files = {f"{name}/{inner}": path for inner, path in found.files.items()}
    return SourceFolder(files, [f"{name}/{inner}" for inner in found.left_out])
