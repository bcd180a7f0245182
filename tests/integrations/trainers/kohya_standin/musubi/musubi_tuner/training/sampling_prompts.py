"""Stand-in for the file of sample prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load_prompts(prompt_file: str) -> list[dict[str, Any]]:
    """Of a JSON file."""
    prompts: list[dict[str, Any]] = json.loads(Path(prompt_file).read_text(encoding="utf-8"))
    return prompts
