"""Features of pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evidence.features import as_features, picture_features


def shape(left: int = 20, top: int = 20) -> Image.Image:
    """A red bar and a black one on white, 64 x 64."""
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste((200, 0, 0), (left, top, left + 24, top + 8))
    picture.paste((0, 0, 0), (left, top + 8, left + 8, top + 28))
    return picture


def distance(one: object, other: object) -> float:
    """Between the features of two pictures."""
    rows = picture_features([one, other], progress=False).features
    return float(np.linalg.norm(rows[0] - rows[1]))


def test_a_shifted_or_mirrored_picture_is_nearer_than_another() -> None:
    """Small moves and mirroring change the features less than other content does."""
    other = Image.effect_noise((64, 64), 80)
    turned = shape().rotate(90)
    for alike in (shape(22, 19), shape().transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        assert distance(shape(), alike) < distance(shape(), other) / 2
        assert distance(shape(), alike) < distance(shape(), turned)


def test_one_picture_in_every_form_has_the_same_features(tmp_path: Path) -> None:
    """A file, its bytes, a PIL image, and arrays of 8 and 16 bits and of floats."""
    grey = shape().convert("L")
    grey.save(tmp_path / "a.png")
    array = np.asarray(grey)
    deep = Image.fromarray(array.astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), grey, array, deep]
    forms += [
        array / 255.0,
        array[..., None],
        array.astype(np.uint16) * 257,
        tmp_path / "deep.png",
        grey.convert("RGB"),
    ]
    rows = picture_features(forms, progress=False).features
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-3)


def test_what_is_transparent_is_white_and_not_what_lies_beneath(tmp_path: Path) -> None:
    """Two pictures that look the same have the same features, whatever their transparent pixels hold."""
    white = Image.new("RGB", (16, 16), "white")
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([0, 0, 0] * 256)
    palette.save(tmp_path / "palette.png", transparency=0)
    for clear in (np.zeros((16, 16, 4), np.uint8), Image.new("LA", (16, 16), (0, 0)), tmp_path / "palette.png"):
        assert distance(clear, white) < 1e-3


def test_pictures_that_do_not_open_are_left_out_and_counted(tmp_path: Path) -> None:
    """Missing, cut short, no picture, none at all: each with its reason; the others keep their places."""
    data = io.BytesIO()
    shape().save(data, "PNG")
    (tmp_path / "text.png").write_text("no picture")
    given = [
        shape(),
        tmp_path / "gone.png",
        data.getvalue()[:80],
        tmp_path / "text.png",
        None,
        np.zeros(7),
        np.ones((4, 4)),
    ]
    given.append(np.full((4, 4), np.nan))
    found = picture_features(given, progress=False)
    assert found.kept.tolist() == [0, 6]
    assert sorted(found.unread) == [1, 2, 3, 4, 5, 7]
    (sentence,) = found.about_unread()
    assert sentence.startswith("6 of 8 pictures do not open and are left out: number 1 (No such file or directory)")
    assert sentence.endswith("and 3 more")


def test_black_pictures_and_single_pixels_have_finite_features() -> None:
    """Nothing is divided by how much a picture varies."""
    found = picture_features([np.zeros((64, 64, 3), np.uint8), np.zeros((1, 1)), np.zeros((1, 500))], progress=False)
    assert np.isfinite(found.features).all()


def test_no_picture_that_opens_is_an_error() -> None:
    """It says why the first one does not."""
    with pytest.raises(LossLoggingError, match="none of 2 pictures opens; the first one: there is none"):
        picture_features([None, None], progress=False)


def test_features_of_ones_own_are_named_or_given() -> None:
    """A function, or where it is; whatever it gives is checked."""
    given = [np.zeros((8, 8)), np.ones((8, 8))]
    mean = picture_features(given, lambda batch: batch.mean((1, 2)), progress=False).features
    named = picture_features(given, "tests.evidence.test_features:brightness", progress=False).features
    assert mean.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert named.tolist() == [[0], [1]]
    with pytest.raises(ConfigError, match="features is 'clip'; allowed: pixels, 'module:function' or a function"):
        picture_features(given, "clip", progress=False)
    with pytest.raises(ConfigError, match=r"gave has the shape \(1,\); allowed: \(2, D\)"):
        picture_features(given, lambda batch: [0.0], progress=False)
    with pytest.raises(ConfigError, match=r"latents\[1\] is not finite"):
        as_features([[0.0], [np.nan]], 2, "latents")


def brightness(batch: np.ndarray) -> np.ndarray:
    """A function of the user's."""
    return batch.mean((1, 2, 3))
