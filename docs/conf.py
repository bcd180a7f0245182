"""The site: Sphinx over the pages of this folder (Markdown), with references that are made from the code."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from loss_logging.version import __version__  # noqa: E402

project = "loss_logging"
author = "The loss_logging authors"
copyright = "The loss_logging authors"  # noqa: A001
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
html_theme = "furo"
html_title = f"loss_logging {release}"
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Signatures stay short: docstrings say types and ranges.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "code"
exclude_patterns = ["_build"]
