"""The part of Syne Tune's interface that training scripts import, on Tunewright's reports and checkpoints."""

from __future__ import annotations

from tunewright.report import Reporter as Reporter
