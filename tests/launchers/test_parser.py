"""The manners of every command line."""

from __future__ import annotations

import pytest

from tunewright.exceptions import SettingsError
from tunewright.launchers.parser import Parser, natural, positive, positive_int


@pytest.fixture
def parser() -> Parser:
    """A command with one of everything."""
    made = Parser("command", "Does something.")
    made.positional("script", "a script")
    made.optional("more", "and more")
    made.flag("n_workers", "trials at the same time", type=positive_int)
    made.flag("max_wallclock_time", "seconds", type=positive)
    made.flag("seed", "a seed", type=natural, default=0)
    made.flag("goal", "min or max", choices=("min", "max"), default="min")
    made.switch("warm_pool", "keep instances")
    made.switch("verbose", "say more")
    return made


def test_hyphens_and_underscores_are_the_same(parser: Parser) -> None:
    assert parser.read(["s.py", "--n-workers", "3"]).n_workers == 3
    assert parser.read(["s.py", "--n_workers=3"]).n_workers == 3
    assert parser.read(["s-p.py", "--goal=max"]).script == "s-p.py"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (["--warm_pool", "1"], True),
        (["--warm-pool", "True"], True),
        (["--warm_pool=0"], False),
        (["--warm_pool", "false"], False),
        (["--warm_pool"], True),
        (["--warm_pool", "--verbose"], True),
        ([], False),
    ],
)
def test_switches_take_a_value_or_none(parser: Parser, line: list[str], value: bool) -> None:
    assert parser.read(["s.py", *line]).warm_pool is value
    assert parser.read([*line, "s.py"]).warm_pool is value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("s.py --n_worker 3", "Unknown flag --n_worker. Did you mean '--n_workers'"),
        ("s.py --zzzz 3", "Unknown flag --zzzz. See command --help"),
        ("s.py --n_workers 0", "--n_workers: must be a whole number >= 1, not '0'"),
        ("s.py --n_workers four", "--n_workers: must be a whole number >= 1, not 'four'"),
        ("s.py --n_workers", "--n_workers: expected one argument"),
        ("s.py --seed -1", "--seed"),
        ("s.py --seed x", "--seed: must be a whole number >= 0"),
        ("s.py --max_wallclock_time -5", "--max_wallclock_time"),
        ("s.py --max_wallclock_time x", "--max_wallclock_time: must be a number > 0"),
        ("s.py --max_wallclock_time inf", "--max_wallclock_time: must be a number > 0"),
        ("s.py --goal mx", "--goal: invalid choice: 'mx'"),
        ("s.py --warm_pool=2", "--warm_pool: takes 1, 0, true or false, not '2'"),
        ("s.py a b", "Unexpected argument 'b'"),
        ("", "script"),
        ("s.py --save_tuner 1", "--save_tuner is gone: the journal"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(parser: Parser, line: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parser.read(line.split())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_follows_two_hyphens_is_left_alone(parser: Parser) -> None:
    assert parser.read(["--", "s.py", "--x-y"]).more == "--x-y"


def test_help_exits(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser.read(["--help"])
    assert "keep instances" in capsys.readouterr().out
