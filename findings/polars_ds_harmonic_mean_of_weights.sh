#!/usr/bin/env bash
# polars_ds gives a column's cosine similarity to itself as its length, and the mean of the weights for a weighted harmonic mean.
#
# Versions: polars_ds 0.13.0, polars 2.1.0; Python 3.11
# Behaviour: cosine_sim takes the root of the product of the two lengths once more, so that the result is the similarity times
#   the root of that product: 7.67 for a column of 500 losses and itself, and another number for more rows or another scale.
#   weighted_cosine_sim with weights of 1 gives 1. weighted_hmean divides the sum of the weights by that of x * 1/x, where
#   it should have the weights: no loss has any effect on it. hmean and weighted_mean are right.
# Seen: "500 rows: to itself 7.6734, the length is 7.6734; with weights of 1: 1.0000", "weighted harmonic mean of thousand: 0.4979,
#   mean of the weights 0.4979", "true: 0.0749; with equal weights: 1.0000, hmean: 0.0741"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars_ds==0.13.0 polars==2.1.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
import polars as pl
import polars_ds as pds

random = np.random.default_rng(0)
losses, weights = random.lognormal(-2, 1, 500), random.random(500)
frame = pl.DataFrame({"loss": losses, "thousand": losses * 1000, "weight": weights, "one": np.ones(500)})
for rows in (500, 25):
    part = frame.head(rows)
    itself = part.select(pds.cosine_sim("loss", "loss")).item()
    ones = part.select(pds.weighted_cosine_sim("loss", "loss", "one")).item()
    length = np.linalg.norm(losses[:rows])
    print(f"{rows} rows: to itself {itself:.4f}, the length is {length:.4f}; with weights of 1: {ones:.4f}")
    assert np.isclose(itself, length) and np.isclose(ones, 1)
true = weights.sum() / (weights / losses).sum()
for column in ("loss", "thousand"):
    found = frame.select(pds.weighted_hmean(column, "weight")).item()
    print(f"weighted harmonic mean of {column}: {found:.4f}, mean of the weights {weights.mean():.4f}")
    assert np.isclose(found, weights.mean())
equal, plain = frame.select(a=pds.weighted_hmean("loss", "one"), b=pds.hmean("loss")).row(0)
print(f"true: {true:.4f}; with equal weights: {equal:.4f}, hmean: {plain:.4f}")
assert np.isclose(equal, 1) and np.isclose(plain, 1 / (1 / losses).mean()) and true < 0.08
PY
"$folder/venv/bin/python" "$folder/run.py"
