"""Code of jobs: files that are sent, storage for all experiments, and the purge of S3 files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import S3Objects
from tunewright.backends.s3.code import (
    CodeBundle,
    bundle_code,
    bundle_contents,
    source_folder,
    sources_of,
    upload_code,
)
from tunewright.cli import main
from tunewright.exceptions import BackendError, SettingsError
from tunewright.remote.cleanup import find_all_leftovers, plan_purge, purge

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# --- files


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a script in ``exp``."""
    (tmp_path / ".git").mkdir()
    return write(tmp_path, {"exp/train.py": "", "exp/sub/net.py": ""})


def sent(folder: Path) -> set[str]:
    return set(source_folder(folder).files)


def test_the_rules_of_the_repository_and_of_the_folder_hold(repository: Path) -> None:
    rules = {".gitignore": "*.log\n/exp/runs/\n# comment\n\n", "exp/sub/.gitignore": "keep*\n/only_here\n"}
    own = {"exp/.tunewrightignore": "data/*\n!data/small.csv\n!wanted.log\n"}
    files = (
        "a.log",
        "wanted.log",
        "runs/1",
        "data/big.csv",
        "data/small.csv",
        "sub/keep",
        "only_here",
        "sub/only_here",
    )
    write(repository, {**rules, **own, **{f"exp/{name}": "" for name in files}})
    found = source_folder(repository / "exp")
    assert set(found.files) == {"train.py", "sub/net.py", "wanted.log", "data/small.csv", "only_here"}
    assert set(found.left_out) == {"a.log", "runs/", "data/big.csv", "sub/keep", "sub/only_here"}


def test_a_folder_that_its_repository_ignores_is_sent_all_the_same(repository: Path) -> None:
    write(repository, {".gitignore": "/exp/\n*.py\n"})
    assert sent(repository / "exp") == {"train.py", "sub/net.py"}
    inside = write(repository / ".venv" / "lib" / "package", {"train.py": ""})
    assert sent(inside) == {"train.py"}, "a hidden folder above does not count"


@pytest.mark.parametrize(
    "name",
    [
        "id_rsa",
        "server.pem",
        "deep/tls.key",
        "credentials",
        "secrets.txt",
        "client_secret_1.json",
        "prod.env",
    ],
)
def test_private_keys_and_credentials_are_not_sent_unless_they_are_named(repository: Path, name: str) -> None:
    folder = write(repository / "exp", {name: "x"})
    assert name not in sent(folder)
    assert name in source_folder(folder).left_out
    write(folder, {".tunewrightignore": "!deep/\n"})
    assert name not in sent(folder), "its folder alone brings nothing back"
    write(folder, {".tunewrightignore": f"!{name}\n"})
    assert name in sent(folder)


def test_a_private_key_of_any_name_is_known_by_its_first_line(repository: Path) -> None:
    folder = write(repository / "exp", {"deploy": KEY, "public": "-----BEGIN CERTIFICATE-----\n"})
    assert "deploy" not in sent(folder)
    assert "public" in sent(folder)
    write(folder, {".tunewrightignore": "!deploy\n"})
    assert "deploy" in sent(folder)


def test_hidden_files_can_be_brought_back(repository: Path) -> None:
    folder = write(
        repository / "exp", {".streamlit/config.toml": "", ".tunewrightignore": "!.streamlit/\n", ".env": ""}
    )
    assert sent(folder) == {"train.py", "sub/net.py", ".streamlit/config.toml"}


def test_links_that_leave_the_folder_are_refused(repository: Path) -> None:
    folder = write(repository / "exp", {"sub/id_rsa": ""})
    (folder / "inner.py").symlink_to("sub/net.py")
    (folder / "innocent").symlink_to("sub/id_rsa")
    (folder / "elsewhere").symlink_to("/etc")
    assert sent(folder) == {"train.py", "sub/net.py", "inner.py"}
    assert {"innocent", "elsewhere/"} <= set(source_folder(folder).left_out)
    (folder / "users.txt").symlink_to("/etc/passwd")
    with pytest.raises(SettingsError, match=r"users.txt is a link to /etc/passwd.*\.tunewrightignore"):
        source_folder(folder)
    write(folder, {".tunewrightignore": "users.txt\n"})
    assert "users.txt" not in sent(folder)


def test_a_script_that_a_rule_leaves_out_is_said(repository: Path) -> None:
    folder = write(repository / "exp", {".gitignore": "train*\n"})
    with pytest.raises(SettingsError, match=r"train.py is left out.*!train.py"):
        sources_of(str(folder / "train.py"))


