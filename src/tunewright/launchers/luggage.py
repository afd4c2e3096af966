"""What tuning jobs get from this machine beside the folder: evaluations of earlier experiments, needs of flags."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from tunewright.launchers.console import say
from tunewright.transfer.reading import pack_evaluations

_FOLDER: Final = "warm_start"


def pack_warm_start(sources: Sequence[str]) -> dict[str, bytes]:
    """The evaluations of earlier experiments as files, by the names that ``--warm_start`` takes in a tuning job.

    Only what can be learned from travels: of each trial that did not fail its configuration and newest result, as JSON
    under the checksum of its content.

    Raises
    ------
    SettingsError
        A source is not there.
    JournalError
        A journal is damaged.
    """
    packed = dict(pack_evaluations(source) for source in dict.fromkeys(sources))
    if packed:
        say(
            f"Earlier experiments travel along: {', '.join(packed)}, {sum(map(len, packed.values())):,} bytes"
        )
    return {f"{_FOLDER}/{name}": content for name, content in packed.items()}


def needed_extras(arguments: Namespace) -> list[str]:
    """Extras of this package that flags need where the experiments run."""
    return ["tensorboard"] if arguments.tensorboard else []
