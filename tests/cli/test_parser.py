"""Command lines: flags of records and functions, switches, files of flags, and errors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import pytest
from cyclopts.types import NonNegativeInt, PositiveInt

from tunewright.cli.flags import extra_converters, extra_parameters
from tunewright.cli.parsing import command_app, flag_value, record_app, run_app
from tunewright.cli.records import POSITIONAL, Given, RecordCommand
from tunewright.exceptions import SettingsError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """One of everything."""

    script: str = field(metadata=POSITIONAL)
    """Path of a script."""
    n_workers: PositiveInt | None = None
    """Trials at the same time."""
    max_wallclock_time: float | None = None
    """Seconds of tuning."""
    seed: NonNegativeInt = 0
    """A seed."""
    goal: Literal["min", "max"] = "min"
    """Direction."""
    warm_pool: bool = False
    """Keep instances between trials."""
    checkpoints: bool = True
    """Keep checkpoints."""
    warm_start: tuple[str, ...] = ()
    """Earlier tags."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """AWS tags."""
    template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A request."""
    settings: tuple[str, ...] = field(default=(), metadata={"flag": "set"})
    """Settings."""
    hidden: int = field(default=3, metadata={"flag": False})
    """Not a flag."""
    config: tuple[str, ...] = ()
    """Files of flags."""
    verbose: bool = False
    """Print more."""


class Reader:
    """A command that keeps its flags."""

    def __init__(self) -> None:
        self.command = RecordCommand(
            self._run,
            {"Flags": [Flags]},
            explain=lambda name: "is a flag of --backend sagemaker" if name == "spot" else None,
            read_table=self._table,
        )
        self.app = record_app(self.command, "command", "Does something.")

    def _run(self, given: Given) -> int:
        self.given = given
        return 0

    def _table(self, name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return table if name == "local" else {}

    def __call__(self, *tokens: str) -> Flags:
        assert run_app(self.app, tokens) == 0
        return self.given.record(Flags)


@pytest.fixture
def read() -> Reader:
    return Reader()


def test_hyphens_and_underscores_are_the_same(read: Reader) -> None:
    assert read("s.py", "--n-workers", "3").n_workers == 3
    assert read("s.py", "--n_workers=3").n_workers == 3
    assert read("s-p.py", "--goal=max").script == "s-p.py"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (["--warm_pool", "1"], True),
        (["--warm-pool", "True"], True),
        (["--warm_pool=0"], False),
        (["--warm_pool", "false"], False),
        (["--warm_pool"], True),
        (["--warm_pool", "--verbose"], True),
        (["--warm_pool", "1", "--warm_pool", "0"], False),
        ([], False),
    ],
)
def test_switches_take_a_value_or_none(read: Reader, line: list[str], value: bool) -> None:
    assert read("s.py", *line).warm_pool is value
    assert read(*line, "s.py").warm_pool is value


def test_a_switch_that_is_on_is_turned_off(read: Reader) -> None:
    assert read("s.py").checkpoints
    assert not read("s.py", "--checkpoints", "0").checkpoints


