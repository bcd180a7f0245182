"""Makes musubi-tuner's caches of a folder of pictures, and starts musubi_tiny.py with the launcher or without it.

python musubi.py CHECKOUT OUT plain|logged IMAGES [options of wan_train_network.py]
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import zlib
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("musubi_tiny.py")
GENERAL = """
[general]
resolution = [128, 128]
caption_extension = ".txt"
batch_size = 2
enable_bucket = true
"""


def encoding_of(caption: str) -> Any:
    """(words and an end, 16), as a text encoder would give."""
    import torch

    words = [*caption.split(), "</s>"]
    return torch.stack([torch.sin(torch.arange(16.0) * (1 + zlib.crc32(word.encode()) % 97)) for word in words])


def cache(out: Path, images: Path) -> Path:
    """The dataset's configuration, after the latents and texts of each picture were written by its own functions."""
    import torch
    from musubi_tuner.dataset import cache_io, config_utils

    folders = [folder for folder in sorted(images.iterdir()) if folder.is_dir()]
    datasets = [
        f'[[datasets]]\nimage_directory = "{folder}"\ncache_directory = "{out}/cache_{folder.name}"\n'
        for folder in folders
    ]
    config = out / "dataset.toml"
    config.write_text(GENERAL + "".join(datasets), encoding="utf-8")
    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    blueprint = generator.generate(config_utils.load_user_config(str(config)), argparse.Namespace(), architecture="wan")
    group = config_utils.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for dataset in group.datasets:
        for _, items in dataset.retrieve_latent_cache_batches(1):
            for item in items:
                height, width = item.content.shape[:2]
                value = float(item.content.mean()) / 127.5 - 1
                latent = torch.full((16, 1, height // 8, width // 8), value)
                cache_io.save_latent_cache_wan(item, latent, None, None, None)
        for items in dataset.retrieve_text_encoder_output_cache_batches(1):
            for item in items:
                cache_io.save_text_encoder_output_cache_wan(item, encoding_of(item.caption))
    return config


def main() -> None:
    """In this process."""
    checkout, out, mode, images, *options = sys.argv[1:]
    os.environ |= {"REAL_CHECKOUT": checkout, "REAL_FOUND": f"{out}/found.json"}
    sys.path.insert(0, str(Path(checkout) / "src"))
    given = {"dataset_config": cache(Path(out), Path(images)), "task": "t2v-1.3B", "dit": "tiny", "t5": "t5", "seed": 1}
    given |= {"output_dir": f"{out}/run", "output_name": "lora", "max_train_steps": 6, "save_every_n_steps": 3}
    given |= {"network_module": "networks.lora_wan", "network_dim": 2, "learning_rate": 1e-2}
    given |= {
        "mixed_precision": "no",
        "max_data_loader_n_workers": 0,
        "timestep_sampling": "shift",
        "optimizer_type": "AdamW",
    }
    sys.path.insert(0, str(Path(checkout) / "src" / "musubi_tuner"))
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    arguments += ["--sdpa", *options]
    if mode == "logged":
        from loss_logging.integrations.trainers import kohya

        config = Path(out) / "losses.toml"
        config.write_text("[loss_logging]\npaired_fraction = 0.7\ntimeouts = {close = 300}\n", encoding="utf-8")
        kohya.main([str(SCRIPT), *arguments, "--loss_logging_config", str(config)])
    else:
        sys.argv = [str(SCRIPT), *arguments]
        runpy.run_path(str(SCRIPT), run_name="__main__")


if __name__ == "__main__":
    main()
