"""The benchmark of wrong captions: its sets, its training with rivals, its peers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.detection.online import Denoiser, train_online
from benchmarks.detection.peers import by_aum, by_cleanlab, by_neighbours
from benchmarks.detection.rankings import auroc
from benchmarks.detection.representations import LEVELS, activations, latents
from benchmarks.detection.sets import CaptionedSet, load_set
from benchmarks.detection.verdicts import _ranked
from loss_logging.evidence.features import picture_features
from loss_logging.evidence.words import caption_words


def first(data: CaptionedSet, count: int) -> CaptionedSet:
    """The first items of a set."""
    lists = {
        name: getattr(data, name)[:count]
        for name in ("pictures", "trained", "captions", "wrong", "word", "right", "labels")
    }
    return replace(data, **lists)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.3])
def test_as_many_captions_are_wrong_as_was_asked_for(share: float) -> None:
    """And none where none is wanted."""
    data = load_set("digits", share=share)
    assert data.wrong.sum() == int(share * 1797)
    assert len(data.pictures) == len(data.captions) == len(data.labels) == 1797


def test_a_wrong_word_and_the_right_one_are_known() -> None:
    """The caption holds the wrong one; with the right one in its place another seed says the same."""
    data = load_set("digits-word")
    known = [item for item in range(1797) if data.right[item]]
    assert 140 < len(known) <= data.wrong.sum()
    assert all(data.word[item] in data.captions[item].replace(",", "").split() for item in known)
    assert all(data.word[item] != data.right[item] for item in known)


def test_training_with_rivals_gives_every_kind_of_evidence() -> None:
    """Of a short run each is more than chance; the mixture of halves has as many records as either."""
    data = first(load_set("digits"), 500)
    rivals = [f"the number {digit} in pen" for digit in np.random.default_rng(0).integers(10, size=500)]
    run = train_online(data, rivals, "flow", epochs=12, seed=0)
    found = run.evidence()
    assert auroc(found["empty"].mean, data.wrong) > 0.6
    assert auroc(found["rival"].mean, data.wrong) > 0.55
    assert (found["half empty, half rival"].n == found["empty"].n).mean() > 0.3
    assert found["rival, 25% of steps"].n.max() <= 3
    assert np.isfinite(found["dropped captions"].mean).any()


def test_peers_find_more_than_chance() -> None:
    """Each is given what it can use: the digit that the caption names."""
    data = first(load_set("digits"), 700)
    features = picture_features(data.pictures, progress=False).features
    for peer in (by_cleanlab, by_neighbours, by_aum):
        assert auroc(peer(features, caption_words(data.labels)), data.wrong) > 0.85


def test_items_are_ranked_as_reports_rank_them() -> None:
    """By the chance, then by the mean of the mismatches; without any chance by these alone; undecided is NaN."""

    def ranked(*rows: tuple[float | None, float | None, float | None]) -> list[float]:
        return _ranked([SimpleNamespace(p_wrong=p, caption_mismatch=c, rival_mismatch=r) for p, c, r in rows]).tolist()  # type: ignore[misc]

    assert ranked((0.5, None, None), (0.9, -1.0, None), (0.5, 0.1, None)) == [0, 2, 1]
    mean, alone, unknown = ranked((None, 0.2, 0.4), (None, 0.1, None), (None, None, 0.3))
    assert (mean, alone) == pytest.approx((0.3, 0.1))
    assert np.isnan(unknown)
    assert np.isnan(ranked((0.5, 0.1, None), (None, 0.9, None))[1])


def test_activations_with_the_empty_caption_know_nothing_of_the_items_own() -> None:
    """With the own caption they do: such features would agree with a wrong caption."""
    data = first(load_set("digits"), 50)
    model = Denoiser(64)
    empty, own = (activations(model, data, said, seed=0) for said in ([""] * 50, data.captions))
    other = activations(model, data, data.captions[::-1], seed=0)
    assert empty.shape == own.shape == (50, len(LEVELS) * 256)
    assert not np.allclose(own, other)
    assert np.array_equal(empty, activations(model, replace(data, captions=[]), [""] * 50, seed=0))


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 16)])
def test_latents_are_four_by_four_cells(channels: int, side: int) -> None:
    """Of grey pictures of 8 x 8 and of coloured ones of 16 x 16."""
    rows = np.random.default_rng(0).random((20, channels * side * side), np.float32)
    assert latents(replace(first(load_set("digits"), 20), trained=rows), seed=0, epochs=1).shape == (20, 128)
