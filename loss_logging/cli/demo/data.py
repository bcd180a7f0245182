"""Captioned digits in three datasets, with known faults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["SCALE", "Fault", "Sample", "load_samples", "write_samples"]

Fault = Literal["wrong caption", "damaged caption", "noise image"]
Image = npt.NDArray[np.float32]

SCALE = 8
"""Pixels of a file to one of the image."""
TINY, MESSY = 60, 600
WRONG, DAMAGED, NOISE = 40, 24, 20  # faults, all planted in "messy"

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPLATES = (
    "a handwritten digit {word}",
    "the number {digit} in pen",
    "{word}, written by hand on white paper",
    "a scan of the figure {digit}",
    "someone wrote the number {word}",
    "a small grey picture of a {word}",
)
DAMAGES = (
    "",
    "   ",
    "###",
    "untitled",
    "IMG_2043.jpg",
    "a photo of a photo of a photo of a photo of a photo of a photo of a photo of",
    "a handwritten digit<|endoftext|> in pen",
    "a very long story about the number " + "which somebody wrote down one rainy morning in a small town " * 40,
)


@dataclass(frozen=True)
class Sample:
    """One captioned image: ``image`` is (8, 8) float32 in [-1, 1]; ``fault`` is the kind of planted fault, if any."""

    path: str
    dataset: str
    caption: str
    image: Image
    fault: Fault | None = None


def load_samples(folder: Path, seed: int) -> list[Sample]:
    """scikit-learn's 1,797 digits as the datasets clean, messy and tiny (inverted), with paths under ``folder``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.target))
    samples = []
    for position, index in enumerate(order):
        dataset = "tiny" if position < TINY else "messy" if position < TINY + MESSY else "clean"
        image = (digits.images[index] / 8 - 1).astype(np.float32)
        caption = _caption(int(digits.target[index]), rng)
        if dataset == "tiny":
            image, caption = -image, f"{caption}, inverted"
        samples.append(Sample(str(folder / dataset / f"{index:04d}.png"), dataset, caption, image))
        if dataset == "messy":
            samples[-1] = _with_fault(samples[-1], position - TINY, int(digits.target[index]), rng)
    return samples


def _caption(digit: int, rng: np.random.Generator) -> str:
    return str(rng.choice(TEMPLATES)).format(word=WORDS[digit], digit=digit)


def _with_fault(sample: Sample, position: int, digit: int, rng: np.random.Generator) -> Sample:
    if position < WRONG:
        other = (digit + int(rng.integers(1, 10))) % 10
        return replace(sample, caption=_caption(other, rng), fault="wrong caption")
    if position < WRONG + DAMAGED:
        return replace(sample, caption=DAMAGES[position % len(DAMAGES)], fault="damaged caption")
    if position < WRONG + DAMAGED + NOISE:
        noise = rng.uniform(-1, 1, sample.image.shape).astype(np.float32)
        return replace(sample, image=noise, fault="noise image")
    return sample


def write_samples(samples: list[Sample]) -> None:
    """Write each image to its path, enlarged to 64 x 64, and its caption beside it, as trainers read them."""
    from PIL import Image as Pillow

    for folder in {Path(sample.path).parent for sample in samples}:
        folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        pixels = ((1 - sample.image) * 127.5).astype(np.uint8)  # ink is dark
        Pillow.fromarray(np.kron(pixels, np.ones((SCALE, SCALE), np.uint8))).save(sample.path)
        Path(sample.path).with_suffix(".txt").write_text(sample.caption, "utf-8")
