"""Rendered icons with the names, and for some the tags, that their makers gave them.

The packages are installed with npm into a temporary folder and rendered there by resvg; nothing of them is kept.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PACKAGES", "load_icons"]

PACKAGES = {
    "lucide": ("lucide-static@1.62.0", "ISC: black lines on white, 1,908 names with tags"),
    "fluent emoji": ("@iconify-json/fluent-emoji-flat@1.2.6", "MIT: flat colours on white, names; no skin tones"),
}
"""Package and licence; the renderer is under MPL-2.0."""
RENDERER = "@resvg/resvg-js@2.6.2"
SIDE = 32

_SCRIPT = """
const {readFileSync, writeFileSync, readdirSync, existsSync} = require('node:fs');
const {Resvg} = require('@resvg/resvg-js');
const pictures = [], names = [];
function add(svg, name, tags) {
  const made = new Resvg(svg, {fitTo: {mode: 'width', value: SIDE}, background: 'white'}).render();
  if (made.pixels.length === SIDE * SIDE * 4) { pictures.push(made.pixels); names.push({name, tags}); }
}
if (existsSync('node_modules/lucide-static')) {
  const tags = JSON.parse(readFileSync('node_modules/lucide-static/tags.json'));
  for (const name of Object.keys(tags).sort()) {
    const file = `node_modules/lucide-static/icons/${name}.svg`;
    if (existsSync(file)) add(readFileSync(file, 'utf8').replaceAll('currentColor', 'black'), name, tags[name]);
  }
} else {
  const set = JSON.parse(readFileSync('node_modules/@iconify-json/fluent-emoji-flat/icons.json'));
  for (const [name, icon] of Object.entries(set.icons)) {
    const [w, h] = [icon.width || set.width || 16, icon.height || set.height || 16];
    if (!/\\b(light|medium|dark)\\b/.test(name))
      add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}">${icon.body}</svg>`, name, []);
  }
}
writeFileSync('pixels', Buffer.concat(pictures)); writeFileSync('names.json', JSON.stringify(names));
"""


@cache
def load_icons(name: str) -> tuple[np.ndarray[Any, Any], list[str], list[list[str]]]:
    """Pictures (N, 32, 32, 3) uint8, their names in words, and their tags.

    Raises:
        subprocess.CalledProcessError: npm or node does not give them.
    """
    with tempfile.TemporaryDirectory(prefix="icons-") as folder:
        install = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
            PACKAGES[name][0],
            RENDERER,
        ]
        subprocess.run(install, cwd=folder, check=True)
        subprocess.run(["node", "-e", _SCRIPT.replace("SIDE", str(SIDE))], cwd=folder, check=True)
        pixels = np.fromfile(Path(folder, "pixels"), np.uint8).reshape(-1, SIDE, SIDE, 4)[..., :3]
        icons = json.loads(Path(folder, "names.json").read_text("utf-8"))
    return pixels, [icon["name"].replace("-", " ") for icon in icons], [icon["tags"] for icon in icons]
