from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from loss_logging.integrations.trainers import kohya_items


def test_a_subset_of_no_group_has_its_folders_name() -> None:
    """A dataset of the user's own, which is in no group, is not one of unknown datasets."""
    subset = SimpleNamespace(image_dir="/data/10_cats", metadata_file=None)
    dataset = SimpleNamespace(width=512, height=512)
    assert kohya_items._sd_name(dataset, subset) == "10_cats"


def test_a_list_of_images_is_a_dataset_by_its_own_name() -> None:
    """A metadata_file has no folder; of two lists in folders that are called alike, both parts are named."""
    subsets = [SimpleNamespace(image_dir=None, metadata_file=f"/data/{name}/meta.json") for name in ("a", "b")]
    dataset = SimpleNamespace(width=512, height=512, subsets=subsets)
    sources = [source for _, source in kohya_items.sd_subsets(SimpleNamespace, dataset)]
    assert kohya_items.names_of(sources) == ["a/meta", "b/meta"]


def test_windows_of_a_video_are_of_its_file() -> None:
    """As musubi-tuner caches them: a file for each window, by the name of the video; the caption is the video's."""
    videos = ["/data/a cat_1.mp4", "/data/b.mp4"]
    source = SimpleNamespace(video_paths=videos, get_caption=lambda i: (videos[i], f"caption {i}"))
    items = [SimpleNamespace(item_key=key) for key in ("a cat_1", "a cat_1", "b", "gone")]
    manager = SimpleNamespace(bucket_batch_indices=[((64, 64, 9), 0)], buckets={(64, 64, 9): items}, batch_size=4)
    dataset: Any = SimpleNamespace(batch_manager=manager, datasource=source)
    found = kohya_items._musubi_names(dataset, 0, {})
    assert found["paths"] == [videos[0], videos[0], videos[1], "gone"]
    assert found["captions"] == ["caption 0", "caption 0", "caption 1", ""]
