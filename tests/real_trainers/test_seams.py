"""The stand-ins of tests/integrations/trainers are called as the trainers are."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import checkout
from seams import SEAMS, Seam, differences

STANDINS = Path(__file__).parents[1] / "integrations" / "trainers"


@pytest.mark.real
@pytest.mark.parametrize("name", SEAMS)
def test_the_stand_in_has_the_seams_of_the_trainer(name: str, pytestconfig: pytest.Config) -> None:
    """Each name that an adapter wraps or reads is in both, with the same parameters in the same order."""
    folder = checkout(pytestconfig, name).folder
    assert [said for seam in SEAMS[name] for said in differences(seam, STANDINS, folder)] == []


def test_a_seam_that_has_moved_is_named(tmp_path: Path) -> None:
    """A method with other parameters, an attribute and a file that are gone are three sentences."""
    (tmp_path / "ours.py").write_text(
        "class A:\n def f(self, x, y): self.z = 1\n def g(self): pass\ndef h(a): pass\n", encoding="utf-8"
    )
    (tmp_path / "theirs.py").write_text(
        "class B:\n def f(self, x, new, y): pass\n async def g(self): pass\ndef h(a): pass\n", encoding="utf-8"
    )
    seam = Seam("ours.py", ["theirs.py"], ["A.f", "A.z", "h"], {"A": ["B"]})
    assert differences(seam, tmp_path, tmp_path) == [
        "A.f: the stand-in takes self, x, y; the trainer takes self, x, new, y",
        "A.z: the trainer has none",
    ]
    assert differences(Seam("ours.py", ["gone.py"], ["h"]), tmp_path, tmp_path) == ["the trainer has none of gone.py"]
