"""The pictures and figures of docs/gallery.md, from real pictures: `python docs/gallery.py docs/images`.

Handwritten digits that the demo trains on, and two photographs that scikit-learn brings, cut into 120 pieces, six of
which get the caption of the other photograph.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

PROGRAM = str(Path(sys.executable).with_name("loss-logging"))
CAPTIONS = ("a palace under a blue sky", "a red flower in the garden")
SIDE = 64  # of a piece, in pixels
SWAPPED = range(7, 120, 20)


def digits(folder: Path, out: Path) -> None:
    """The first ten of each ranking of a demo."""
    subprocess.run([PROGRAM, "demo", "--json"], cwd=folder, check=True, capture_output=True)
    (last,) = (folder / "runs" / "demo" / "loss_logging").glob("*_000001200.json")
    report = json.loads(last.read_bytes())
    for ranking in ("hard", "caption_mismatch"):
        items = report["worst"][ranking][:10]
        shown = [folder / item["path"] for item in items]
        labels = [f"{short(item['caption'])}\n{item['score']:+.2f}" for item in items]
        sheet([Image.open(path) for path in shown], labels, out / f"gallery_{ranking}.png")
    print("digits:", report["verdicts"])


def photographs(folder: Path, out: Path) -> None:
    """Pieces of two photographs, some with the other's caption, as `check-captions --pictures` sees them."""
    pieces = folder / "pieces"
    pieces.mkdir()
    number = 0
    for caption, photo in enumerate(load_sample_images().images):
        for top in range(0, 6 * SIDE, SIDE):
            for left in range(0, 10 * SIDE, SIDE):
                Image.fromarray(photo[top : top + SIDE, left : left + SIDE]).save(pieces / f"{number:03}.png")
                text = CAPTIONS[1 - caption if number in SWAPPED else caption]
                (pieces / f"{number:03}.txt").write_text(text, "utf-8")
                number += 1
    command = [PROGRAM, "check-captions", str(pieces), "--pictures", "--json", "--fail-on", "never"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["rule"] == "picture"]
    labels = [f"{short(finding['caption'])}\n{finding['message'].split('(')[1].split(')')[0]}" for finding in found]
    sheet([Image.open(pieces / finding["path"]) for finding in found], labels, out / "gallery_photographs.png")
    right = sum(int(finding["path"][:3]) in SWAPPED for finding in found)
    print(f"photographs: {len(found)} found, of which {right} are among the {len(SWAPPED)} planted")


def short(caption: str) -> str:
    """Two lines below a picture."""
    return "\n".join(textwrap.wrap(caption, 24, max_lines=2, placeholder=" ..."))


def sheet(pictures: Sequence[Image.Image], labels: Sequence[str], path: Path) -> None:
    """Rows of five pictures with a label below each."""
    width, height = 150, 150
    drawn = Image.new("RGB", (5 * width, -(-len(pictures) // 5) * (height + 50)), "white")
    pen = ImageDraw.Draw(drawn)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = i % 5 * width, i // 5 * (height + 50)
        drawn.paste(picture.convert("RGB").resize((width - 10, height - 10), Image.Resampling.NEAREST), (left, top))
        pen.text((left + 2, top + height - 8), label, fill="black")
    drawn.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        digits(Path(folder), Path(sys.argv[1]))
        photographs(Path(folder), Path(sys.argv[1]))
