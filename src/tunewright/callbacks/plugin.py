"""CallbackPlugin: a callback by name, for the command line, `tune_function` and stored experiments.

A callback is a class that implements :class:`tunewright.interfaces.Callback`, a frozen config class, and a plugin that
builds the one from the other. The plugin is registered in the ``pyproject.toml`` of its package::

    [project.entry-points."tunewright.callbacks"]
    lines = "my_package:PLUGIN"

and is then used by ``--callback lines:path=results.txt`` in every command that runs experiments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast, final

from tunewright.benchmarks.definition import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Callback
from tunewright.metric import Constraint
from tunewright.plugins import (
    CALLBACKS,
    config_from_json,
    load_plugin,
    named_config_from_json,
    named_config_to_json,
    plugin_names,
)
from tunewright.storage import ExperimentFolder
from tunewright.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackConfig(ABC):
    """Base of the config class of a callback.

    Fields are the callback's settings; ``--callback NAME:field=value,field=value`` sets those of numbers and text.
    Values are checked in ``__post_init__``, which raises SettingsError.
    """

    callback_name: ClassVar[str]
    """Name of the plugin's entry point."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackContext:
    """An experiment, as a callback sees it."""

    benchmark: Benchmark
    """Search space, metrics and number of workers."""
    folder: ExperimentFolder
    """Of the experiment; a callback writes into files and folders of its own there."""
    constraints: tuple[Constraint, ...] = ()
    """Constraints on the best result."""
    created: float
    """Seconds since 1970 at which the experiment's clock was 0."""


C = TypeVar("C", bound=CallbackConfig)


class CallbackPlugin(ABC, Generic[C]):
    """A callback by name. Only :attr:`config` and :meth:`build` are needed.

    Examples
    --------
    A callback that appends a line per result to a file::

        @final
        @dataclass(frozen=True, slots=True, kw_only=True)
        class LinesConfig(CallbackConfig):
            callback_name: ClassVar[str] = "lines"

            path: str = "lines.txt"
            \"\"\"File of the lines; relative to the experiment's folder.\"\"\"


        @final
        class LinesPlugin(CallbackPlugin[LinesConfig]):
            config = LinesConfig

            def build(self, config: LinesConfig, context: CallbackContext) -> Callback:
                return Lines(context.folder.path / config.path)


        PLUGIN = LinesPlugin()
    """

    config: type[C]
    """The config class."""
    extra: ClassVar[str] = ""
    """Extra of Tunewright that the callback needs where experiments run, such as ``tensorboard``; empty: none."""

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.config.callback_name

    def check(self, config: C) -> None:
        """Make sure that the callback can be built, before an experiment begins. Default: nothing is checked.

        Raises
        ------
        MissingExtraError
            A package is not installed.
        SettingsError
            A setting cannot work on this machine.
        """

    @abstractmethod
    def build(self, config: C, context: CallbackContext) -> Callback:
        """Build the callback of an experiment, new or continued."""


def callback_names() -> list[str]:
    """Names of the installed callbacks, sorted."""
    return plugin_names(CALLBACKS)


def find_callback(name: str) -> CallbackPlugin[Any]:
    """The callback of a name.

    Raises
    ------
    UnknownNameError
        No installed package brings it.
    SettingsError
        Its package cannot be imported, or its entry point is no CallbackPlugin.
    """
    return cast("CallbackPlugin[Any]", load_plugin(CALLBACKS, name, CallbackPlugin))


def build_callback(config: CallbackConfig, context: CallbackContext) -> Callback:
    """Build the callback of a config; errors as :func:`find_callback`."""
    return find_callback(config.callback_name).build(config, context)


def callback_from_text(text: str, *, flag: str = "--callback") -> CallbackConfig:
    """A callback from ``NAME`` or ``NAME:key=value,key=value``, as ``--callback`` takes it.

    Parameters
    ----------
    text
        Name and settings.
    flag
        Flag of the text, for messages.

    Raises
    ------
    SettingsError
        The callback or a setting is unknown, or a value cannot work.
    """
    name, colon, settings = text.partition(":")
    pairs: dict[str, str] = {}
    for pair in settings.split(",") if colon else ():
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise SettingsError(f"{flag} takes NAME:key=value,key=value, not {text!r}")
        pairs[key] = value
    return config_from_json(find_callback(name).config, pairs, flag=f"{flag} {name}")


def callback_to_json(config: CallbackConfig) -> dict[str, Json]:
    """A callback's name and config, as metadata holds them."""
    return named_config_to_json(config.callback_name, config)


def callback_from_json(data: object) -> CallbackConfig:
    """The inverse of :func:`callback_to_json`.

    Raises
    ------
    SettingsError
        The data name no callback, or a callback that is unknown, or are not its config.
    """
    return named_config_from_json("callback", data, lambda name: find_callback(name).config)
