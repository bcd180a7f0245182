#!/usr/bin/env bash
# faiss' EDEN types put a unit embedding 8 to 455 away from its own copy in IndexScalarQuantizer, and 0 in IndexEDEN.
#
# Versions: faiss-cpu 1.15.1; Python 3.11
# Behaviour: QT_1bit_eden to QT_8bit_eden are values of ScalarQuantizer like QT_8bit and QT_4bit_tqmse. IndexEDEN stores a
#   length with each vector; in IndexScalarQuantizer the same types take numbers of variance 1 for granted. An
#   embedding of length 1 and 768 numbers comes back with length 22 (one bit) or 3.6 (four bits), and two copies,
#   where unit vectors are 4 apart at most in squared L2, are 455 and 8: a threshold for duplicates finds nothing, and inner
#   products are 18 and 2.8 instead of 1. Train, add and search say nothing. The copy is still the nearest.
# Seen: "IndexEDEN, 1 bit: copies are 0.000 away, inner product 1.00", "IndexScalarQuantizer, EDEN 1 bit: ... 454.617 ...
#   17.65", "IndexScalarQuantizer, EDEN 4 bit: ... 7.979 ... 2.84", "IndexScalarQuantizer, TurboQuant 4 bit: ... 0.010 ... 0.99"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
NUMBERS, Type = 768, faiss.ScalarQuantizer
pictures = np.random.default_rng(0).standard_normal((300, NUMBERS)).astype("f4")
pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)


def copies(make):
    """The first neighbour of each picture, which is itself: its squared distance, inner product and length, in the mean."""
    found = {}
    for metric in (faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT):
        index = make(metric)
        index.train(pictures)
        index.add(pictures)
        values, neighbours = index.search(pictures, 1)
        assert (neighbours[:, 0] == np.arange(len(pictures))).all()
        found[metric] = float(values.mean())
    return found[faiss.METRIC_L2], found[faiss.METRIC_INNER_PRODUCT]


eden = {1: Type.QT_1bit_eden, 4: Type.QT_4bit_eden}
INDEXES = {f"IndexEDEN, {bits} bit": lambda metric, bits=bits: faiss.IndexEDEN(NUMBERS, metric, bits) for bits in eden}
INDEXES |= {f"IndexScalarQuantizer, EDEN {bits} bit": lambda metric, kind=kind: faiss.IndexScalarQuantizer(NUMBERS, kind, metric)
            for bits, kind in eden.items()}
INDEXES["IndexScalarQuantizer, TurboQuant 4 bit"] = lambda metric: faiss.IndexScalarQuantizer(NUMBERS, Type.QT_4bit_tqmse, metric)
for name, make in INDEXES.items():
    distance, product = copies(make)
    print(f"{name}: copies are {distance:.3f} away, inner product {product:.2f}")
    if "IndexEDEN" in name or "Turbo" in name:
        assert distance < 0.02 and abs(product - 1) < 0.02
    else:
        assert distance > 7 and product > 2.5
    if name == "IndexScalarQuantizer, EDEN 1 bit":
        assert distance > 400 and product > 15
PY
"$folder/venv/bin/python" "$folder/run.py"