def test_files_are_read_in_pieces(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(repository / "exp", {"big": "x" * (3 << 20)})
    expected = {f"source/{name}": path.read_bytes() for name, path in source_folder(folder).files.items()}

    original = Path.read_bytes

    def read(path: Path) -> bytes:
        assert not path.is_relative_to(folder), "a file is read as a whole"
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    code = bundle_code(sources_of(str(folder / "train.py")), {"order": {}})
    own = {name: content for name, content in code.files.items() if isinstance(content, bytes)}
    assert code.digest == bundle_contents({**expected, **own}).digest, "the address is that of the content"


# --- the limit


def test_a_folder_above_the_limit_is_refused_before_anything_is_stored(
    make_driver: Any, aws: Any, script: str
) -> None:
    Path(script).with_name("data.bin").write_bytes(b"x" * (2 << 20))
    with pytest.raises(SettingsError, match=r"2 MB \(largest: data.bin 2 MB.*--inputs.*--max_code_mb 3"):
        make_driver(max_code_mb=1)
    assert aws.s3.objects == {}
    make_driver(max_code_mb=3)
    make_driver(max_code_mb=1)  # an experiment that has stored code goes on


# --- storage


@pytest.fixture
def root(aws: Any) -> S3Objects:
    return S3Objects(aws.s3, "b", "tunewright")


@pytest.fixture
def code(repository: Path) -> CodeBundle:
    return bundle_code(sources_of(str(repository / "exp" / "train.py")), {"order": {}})


def stored(root: S3Objects, code: CodeBundle) -> set[str]:
    return {found.key.removeprefix(code.prefix) for found in root.list(code.prefix)}


def test_experiments_of_equal_code_share_one_copy(aws: Any, root: S3Objects, code: CodeBundle) -> None:
    upload_code(root, code, "first")
    assert stored(root, code) == set(code.files)
    before = aws.s3.calls["PutObject"]
    upload_code(root, code, "second")
    assert aws.s3.calls["PutObject"] == before + 2, "two marks"
    assert stored(root, code) == set(code.files)


def test_code_that_is_a_week_old_is_stored_again(
    aws: Any, root: S3Objects, code: CodeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a life-cycle rule counts from its last use."""
    original = aws.s3.list_objects_v2

    def listed(days: float) -> Callable[..., Any]:
        def listing(**request: Any) -> dict[str, Any]:
            answer = original(**request)
            for entry in answer["Contents"]:
                entry["LastModified"] = datetime.now(UTC) - timedelta(days=days)
            return answer

        return listing

    upload_code(root, code, "first")
    for days, n_puts in ((6, 2), (8, 2 + len(code.files) + 1)):
        monkeypatch.setattr(aws.s3, "list_objects_v2", listed(days))
        before = aws.s3.calls["PutObject"]
        upload_code(root, code, "first")
        assert aws.s3.calls["PutObject"] == before + n_puts


def test_a_file_that_changed_is_not_stored_under_the_address_of_its_old_content(
    root: S3Objects, code: CodeBundle, repository: Path
) -> None:
    (repository / "exp" / "train.py").write_text("changed")
    with pytest.raises(BackendError, match=r"train.py changed while it was stored"):
        upload_code(root, code, "first")
    assert not root.exists(f"code/{code.digest}.complete")


# --- purge


def test_a_purge_deletes_an_experiment_and_keeps_the_code_of_others(
    root: S3Objects, code: CodeBundle
) -> None:
    for name in ("one", "two"):
        upload_code(root, code, name)
        root.put(f"{name}/reports/1", b"123")
    root.put("one-more/reports/1", b"")
    plan = plan_purge(root, ["one"], ["one"])
    assert (plan.n_objects, plan.size, plan.kept) == (2, 3, {code.digest: 1})
    purge(root, plan)
    assert list(root.list("one/")) == []
    assert {found.key for found in root.list("two/")} == {"two/reports/1", f"two/code/{code.digest}"}
    assert stored(root, code) == set(code.files)
    assert root.exists("one-more/reports/1")
    last = plan_purge(root, ["two"], [])
    assert last.n_objects == 2 + len(code.files)
    purge(root, last)
    assert {found.key for found in root.list()} == {"one-more/reports/1"}


def test_code_that_is_used_again_during_a_purge_is_kept(root: S3Objects, code: CodeBundle) -> None:
    upload_code(root, code, "one")
    plan = plan_purge(root, ["one"], [])
    upload_code(root, code, "late")
    purge(root, plan)
    assert stored(root, code) == set(code.files)
    assert root.exists(f"code/{code.digest}.complete")


def test_a_tag_stands_for_its_launch_and_the_experiments_in_it(root: S3Objects, code: CodeBundle) -> None:
    upload_code(root, code, "remote/t")
    upload_code(root, code, "t-RS-0-1234")
    root.put("remote/t/RS-0/slice.json", b"{}")
    root.put("remote/t/RS-0/experiments/t-RS-0-1234/journal/000000", b"")
    root.put("remote/t-2/RS-0/slice.json", b"{}")
    plan = plan_purge(root, [], ["t"])
    assert [files.prefix for files in plan.own] == ["remote/t", "t-RS-0-1234"]
    purge(root, plan)
    assert [found.key for found in root.list()] == ["remote/t-2/RS-0/slice.json"]


@pytest.mark.parametrize("name", ["code", "remote"])
def test_a_shared_prefix_is_no_experiment(root: S3Objects, name: str) -> None:
    with pytest.raises(SettingsError, match="shared by all"):
        plan_purge(root, [name], [])


def test_objects_that_cannot_be_deleted_are_said(
    aws: Any, root: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"Errors": [{"Key": "tunewright/a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    monkeypatch.setattr(aws.s3, "delete_objects", lambda **_: error)
    with pytest.raises(Exception, match="tunewright/a: Access Denied"):
        root.delete(["a"])


@pytest.fixture
def command(
    aws: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    for module in ("flags", "sagemaker"):
        monkeypatch.setattr(f"tunewright.cli.{module}.open_session", lambda _: aws)

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["sagemaker", *arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def test_the_command_shows_asks_and_deletes(
    command: Callable[..., tuple[int, str]], aws: Any, root: S3Objects, code: CodeBundle
) -> None:
    upload_code(root, code, "one")
    line = ("purge", "one", "--endpoint", "embedded")
    exit_code, text = command(*line, "--dry_run")
    assert (exit_code, f"tunewright/code/{code.digest}"[:40] in text) == (0, True)
    exit_code, text = command(*line)
    assert exit_code == 2, "there is no terminal to ask at"
    assert "--yes" in text
    assert root.exists(f"one/code/{code.digest}")
    aws.CreateTrainingJob(TrainingJobName="one-0-0-0", Environment={}, ResourceConfig={})
    assert "one-0-0-0: stop the experiment first" in command(*line, "--yes")[1]
    aws.end("one-0-0-0", "Completed")
    exit_code, text = command(*line, "--yes")
    assert (exit_code, f"{1 + len(code.files)} objects deleted" in text) == (0, True)
    assert aws.s3.objects == {}


def test_the_life_cycle_rule_is_printed(command: Callable[..., tuple[int, str]]) -> None:
    exit_code, text = command("lifecycle", "--days", "30")
    (rule,) = json.loads(text)["Rules"]
    assert (exit_code, rule["Filter"], rule["Expiration"]) == (0, {"Prefix": "tunewright/"}, {"Days": 30})
    assert command("lifecycle", "--days", "7")[0] == 2


# --- cleanup --all


def test_jobs_of_other_machines_are_found_by_their_tags(
    aws: Any, command: Callable[..., tuple[int, str]]
) -> None:
    tags = {
        "a-0-0-0": {"tunewright:experiment": "a"},
        "b-0-0-0": {"tunewright:experiment": "b"},
        "t-tuner-RS-0-0": {"tunewright:tag": "t"},
        "other": {"team": "x"},
        "ended": {"tunewright:experiment": "c"},
    }
    for name in tags:
        aws.CreateTrainingJob(
            TrainingJobName=name, Environment={}, ResourceConfig={"InstanceType": "ml.c5.xlarge"}
        )
        aws.jobs[name]["TrainingJobArn"] = name
    aws.end("ended", "Completed")
    aws.ListTags = lambda ResourceArn: {  # noqa: N803 - boto3's name
        "Tags": [{"Key": key, "Value": value} for key, value in tags[ResourceArn].items()]
    }
    found = find_all_leftovers(aws, spared=["b"])
    assert {one.job: one.experiment for one in found} == {"a-0-0-0": "a", "t-tuner-RS-0-0": "t"}
    aws.jobs["a-0-0-0"]["WarmPoolStatus"] = aws.jobs["b-0-0-0"]["WarmPoolStatus"] = {}
    aws.jobs["t-tuner-RS-0-0"]["WarmPoolStatus"] = {}
    exit_code, text = command("cleanup", "--all", "--endpoint", "embedded")
    assert (exit_code, "3 jobs stopped" in text) == (0, True)
    assert aws.jobs["other"]["TrainingJobStatus"] == "InProgress"
    assert command("cleanup", "--all", "--tag", "t")[0] == 2
