from __future__ import annotations

from types import SimpleNamespace

from loss_logging.integrations.trainers import kohya_items


def test_a_subset_of_no_group_has_its_folders_name() -> None:
    """A dataset of the user's own, which is in no group, is not one of unknown datasets."""
    subset = SimpleNamespace(image_dir="/data/10_cats", metadata_file=None)
    dataset = SimpleNamespace(width=512, height=512)
    assert kohya_items._sd_name(dataset, subset) == "10_cats"
