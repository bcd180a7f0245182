#!/usr/bin/env bash
# ExifRead gives an empty UserComment for a text of 1,000 bytes or more, and one without line breaks for less.
#
# Versions: exifread 3.5.1, piexif 1.1.3, pillow 12.3.0; Python 3.11
# Behaviour: web UIs for Stable Diffusion store prompt, negative prompt and settings of a JPEG in UserComment, in UTF-16, a line
#   each. From 496 letters on (992 in ASCII) the tag is there and empty, with truncate_tags=False too: the caption seems
#   to be missing on purpose. A shorter one has its lines glued together: where the negative prompt starts is lost. XPComment
#   is empty from 500 letters on. ImageDescription is complete, Pillow reads all of them. The README says nothing of a limit.
# Seen: "unicode, 495 letters: 'xxxxxNegative prompt: blurry'", "unicode, 496 letters: ''", "ascii, 992 letters: ''",
#   "XPComment, 500 letters: 0 values; ImageDescription: 500 letters"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check exifread==3.5.1 piexif==1.1.3 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import io

import exifread, piexif, piexif.helper
from PIL import Image

END = "\nNegative prompt: blurry"


def tags(main=None, exif=None, **options):
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", exif=piexif.dump({"0th": main or {}, "Exif": exif or {}}))
    with Image.open(file) as picture:
        pillow = picture.getexif().get_ifd(0x8769).get(piexif.ExifIFD.UserComment)
    file.seek(0)
    return exifread.process_file(file, **options), pillow


def comment(letters, encoding, **options):
    text = "x" * (letters - len(END)) + END
    found, pillow = tags(exif={piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(text, encoding)}, **options)
    assert piexif.helper.UserComment.load(pillow) == text
    return str(found["EXIF UserComment"])


for encoding, last in (("unicode", 495), ("ascii", 991)):
    for letters in (last, last + 1, 3000):
        for options in ({}, {"truncate_tags": False}):
            text = comment(letters, encoding, **options)
            print(f"{encoding}, {letters} letters: {text[-28:]!r}")
            assert text == ("x" * (letters - len(END)) + END.replace("\n", "") if letters == last else "")
values = {}
for letters in (499, 500, 3000):
    main = {piexif.ImageIFD.XPComment: ("x" * letters).encode("utf-16-le"), piexif.ImageIFD.ImageDescription: b"x" * letters}
    found, _ = tags(main=main)
    values[letters] = len(found["Image XPComment"].values), len(str(found["Image ImageDescription"]))
    print(f"XPComment, {letters} letters: {values[letters][0]} values; ImageDescription: {values[letters][1]} letters")
assert values == {499: (998, 499), 500: (0, 500), 3000: (0, 3000)}
PY
"$folder/venv/bin/python" "$folder/run.py"
