"""loss_logging.evidence.rivals and find_rivals: the other captions that a picture fits best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evidence.find_rivals import find_rivals, rivals_of_folder
from loss_logging.evidence.rivals import Rivals

from .digits import WORDS, captions, features, said, shown

pytestmark = pytest.mark.xdist_group("rivals")  # those of the digits are found once

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


def walls(count: int) -> tuple[list[str], list[Any]]:
    """Captions and pictures of walls in one of three colours."""
    names = [list(COLOURS)[i % 3] for i in range(count)]
    return [f"a {name} wall" for name in names], [np.full((8, 8, 3), COLOURS[name], float) for name in names]


def found(texts: list[str], pictures: Any, **options: Any) -> Rivals:
    return find_rivals(texts, pictures, paths=range(len(texts)), progress=False, **options)


@pytest.fixture(scope="module")
def rivals() -> Rivals:
    """Three of each digit's caption, of which a tenth is wrong."""
    texts = captions(said(0.1)[0])
    return find_rivals(texts, paths=range(len(texts)), features=features(), most=3, progress=False)


def test_the_rival_of_a_wrong_caption_is_right(rivals: Rivals) -> None:
    """Of the digits, the rival of a wrong caption names the digit nearly always, that of a right one another digit."""
    digits, wrong = said(0.1)
    texts = captions(digits)
    named = [WORDS[shown()[i]] in rivals.of(i)[0] for i in range(len(texts))]
    assert np.mean(np.array(named)[wrong]) > 0.9
    assert all(len(rivals.of(i)) == 3 and texts[i] not in rivals.of(i) for i in range(len(texts)))


def test_no_rivals_where_nothing_can_be_told() -> None:
    """One item, one caption for all, captions that share no word, no pictures: the reason is said and none is named."""
    texts, pictures = walls(60)
    cases: dict[str, tuple[list[Any], Any]] = {
        "1 captioned pictures are too few": (texts[:1], pictures[:1]),
        "no word stands in two captions": (["a wall"] * 60, pictures),
        "no word stands in two captions or more": ([f"w{i}" for i in range(60)], pictures),
        "0 captioned pictures are too few": ([None, ""] * 30, pictures),
        "all pictures look the same": (texts, [pictures[0]] * 60),
        "none of 60 pictures opens": (texts, [None] * 60),
    }
    for reason, (given, shown_) in cases.items():
        rivals = found(given, shown_)
        assert len(rivals) == 0, reason
        assert rivals.reason.startswith(reason), rivals.reason
        assert rivals.of(0) == ()


def test_two_classes_are_rivals_of_each_other() -> None:
    """With two captions there is one other, and a second rival is not made up."""
    texts, pictures = walls(60)
    texts = [text.replace("blue", "red") for text in texts]
    pictures = [pictures[0] if i % 3 == 2 else picture for i, picture in enumerate(pictures)]
    rivals = found(texts, pictures, most=5)
    assert {(texts[i], rivals.of(i)) for i in range(60)} == {
        ("a red wall", ("a green wall",)),
        ("a green wall", ("a red wall",)),
    }


def test_captions_that_are_file_names() -> None:
    """Names of files are words too, whatever stands between them."""
    texts, pictures = walls(60)
    names = [f"IMG_{i:03}-{text.split()[1]}_wall.png" for i, text in enumerate(texts)]
    names[0] = names[1].replace("001", "000")  # the red wall is called green
    assert "red" in found(names, pictures).of(0)[0]


def test_captions_of_one_picture_are_no_rivals_of_each_other() -> None:
    """Where a picture has several captions, right in other words, its rival is another picture's."""
    texts, pictures = walls(60)
    several = [*texts, *(text.replace("wall", "surface, painted") for text in texts)]
    rivals = find_rivals(several, pictures * 2, paths=[*range(60)] * 2, progress=False)
    assert len(rivals) == 60
    for i in range(60):
        assert rivals.of(i)[0] not in (several[i], several[i + 60])


def test_blank_captions_and_missing_pictures_are_left_out() -> None:
    """They have no rival, and are none; the others have theirs."""
    texts, pictures = walls(60)
    rivals = found(["", *texts[1:]], [*pictures[:5], None, *pictures[6:]], most=9)
    assert (rivals.of(0), rivals.of(5)) == ((), ())
    assert len(rivals) == 58
    assert all("" not in rivals.of(i) for i in range(60))


def test_arguments_that_do_not_fit() -> None:
    """Errors name the argument, its value and what is allowed."""
    texts, pictures = walls(60)
    with pytest.raises(ConfigError, match=r"captions has 59 elements; allowed: 60, one for each path"):
        find_rivals(texts[:59], pictures, paths=range(60))
    with pytest.raises(ConfigError, match=r"most is 0; allowed: 1 or more"):
        found(texts, pictures, most=0)
    with pytest.raises(ConfigError, match=r"features has the shape \(3, 2\); allowed: \(60, D\)"):
        found(texts, None, features=np.zeros((3, 2)))


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images with captions beside them: by their absolute path, and by the relative one that a trainer may have."""
    texts, pictures = walls(30)
    texts[0] = "a green wall"
    for i, (text, picture) in enumerate(zip(texts, pictures, strict=True)):
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(text)
    rivals = rivals_of_folder(tmp_path, progress=False)
    monkeypatch.chdir(tmp_path)
    assert rivals.of(tmp_path / "0.png") == rivals.of("0.png", "any dataset") == ("a red wall",)


def test_what_pictures_say_of_the_own_captions_goes_with_the_rivals(rivals: Rivals, tmp_path: Path) -> None:
    """Of digits, a tenth of them wrong: the wrong ones have the highest chances, in the file as well. Of a set too
    small to calibrate a chance the file says why there is none."""
    wrong = said(0.1)[1]
    rivals.save(tmp_path / "rivals")
    seen = Rivals.load(tmp_path / "rivals").seen
    assert seen.captions.equals(rivals.seen.captions)
    assert seen.share == rivals.seen.share == pytest.approx(0.1, abs=0.04)
    chance = dict(zip(seen.captions["path"].to_pylist(), seen.captions["ratio"].to_pylist(), strict=True))
    worst = sorted(range(len(wrong)), key=lambda item: -chance[str(item)])[:100]
    assert wrong[worst].mean() > 0.9
    few = found(*walls(60))
    few.save(tmp_path / "few")
    assert "60 captions; it takes 100" in Rivals.load(tmp_path / "few").seen.reason


def test_saved_and_loaded(tmp_path: Path) -> None:
    """What is saved comes back; another file is refused by name."""
    rivals = Rivals({("d", "1.png"): ("a dog", "a bird"), ("e", "1.png"): ("a cow",)})
    rivals.save(tmp_path / "rivals")
    again = Rivals.load(tmp_path / "rivals")
    assert (again.of("1.png", "d"), again.of("1.png", "e"), len(again)) == (("a dog", "a bird"), ("a cow",), 2)
    assert (len(again.seen.captions), again.seen.reason) == (0, "")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    (tmp_path / "text").write_text("no table")
    for name in ("other", "text"):
        with pytest.raises(LossLoggingError, match=f"{name} holds no rivals"):
            Rivals.load(tmp_path / name)
