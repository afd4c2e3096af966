"""``python -m sagemaker_emulator``: the same as the command ``sagemaker-emulator``."""

from __future__ import annotations

from sagemaker_emulator.cli import main

if __name__ == "__main__":
    main()
