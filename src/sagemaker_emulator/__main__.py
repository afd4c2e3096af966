"""The command ``sagemaker-emulator``, also ``python -m sagemaker_emulator``. Its subcommand is imported when it runs or shows its help."""

from __future__ import annotations

import sys
from typing import Final

from cyclopts import App, CycloptsError, Parameter

INVALID_INPUT: Final = 2
"""Exit code for invalid input."""

app: Final = App(
    name="sagemaker-emulator",
    help="A SageMaker-compatible endpoint on localhost that really runs training jobs.",
    version_flags=[],
    help_format="plaintext",
    default_parameter=Parameter(name_transform=lambda name: name, negative=()),
)
app.command(
    "sagemaker_emulator.serve_command:serve_command",
    name="serve",
    help="Serve on the loopback interface until SIGINT or SIGTERM.",
)


def main() -> None:
    """Run the command; hyphens and underscores in option names are equivalent."""
    try:
        app([_underscored(argument) for argument in sys.argv[1:]], exit_on_error=False)
    except CycloptsError:  # already printed
        sys.exit(INVALID_INPUT)
    sys.exit(0)


def _underscored(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


if __name__ == "__main__":
    main()
