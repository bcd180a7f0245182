from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from view_server import Answer, Server


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    files = {str(path): path.stat() for path in folder.rglob("*")}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in files.items()}


WRONG = [
    "nan",
    "untitled",
    "<unk> cat",
    "cat cat cat cat",
    "none",
    "n/a",
    "null",
    "a <unk> dog",
    "dog dog dog dog",
    "TODO",
]


RIGHT = [f"a small cat number {i} sleeps on a red chair by the window" for i in range(20)]


def photos(root: Path) -> Path:
    """Captioned images, the first ten with captions that something is wrong with."""
    (root / "cats").mkdir(parents=True)
    colours = np.random.default_rng(0).integers(0, 255, (30, 3))
    for i, (caption, colour) in enumerate(zip([*WRONG, *RIGHT], colours.tolist(), strict=True)):
        Image.new("RGB", (32, 32), tuple(colour)).save(root / "cats" / f"{i:02}.png")
        (root / "cats" / f"{i:02}.txt").write_text(caption)
    return root


def own(server: Server) -> dict[str, str]:
    """The headers that the page's own script sends."""
    return {"Origin": f"http://127.0.0.1:{server.port}", "Content-Type": "application/json"}


def change(
    server: Server, path: str, seen: str | None, wanted: str | None, decision: str = "caption", **sent: str
) -> Answer:
    states = {"seen": {"caption": seen, "decision": ""}, "wanted": {"caption": wanted, "decision": decision}}
    body = json.dumps({"dataset": "cats", "path": path, **states}).encode()
    headers = {name: value for name, value in (own(server) | sent).items() if value}
    return server.ask("/api/change", method="POST", body=body, sent=headers)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".txt", ".jsonl")}
