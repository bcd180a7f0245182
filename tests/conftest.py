"""Keeps the user's own trackers and settings out of the tests."""

from __future__ import annotations

import os

# Before any test module imports an SDK: nothing may reach a network, nothing may be read from the user's settings.
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)
