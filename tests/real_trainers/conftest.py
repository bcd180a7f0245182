"""Leaves the scripts that run in a trainer's own process to the tests that run them."""

from __future__ import annotations

collect_ignore = ["drivers"]
