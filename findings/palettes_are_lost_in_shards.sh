#!/usr/bin/env bash
# MosaicML's streaming, with "pil", and LitData store pictures with a palette without it: they come back black.
#
# Versions: mosaicml-streaming 0.13.0, litdata 0.2.76, torch 2.13.0, pillow 12.3.0; Python 3.11
# Behaviour: many drawings, icons and GIF frames are PNG files of mode "P": numbers of colours, and a list of the colours. Both
#   formats store mode, size and numbers alone. What is read back has mode "P", the right size, and a palette without colours:
#   converted to RGB, as a trainer does, the whole picture is black. Nothing is said. Modes L, RGB, RGBA and LA come back bit for
#   bit, and so does "P" with streaming's encoding "png".
# Seen: "P: sky (200, 30, 40) comes back as (0, 0, 0), sea (20, 90, 220) as (0, 0, 0)" for "streaming, pil" and "litdata",
#   "changed are the pictures of mode ['P']" for both, and of no mode for "streaming, png"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 mosaicml-streaming==0.13.0 litdata==0.2.76 pillow==12.3.0 numpy==2.1.3
cat > "$folder/run.py" <<'PY'
import io, os, sys, warnings

os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"
warnings.simplefilter("ignore")
import torch

if torch.__version__.endswith("+cpu"):  # the compiled part of torchvision's own wheel does not load beside it, and is not used here
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import litdata, numpy
from PIL import Image
from streaming import MDSWriter, StreamingDataset

SKY, SEA = (200, 30, 40), (20, 90, 220)
drawing = Image.new("RGB", (32, 32), SKY)
drawing.paste(SEA, (0, 16, 32, 32))
file = io.BytesIO()
drawing.quantize(2).save(file, "PNG")


def pictures(_=0):
    """The same drawing in several modes; the first as Pillow opens it from a PNG file with a palette."""
    for picture in (Image.open(io.BytesIO(file.getvalue())), drawing, drawing.convert("L"), drawing.convert("RGBA"), drawing.convert("LA")):
        yield {"image": picture}


def streaming(encoding):
    local = f"{sys.argv[1]}/{encoding}"
    with MDSWriter(out=local, columns={"image": encoding}) as writer:
        for sample in pictures():
            writer.write(sample)
    return [sample["image"] for sample in StreamingDataset(local=local, batch_size=1, shuffle=False)]


def lit():
    folder = sys.argv[1] + "/lit"
    litdata.optimize(fn=pictures, inputs=[0], output_dir=folder, num_workers=1, chunk_bytes="1MB", verbose=False)
    return [sample["image"] for sample in litdata.StreamingDataset(folder)]


def changed(back):
    found = []
    for sample, other in zip(pictures(), back, strict=True):
        one, two = numpy.asarray(sample["image"].convert("RGB")), numpy.asarray(other.convert("RGB"))
        assert other.mode == sample["image"].mode and one.shape == two.shape
        if not (one == two).all():
            found.append(other.mode)
            print(f"   {other.mode}: sky {tuple(map(int, one[0, 0]))} comes back as {tuple(map(int, two[0, 0]))}, sea {tuple(map(int, one[-1, 0]))} as {tuple(map(int, two[-1, 0]))}")
    return found


if __name__ == "__main__":
    for name, read, expected in (("streaming, pil", lambda: streaming("pil"), ["P"]), ("streaming, png", lambda: streaming("png"), []), ("litdata", lit, ["P"])):
        found = changed(read())
        print(name + ": changed are the pictures of mode", found)
        assert found == expected
PY
cd "$folder"
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