def test_flags_are_repeated_or_the_last_one_counts(read: Reader) -> None:
    flags = read(
        "s.py",
        "--warm_start",
        "a",
        "--tags",
        "x=1",
        "--warm_start=b",
        "--tags=y=a=b",
        "--seed",
        "1",
        "--seed",
        "2",
    )
    assert flags.warm_start == ("a", "b")
    assert flags.tags == {"x": "1", "y": "a=b"}
    assert flags.seed == 2
    assert read("s.py", "--set", "a=1", "--set", "b=-2").settings == ("a=1", "b=-2")
    assert read("s.py", "--template", '{"A": [1]}').template == {"A": [1]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s.py --n_worker 3", "Unknown flag --n_worker. Did you mean '--n_workers'? See command --help"),
        ("s.py --zzzz 3", "Unknown flag --zzzz. See command --help"),
        ("s.py --n_workers 0", "--n_workers"),
        ("s.py --n_workers four", "--n_workers: unable to convert"),
        ("s.py --n_workers", "--n_workers takes a value"),
        ("s.py --n_workers --verbose", "--n_workers takes a value"),
        ("s.py --seed -1", "--seed"),
        ("s.py --seed x", "--seed"),
        ("s.py --max_wallclock_time x", "--max_wallclock_time"),
        ("s.py --max_wallclock_time inf", "--max_wallclock_time"),
        ("s.py --goal mx", "--goal. Choose from"),
        ("s.py --warm_pool=2", "--warm_pool"),
        ("s.py a b", "Unexpected argument 'a'"),
        ("", "SCRIPT is required"),
        ("s.py --save_tuner 1", "--save_tuner was removed: the journal"),
        ("s.py --spot", "--spot is a flag of --backend sagemaker"),
        ("s.py --tags x", "--tags takes NAME=VALUE, not 'x'"),
        ("s.py --template x", "give a JSON file, or JSON"),
        ("s.py --template 3", "give a JSON file, or JSON"),
        ("s.py --hidden 3", "Unknown flag --hidden"),
    ],
)
def test_errors_are_one_line(read: Reader, line: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(*line.split())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_follows_two_hyphens_is_left_alone(read: Reader) -> None:
    assert read("--", "--x-y").script == "--x-y"


def test_help_is_grouped_and_has_the_docstrings(read: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(read.app, ["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: command")
    assert "\nFlags\n" in shown
    assert "  --goal {min,max} " in shown
    assert "Keep instances between trials" in shown
    assert "hidden" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


class TestFile:
    def test_it_gives_flags_and_the_command_line_wins(self, read: Reader, tmp_path: Path) -> None:
        path = tmp_path / "flags.toml"
        path.write_text(
            'n-workers = 3\nseed = 4\nwarm_pool = true\nwarm_start = ["a", "b"]\n'
            '[tags]\nx = "1"\n[local]\ngoal = "max"\n[other]\nspot = true\n'
        )
        flags = read("s.py", "--config", str(path), "--seed", "5")
        assert (flags.n_workers, flags.seed, flags.warm_pool) == (3, 5, True)
        assert (flags.warm_start, flags.tags, flags.goal) == (("a", "b"), {"x": "1"}, "max")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("n_worker = 3", "n_worker is no flag of this command. Did you mean 'n_workers'?"),
            ("spot = true", ": spot is a flag of --backend sagemaker"),
            ("n_workers = [1, 2]", "n_workers takes one value, not a list"),
            ("n_workers = ", "is not a TOML file"),
            ('goal = "mx"', "--goal"),
        ],
    )
    def test_mistakes_in_it_are_one_line(self, read: Reader, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "flags.toml"
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            read("s.py", "--config", str(path))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_it_must_be_there(self, read: Reader) -> None:
        with pytest.raises(SettingsError, match=r"--config nowhere\.toml: No such file"):
            read("s.py", "--config", "nowhere.toml")
        with pytest.raises(SettingsError, match="a file of flags"):
            read("s.py", "--config", "x=3")


def test_a_value_is_found_before_the_command_line_is_parsed() -> None:
    assert flag_value(["--backend", "a", "--x", "--backend=b"], "backend") == "b"
    assert flag_value(["--experiment-tag", "t"], "experiment_tag") == "t"
    assert flag_value(["--backend"], "backend") is None
    assert flag_value(["--", "--backend", "a"], "backend") is None


def twice(text: str) -> int:
    return 2 * int(text)


class TestExtraFlags:
    def read(self, extra: Mapping[str, Any], *tokens: str) -> Any:
        found: list[Given] = []

        def run(given: Given) -> int:
            found.append(given)
            return 0

        command = RecordCommand(
            run, {"Own": extra_parameters([extra], ["taken"])}, converters=extra_converters([extra])
        )
        run_app(record_app(command, "command", ""), tokens)
        return found[0].all_values[str(extra["name"]).replace("-", "_")]

    @pytest.mark.parametrize(
        ("extra", "line", "value"),
        [
            ({"name": "eta", "type": float}, "--eta 4", 4.0),
            ({"name": "eta", "type": float}, "", None),
            ({"name": "eta", "type": int, "default": 3}, "", 3),
            ({"name": "max-depth", "type": int}, "--max_depth 2", 2),
            ({"name": "kind", "choices": ["a", "b"]}, "--kind b", "b"),
            ({"name": "n", "type": int, "choices": [1, 2]}, "--n 2", 2),
            ({"name": "fast", "action": "store_true"}, "--fast", True),
            ({"name": "fast", "action": "store_true"}, "", False),
            ({"name": "slow", "action": "store_false"}, "--slow", False),
            ({"name": "names", "action": "append"}, "--names a --names b", ("a", "b")),
            ({"name": "sizes", "type": int, "nargs": "+"}, "--sizes 1 2 3", (1, 2, 3)),
            ({"name": "twice", "type": twice}, "--twice 4", 8),
            ({"name": "must", "required": True}, "--must x", "x"),
        ],
    )
    def test_options_of_argparse_are_understood(
        self, extra: Mapping[str, Any], line: str, value: Any
    ) -> None:
        assert self.read(extra, *line.split()) == value

    @pytest.mark.parametrize(
        "extra",
        [
            {"name": "--depth"},
            {"type": int},
            {"name": "x", "typ": int},
            {"name": "taken"},
            {"name": "x", "action": "count"},
        ],
    )
    def test_others_are_refused(self, extra: Mapping[str, Any]) -> None:
        with pytest.raises(SettingsError, match="extra_args"):
            extra_parameters([extra], ["taken"])

    def test_a_required_one_must_be_given(self) -> None:
        with pytest.raises(SettingsError, match="--must is required"):
            self.read({"name": "must", "required": True})
        assert extra_parameters([{"name": "x"}], [])[0].kind is inspect.Parameter.KEYWORD_ONLY


def test_commands_of_functions_take_the_same_flags() -> None:
    app = command_app("program", "Programs.")
    seen: list[object] = []

    @app.command(name="show")
    def show(tag: str, /, *, log_time: bool = False) -> int:
        seen.append((tag, log_time))
        return 4

    assert run_app(app, ["show", "t", "--log-time", "1"]) == 4
    assert seen == [("t", True)]
    with pytest.raises(SettingsError, match="See program show --help"):
        run_app(app, ["show", "t", "--log_tim"])
    with pytest.raises(SettingsError, match=r"Unknown command of 'program' 'shw'\. Did you mean 'show'"):
        run_app(app, ["shw", "t"])
