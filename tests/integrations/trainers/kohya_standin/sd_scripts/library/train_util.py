"""Stand-in for sd-scripts' library.train_util: names, shapes and order of calls, on latents made from names."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, get_worker_info


class BucketBatchIndex(NamedTuple):
    """Where a batch is."""

    bucket_index: int
    bucket_batch_size: int
    batch_index: int


class TokenizeStrategy:
    """Characters as token ids."""

    _strategy: TokenizeStrategy | None = None

    @classmethod
    def get_strategy(cls) -> TokenizeStrategy | None:
        """The one of this process."""
        return cls._strategy

    def tokenize(self, text: str | list[str]) -> list[torch.Tensor]:
        """(B, 24) for each text encoder, of which there is one."""
        texts = [text] if isinstance(text, str) else text
        return [torch.tensor([[ord(letter) % 128 for letter in one[:24].ljust(24)] for one in texts])]


class TextEncodingStrategy:
    """Calls the text encoder."""

    _strategy: TextEncodingStrategy | None = None

    @classmethod
    def get_strategy(cls) -> TextEncodingStrategy | None:
        """The one of this process."""
        return cls._strategy

    def encode_tokens(self, tokenize_strategy: Any, models: list[Any], tokens: list[torch.Tensor]) -> list[Any]:
        """(B, 4)."""
        return [models[0](tokens[0]).mean(1)]


class TextEncoderOutputsCachingStrategy:
    """Keeps what the text encoder gives, in memory or on disk."""

    _strategy: TextEncoderOutputsCachingStrategy | None = None

    def __init__(self, cache_to_disk: bool) -> None:
        self._cache_to_disk = cache_to_disk

    @classmethod
    def get_strategy(cls) -> TextEncoderOutputsCachingStrategy | None:
        """The one of this process; None without a cache."""
        return cls._strategy

    def cache_batch_outputs(
        self, tokenize_strategy: Any, models: list[Any], text_encoding_strategy: Any, batch: list[Any]
    ) -> None:
        """As arrays."""
        with torch.no_grad():
            tokens = tokenize_strategy.tokenize([info.caption for info in batch])
            (outputs,) = text_encoding_strategy.encode_tokens(tokenize_strategy, models, tokens)
        for info, output in zip(batch, outputs, strict=True):
            if self._cache_to_disk:
                np.savez(info.text_encoder_outputs_npz, output=output.numpy())
            else:
                info.text_encoder_outputs = [output.numpy()]


class ImageInfo:
    """An image."""

    def __init__(
        self,
        image_key: str,
        num_repeats: int,
        caption: str,
        is_reg: bool,
        absolute_path: str,
        caption_dropout_rate: float = 0.0,
    ) -> None:
        self.image_key, self.caption, self.is_reg, self.absolute_path = image_key, caption, is_reg, absolute_path
        self.text_encoder_outputs: list[Any] | None = None
        self.text_encoder_outputs_npz = f"{absolute_path}.npz"


class BaseDataset(Dataset[Any]):
    """An item is a batch; buckets are shuffled at every new epoch."""

    def __init__(self, subsets: list[SimpleNamespace], batch_size: int, prior_loss_weight: float) -> None:
        self.subsets = subsets
        self.width = self.height = 64
        self.prior_loss_weight = prior_loss_weight
        self.caching_mode: str | None = None
        self.current_epoch = 0
        self.image_data: dict[str, ImageInfo] = {}
        self.image_to_subset: dict[str, SimpleNamespace] = {}
        self.num_train_images = 0
        for subset in subsets:
            self._load(subset)
        self.make_buckets(batch_size)

    def _load(self, subset: SimpleNamespace) -> None:
        """List the images of a folder."""
        paths = glob_images(subset.image_dir, "*")
        for path in paths:
            caption = Path(path).with_suffix(".txt").read_text()
            info = ImageInfo(path, 1, caption, subset.is_reg, path)
            self.register_image(info, subset)
        subset.img_count = len(paths)
        self.num_train_images += len(paths) * subset.num_repeats

    def register_image(self, info: Any, subset: Any) -> None:
        """Take an image."""
        self.image_data[info.image_key] = info
        self.image_to_subset[info.image_key] = subset

    def make_buckets(self, batch_size: int) -> None:
        """When all images are there."""
        self.bucket_manager = SimpleNamespace(buckets=[[], []])
        for i, key in enumerate(self.image_data):
            self.bucket_manager.buckets[i % 2].append(key)
        self.buckets_indices = [
            BucketBatchIndex(b, batch_size, i)
            for b, bucket in enumerate(self.bucket_manager.buckets)
            for i in range(-(-len(bucket) // batch_size))
        ]

    def set_current_epoch(self, epoch: int) -> None:
        """Shuffle when it is another one."""
        if epoch != self.current_epoch:
            self.current_epoch = epoch
            random.seed(epoch)
            for bucket in self.bucket_manager.buckets:
                random.shuffle(bucket)
            random.shuffle(self.buckets_indices)

    def set_current_step(self, step: int) -> None:
        """Nothing here depends on it."""

    def __len__(self) -> int:
        return len(self.buckets_indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = self.buckets_indices[index]
        start = place.batch_index * place.bucket_batch_size
        keys = self.bucket_manager.buckets[place.bucket_index][start : start + place.bucket_batch_size]
        images = [self.image_data[key] for key in keys]
        drop = [random.random() < self.image_to_subset[key].caption_dropout_rate for key in keys]
        masks = [self.image_to_subset[key].alpha_mask for key in keys]
        is_cached = TextEncoderOutputsCachingStrategy.get_strategy() is not None
        captions = [
            "" if dropped and not is_cached else image.caption for dropped, image in zip(drop, images, strict=True)
        ]
        return {
            "loss_weights": torch.tensor([self.prior_loss_weight if image.is_reg else 1.0 for image in images]),
            "captions": captions,
            "input_ids_list": None if is_cached else TokenizeStrategy().tokenize(captions),
            "text_encoder_outputs_list": [torch.stack([_outputs(i) for i in images])] if is_cached else None,
            "latents": torch.stack([_latents(Path(key).name) for key in keys]),
            "alpha_masks": torch.stack([_mask(Path(key).name) for key in keys]) if any(masks) else None,
            "flippeds": [False] * len(keys),
        }


class DreamBoothDataset(BaseDataset):
    """What sd-scripts makes of folders."""


class FineTuningDataset(BaseDataset):
    """What sd-scripts makes of a list of images and captions in JSON."""

    def _load(self, subset: SimpleNamespace) -> None:
        metadata = json.loads(Path(subset.metadata_file).read_text())
        for key, entry in metadata.items():
            path = str(Path(subset.image_dir, key))
            info = SimpleNamespace(image_key=key, absolute_path=path, caption=entry["caption"], is_reg=False)
            self.register_image(info, subset)
        subset.img_count = len(metadata)
        self.num_train_images += len(metadata) * subset.num_repeats


class ControlNetDataset(BaseDataset):
    """What sd-scripts makes of folders with masks beside them: the images are those of a dataset inside of it."""

    def __init__(self, subsets: list[SimpleNamespace], batch_size: int, prior_loss_weight: float) -> None:
        super().__init__([], batch_size, prior_loss_weight)
        self.subsets = subsets
        inside = [SimpleNamespace(**vars(subset)) for subset in subsets]
        for subset in inside:
            del subset.conditioning_data_dir
        self.dreambooth_dataset_delegate = DreamBoothDataset(inside, batch_size, prior_loss_weight)
        self.image_data = self.dreambooth_dataset_delegate.image_data
        self.bucket_manager = self.dreambooth_dataset_delegate.bucket_manager
        self.buckets_indices = self.dreambooth_dataset_delegate.buckets_indices

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.dreambooth_dataset_delegate[index]
        place = self.buckets_indices[index]
        start = place.batch_index * place.bucket_batch_size
        keys = self.bucket_manager.buckets[place.bucket_index][start : start + place.bucket_batch_size]
        example["conditioning_images"] = torch.stack([_mask(Path(key).name) for key in keys])
        return example


class DatasetGroup(ConcatDataset[Any]):
    """All datasets."""

    def __init__(self, datasets: list[BaseDataset]) -> None:
        super().__init__(datasets)

    def new_cache_text_encoder_outputs(self, models: list[Any], accelerator: Any) -> None:
        """Of each image."""
        strategy = TextEncoderOutputsCachingStrategy.get_strategy()
        assert strategy is not None
        for dataset in self.datasets:
            infos = list(dataset.image_data.values())
            strategy.cache_batch_outputs(
                TokenizeStrategy.get_strategy(), models, TextEncodingStrategy.get_strategy(), infos
            )

    def set_current_epoch(self, epoch: int) -> None:
        """Of each."""
        for dataset in self.datasets:
            dataset.set_current_epoch(epoch)

    def set_current_step(self, step: int) -> None:
        """Of each."""
        for dataset in self.datasets:
            dataset.set_current_step(step)


class collator_class:  # noqa: N801
    """Takes the one batch, and tells the dataset the epoch."""

    def __init__(self, epoch: Any, step: Any, dataset: Any) -> None:
        self.current_epoch = epoch
        self.current_step = step
        self.dataset = dataset

    def __call__(self, examples: list[Any]) -> Any:
        worker = get_worker_info()
        dataset = self.dataset if worker is None else worker.dataset
        dataset.set_current_epoch(self.current_epoch.value)
        dataset.set_current_step(self.current_step.value)
        return examples[0]


def glob_images(directory: Any, base: str = "*") -> list[str]:
    """The images in a folder, or those with a name."""
    return sorted(map(str, Path(directory).glob(f"{base}.png")))


def conditional_loss(
    model_pred: torch.Tensor, target: torch.Tensor, loss_type: str, reduction: str, huber_c: Any = None
) -> torch.Tensor:
    """The squared error."""
    return torch.nn.functional.mse_loss(model_pred, target, reduction=reduction)


def _outputs(info: ImageInfo) -> torch.Tensor:
    output = info.text_encoder_outputs
    return torch.FloatTensor(np.load(info.text_encoder_outputs_npz)["output"] if output is None else output[0])


def _latents(name: str) -> torch.Tensor:
    return torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def _mask(name: str) -> torch.Tensor:
    return (torch.rand(16, 16, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()))) > 0.5).float()
