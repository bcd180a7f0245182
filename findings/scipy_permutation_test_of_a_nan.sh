#!/usr/bin/env bash
# One NaN among the losses makes scipy's permutation_test certain: its p-value is 0.002 or 0.001, the least there is, in every direction.
#
# Versions: scipy 1.17.1, numpy 2.4.6; Python 3.11
# Behaviour: the statistic is NaN, no resampled one compares as being as extreme, and p is counted from these. "less" and "greater" are
#   both the least possible, and an exact test says 0. ttest_ind, mannwhitneyu and bootstrap give NaN for such data, and permutation_test
#   has no nan_policy. Who looks at p-values alone finds each comparison with a failed sample significant.
# Seen: "two-sided: p 0.0020 with a NaN (statistic nan), 0.4760 without", "less: p 0.0010 ..., 0.2380 without", "greater: p 0.0010 ...,
#   0.7630 without", "exact, samples: p 0.0000 ..., 0.3438 without", "ttest_ind: nan", "mannwhitneyu: nan", "ks_2samp: nan"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import numpy as np
from scipy import stats


def difference(first, second, axis=-1):
    """The difference of two means."""
    return np.mean(first, axis=axis) - np.mean(second, axis=axis)


random = np.random.default_rng(3)
first, second = random.standard_normal(7), random.standard_normal(7)
failed = np.where(np.arange(7) == 3, np.nan, first)
for name, settings in (
    ("two-sided", {"n_resamples": 999}),
    ("less", {"alternative": "less", "n_resamples": 999}),
    ("greater", {"alternative": "greater", "n_resamples": 999}),
    ("exact, samples", {"permutation_type": "samples"}),
):
    with_nan, without = (
        stats.permutation_test((losses, second), difference, vectorized=True, rng=0, **settings) for losses in (failed, first)
    )
    print(f"{name}: p {with_nan.pvalue:.4f} with a NaN (statistic {with_nan.statistic}), {without.pvalue:.4f} without")
    assert np.isnan(with_nan.statistic)
    assert with_nan.pvalue <= 0.002
    assert without.pvalue > 10 * with_nan.pvalue
for test in (stats.ttest_ind, stats.mannwhitneyu, stats.ks_2samp):
    print(f"{test.__name__}: {test(failed, second).pvalue}")
    assert np.isnan(test(failed, second).pvalue)
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
