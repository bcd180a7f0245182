"""Lets the checks read the log as the tests of the adapters do."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integrations" / "trainers"))
