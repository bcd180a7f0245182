#!/usr/bin/env bash
# With buckets of two sizes diffusers' find_nearest_bucket puts nearly all photos, and of any size, into the small ones.
#
# Versions: diffusers 0.42.1, torch 2.13.0; Python 3.11
# Behaviour: find_nearest_bucket, to which the training scripts give what --aspect_ratio_buckets has been parsed to, compares
#   h * bucket_w - w * bucket_h. That is in pixels: a bucket of half the sides seems twice as near. Of buckets for 512 and for
#   1,024 pixels in the same ratios the small one is taken unless a photo has exactly the ratio of a bucket, and one small square
#   beside large buckets takes photos for which another ratio is nearer. A photo's own size is never looked at. One expects the
#   nearest ratio ("closest" in its docstring), and of two equal ones that which fits the photo's size.
# Seen: "512 and 1,024, each in three ratios: 100.0% of photos of 1,024 to 4,096 pixels are in the buckets of 512", "1,024 in three
#   ratios and one square of 512: 13.7% are in the square though another's ratio is nearer", "1,024 in three ratios: 0.0%"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import math
from diffusers.training_utils import find_nearest_bucket, parse_buckets_string

PHOTOS = [(width, height) for width in range(1024, 4096, 61) for height in range(1024, 4096, 67)]


def ratio_off(picture, bucket):
    return abs(math.log(picture[0] / picture[1]) - math.log(bucket[0] / bucket[1]))


def chosen(text):
    """Each photo's bucket, as width and height, of buckets written as height,width."""
    buckets = parse_buckets_string(text)
    return [buckets[find_nearest_bucket(height, width, buckets)][::-1] for width, height in PHOTOS]


both = chosen("512,512;384,640;640,384;1024,1024;768,1280;1280,768")
small = sum(max(bucket) < 768 for bucket in both) / len(both)
print(f"512 and 1,024, each in three ratios: {small:.1%} of photos of 1,024 to 4,096 pixels are in the buckets of 512")
large = chosen("1024,1024;768,1280;1280,768")
farther = sum(ratio_off(p, b) > ratio_off(p, o) + 1e-9 for p, b, o in zip(PHOTOS, chosen("512,512;1024,1024;768,1280;1280,768"), large)) / len(large)
print(f"1,024 in three ratios and one square of 512: {farther:.1%} are in the square though another's ratio is nearer")
wrong = sum(ratio_off(p, b) > 0.01 + min(ratio_off(p, o) for o in set(large)) for p, b in zip(PHOTOS, large)) / len(large)
print(f"1,024 in three ratios: {wrong:.1%} are in a bucket whose ratio is farther off by a hundredth")
assert small > 0.99 and 0.1 < farther < 0.2 and wrong < 0.01
PY
"$folder/venv/bin/python" "$folder/run.py" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
