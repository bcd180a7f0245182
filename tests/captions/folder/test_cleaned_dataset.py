from __future__ import annotations

from loss_logging.captions.folder.cleaned_dataset import CleanedDataset, CleanedImage
from loss_logging.captions.folder.cleaned_shards import CleanedShard, Correction


def test_images_in_files_and_in_tars_count_alike() -> None:
    """How many stay, and which captions are new, is told over both; an emptied caption is a correction, too."""
    images = [CleanedImage("1.png", "1.png", "a dog", "a dgo"), CleanedImage("2.png", "2.png", "a cat")]
    images.append(CleanedImage("3.png", "3.png", None, "nan"))
    shard = CleanedShard("0.tar", "0.tar", 5, corrections=(Correction("0.tar/7.png", "x", "a fox"),))
    dataset = CleanedDataset(images=images, shards=[shard])
    assert dataset.kept == 8
    assert [(one.path, one.before, one.caption) for one in dataset.corrected] == [
        ("1.png", "a dgo", "a dog"),
        ("3.png", "nan", ""),
        ("0.tar/7.png", "x", "a fox"),
    ]
