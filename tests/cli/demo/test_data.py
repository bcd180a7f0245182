from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loss_logging.cli.demo.data import Sample, load_samples

pytestmark = pytest.mark.xdist_group("demo")


def test_samples(samples: list[Sample]) -> None:
    """1,797 distinct items in three datasets, with the stated number of faults, all of them in the messy one."""
    assert len({sample.path for sample in samples}) == len(samples) == 1797
    assert {sample.dataset for sample in samples} == {"clean", "messy", "tiny"}
    faults = [sample.fault for sample in samples if sample.fault]
    assert {fault: faults.count(fault) for fault in faults} == {
        "wrong caption": 40,
        "damaged caption": 24,
        "noise image": 20,
    }
    assert all(sample.dataset == "messy" for sample in samples if sample.fault)
    assert all(np.abs(sample.image).max() <= 1 for sample in samples)


def test_samples_are_seeded() -> None:
    """The same seed gives the same samples, another seed others."""
    first, again, other = (load_samples(Path("images"), seed) for seed in (0, 0, 1))
    assert [(s.path, s.caption, s.fault) for s in first] == [(s.path, s.caption, s.fault) for s in again]
    assert [s.caption for s in first] != [s.caption for s in other]
