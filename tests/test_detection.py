"""benchmarks.detection: what it plants, trains and counts is what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.detection import rankings
from benchmarks.detection.__main__ import HARD, OFFLINE, PAIRED, Found, Setting, rank
from benchmarks.detection.data import Captions, load_digits
from benchmarks.detection.training import denoising_loss, evaluation, train
from loss_logging import LossLogger, TrainConfig, evaluate_dataset
from loss_logging.cli.demo.data import WORDS
from loss_logging.cli.demo.model import CaptionedFlow
from loss_logging.evaluation.evaluate import Draw

datasets = pytest.importorskip("sklearn.datasets")


@pytest.mark.parametrize("captions", ["digit", "one word", "unique"])
def test_a_tenth_of_the_captions_names_another_digit_or_word(captions: Captions) -> None:
    """Wrong captions differ from what the image shows in one word; the others agree with it."""
    digits = load_digits(captions, noisy=True, seed=1)
    target = datasets.load_digits().target
    assert digits.wrong.sum() == digits.noisy.sum() == 179
    assert not (digits.wrong & digits.noisy).any()
    assert ((digits.word != "") == digits.wrong).all()
    assert ((digits.labels != target) == (digits.word == "digit")).all()
    for caption, label in zip(digits.captions, digits.labels, strict=True):
        assert WORDS[label] in caption or str(label) in caption


def test_wrong_strokes_and_places_are_one_word_apart_from_the_right_ones() -> None:
    """Other faults are planted with another seed, so that each caption can be read beside its right form."""
    one, other = (load_digits("one word", noisy=False, seed=seed) for seed in (1, 2))
    both_right = ~one.wrong & ~other.wrong
    assert all(a == b for a, b, right in zip(one.captions, other.captions, both_right, strict=True) if right)
    for item in np.flatnonzero(one.wrong & ~other.wrong):
        pairs = zip(one.captions[item].split(), other.captions[item].split(), strict=True)
        assert sum(a != b for a, b in pairs) == 1


def test_noise_is_planted_where_it_is_said_and_nowhere_else() -> None:
    """Only images that are marked as noisy change, and all stay in [-1, 1]."""
    noisy, clean = (load_digits("digit", noisy=flag, seed=1, items=200) for flag in (True, False))
    changed = (noisy.images != clean.images).any(1).numpy()
    assert (changed == noisy.noisy).all()
    assert not clean.noisy.any()
    assert noisy.images.abs().max() <= 1


def test_unique_captions_are_nearly_unique() -> None:
    """So that a model can learn an image by its caption."""
    captions = load_digits("unique", noisy=False, seed=0).captions
    assert len(set(captions)) > 0.95 * len(captions)


def test_precision_and_auroc_put_undecided_items_in_the_middle() -> None:
    """NaN ranks below what is above the median and above what is below it."""
    planted = np.arange(20) < 2
    perfect = -np.arange(20.0)
    assert rankings.precision(perfect, planted) == rankings.auroc(perfect, planted) == 1
    assert rankings.auroc(-perfect, planted) == 0
    assert rankings.auroc(np.full(20, np.nan), planted) == 0.5
    assert rankings.auroc(np.array([np.nan, 3.0, 2.0, 1.0]), np.array([True, False, False, False])) == 0.5
    assert rankings.precision(np.where(perfect == 0, np.nan, perfect), planted) == 0.5


def test_small_loss_selection_counts_the_highest_tenth_of_each_batch(tmp_path: Path) -> None:
    """The item with the highest loss of each batch is passed over each time; the others never."""
    digits = load_digits("digit", noisy=False, seed=0, items=20)
    config = TrainConfig(job_name="tiny", save_root=tmp_path, loggers=[], reporter="inline")
    with LossLogger(config) as losses:
        for step in (1, 2):
            for half in (digits.paths[:10], digits.paths[10:]):
                values = [float(path in ("0003.png", f"001{step}.png")) for path in half]
                losses.log_batch(2 * step + (half[0] > "0009"), values, paths=half, datasets="digits", captions=half)
        losses.save_step(5).result()
    expected = {3: 1.0, 11: 0.5, 12: 0.5}
    assert rankings.small_loss(config, digits).tolist() == [expected.get(item, 0.0) for item in range(20)]


class Exact(CaptionedFlow):
    """Knows the images, and the noise from what it is given: what the objective asks for, to the digit."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, captions: object) -> torch.Tensor:
        return self.answer


