from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.cli.demo.data import load_samples, write_samples
from loss_logging.cli.demo.evaluation import load, save
from loss_logging.cli.demo.model import CaptionedFlow, flow_matching_loss
from loss_logging.errors import ConfigError
from loss_logging.evaluation.draw import Draw
from loss_logging.evaluation.image_batches import ImageBatches


def test_files_give_the_losses_of_what_was_trained(tmp_path: Path) -> None:
    """The model that was saved, on the images and captions that were written, at the same noise: but for rounding."""
    samples = load_samples(tmp_path, seed=0)[60:70]
    write_samples(samples)
    model = CaptionedFlow().eval()
    save(model, tmp_path / "model")
    compute = load(str(tmp_path / "model"), paired=True, device=None)
    files = [file for file in read_captioned_folder(tmp_path) if file.caption is not None]
    (batch,) = ImageBatches(files, tmp_path, compute.resolution, 10)
    draw = Draw(seed=0, index=0, count=1)
    records = {record.path: record for record in compute(batch, draw)}
    assert len(records) == 10
    for sample in samples:
        path = str(Path(sample.path).relative_to(tmp_path))
        image = torch.from_numpy(sample.image).reshape(1, 64)
        given = draw.noise((64,), [path]), draw.timesteps([path])
        for caption, found in ((sample.caption, records[path].loss), ("", records[path].loss_empty)):
            expected = flow_matching_loss(model, image, *given, [caption]).mean()
            assert found == pytest.approx(expected.item(), abs=0.02), path


def test_without_pairs_there_is_one_loss(tmp_path: Path) -> None:
    """As the configuration asks for."""
    save(CaptionedFlow(), tmp_path)
    batch = {"paths": ["1"], "datasets": ["d"], "captions": ["a"], "pixel_values": torch.zeros(1, 3, 64, 64)}
    (record,) = load(str(tmp_path), paired=False)(batch, Draw(seed=0, index=0, count=1))
    assert record.loss_empty is None


def test_a_folder_without_its_model_is_named(tmp_path: Path) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError, match=r"holds no model\.pt; allowed: the folder that loss-logging demo wrote"):
        load(str(tmp_path), paired=True)
