"""Assumptions about SageMaker, and their comparison with an account."""

from __future__ import annotations

from tunewright.backends.sagemaker.verification.assumptions import (
    ASSUMPTIONS,
    Assumption,
    Audit,
    assumptions_table,
)
from tunewright.backends.sagemaker.verification.verifier import (
    MINUTES,
    Observation,
    State,
    Verification,
    Verifier,
    verification_site,
)

__all__ = [
    "ASSUMPTIONS",
    "MINUTES",
    "Assumption",
    "Audit",
    "Observation",
    "State",
    "Verification",
    "Verifier",
    "assumptions_table",
    "verification_site",
]