def test_the_losses_are_those_of_the_named_objectives() -> None:
    """A model that answers the velocity, or the noise, has no loss; one that is 1 off has a loss of 1 each."""
    images, noise, timesteps = torch.rand(3, 64), torch.randn(3, 64), torch.rand(3)
    for objective, answer in (("flow", noise - images), ("epsilon", noise)):
        for off in (0.0, 1.0):
            loss = denoising_loss(Exact(answer + off), objective, images, noise, timesteps, ["a"] * 3)  # type: ignore[arg-type]
            torch.testing.assert_close(loss, torch.full((3,), off**2))


def test_evaluation_gives_both_captions_the_same_noise() -> None:
    """With an empty caption there is no difference to find."""
    digits = load_digits("digit", noisy=False, seed=0, items=20)
    digits.captions[3] = ""
    compute = evaluation(CaptionedFlow(), "flow", digits)
    records = compute({"paths": digits.paths}, Draw(seed=0, index=0, count=1))
    assert [record.path for record in records if record.loss == record.loss_empty] == ["0003.png"]


def test_rankings_of_a_short_run_cover_every_item_and_find_more_than_chance() -> None:
    """All rankings come from real training; already after a few epochs the paired ones beat a coin."""
    setting = Setting("flow", "digit", noisy=True, epochs=(15,))
    digits = load_digits("digit", noisy=True, seed=0, items=300)
    found = Found()
    for epoch, (scores, warned) in rank(setting, digits, seed=0, epochs=setting.epochs):
        assert {HARD, *PAIRED.values(), *OFFLINE.values()} < set(scores)
        assert all(values.shape == (300,) for values in scores.values())
        found.add(setting, digits, epoch, (scores, warned))
    rows = {(row["ranking"], row["finds"]): row for row in found.rows()}
    assert float(rows[OFFLINE[16], "wrong captions"]["AUROC, 15 epochs"]) > 0.6
    assert float(rows[PAIRED[1.0], "wrong captions"]["AUROC, 15 epochs"]) > 0.6
    assert float(rows[HARD, "noisy images"]["AUROC, 15 epochs"]) > 0.9


def test_a_model_that_has_learnt_its_images_by_heart_is_warned_about() -> None:
    """Where captions that tell images apart help nearly all of 100 items or more by over a quarter; not before, nor
    while some hurt, nor where many items share a caption."""

    def warnings(items: int, hurt: int, gain: float, captions: int = 200) -> list[str]:
        def compute(batch: dict[str, list[str]], draw: Draw) -> list[dict[str, object]]:
            return [
                {
                    "path": path,
                    "dataset": "d",
                    "caption": f"cat {int(path) % captions}",
                    "loss": (1.1 if int(path) < hurt else 1 - gain) + 0.001 * (draw.index - 1.5),
                }
                | {"loss_empty": 1.0}
                for path in batch["paths"]
            ]

        batches = [{"paths": [str(item) for item in range(items)]}]
        return evaluate_dataset(compute, batches, draws=4, paired=True, progress=False).warnings

    (sentence,) = warnings(200, hurt=3, gain=0.3)
    assert "all but 3 of 200 items, by a median of 30%" in sentence
    assert warnings(200, hurt=3, gain=0.3, captions=3) == [], "nobody tells 200 images by three captions"
    assert warnings(200, hurt=4, gain=0.3) == warnings(200, hurt=3, gain=0.2) == warnings(99, hurt=0, gain=0.3) == []


@pytest.mark.long
def test_memorisation_costs_the_ranking_and_brings_the_warning() -> None:
    """With nearly unique captions, 100 epochs rank well; where AUROC is below 0.9, the report says so."""
    digits = load_digits("unique", noisy=True, seed=0)
    for epoch, model in train(digits, "flow", (100, 300), [], seed=0):
        report = rankings.offline(model, "flow", digits, draws=16)
        found = rankings.auroc(rankings.figure(report, digits, "caption_mismatch"), digits.wrong)
        assert bool(report.warnings) == (epoch == 300)
        assert found > 0.95 or report.warnings
