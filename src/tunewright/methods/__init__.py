"""The named methods: a file per family, found by name."""

from __future__ import annotations

from tunewright.methods.method import BuildFunction, Method, MethodSpec
from tunewright.methods.registry import (
    aliases,
    also_read,
    build_scheduler,
    constraints_of,
    find_method,
    method,
    method_names,
    promotion_eta,
    resolved_inner,
    resolved_settings,
    sized,
)

__all__ = [
    "BuildFunction",
    "Method",
    "MethodSpec",
    "aliases",
    "also_read",
    "build_scheduler",
    "constraints_of",
    "find_method",
    "method",
    "method_names",
    "promotion_eta",
    "resolved_inner",
    "resolved_settings",
    "sized",
]
