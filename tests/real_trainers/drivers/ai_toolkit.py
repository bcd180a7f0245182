"""A job of ai-toolkit around a tiny random Stable Diffusion, of its own type or of ours.

python ai_toolkit.py CHECKOUT OUT plain|logged IMAGES TYPE [JSON of the train section]
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LINE = "from loss_logging.integrations.trainers.ai_toolkit import AI_TOOLKIT_EXTENSIONS\n"


def job(out: Path, images: Path, kind: str, train: dict[str, Any], *, logged: bool) -> dict[str, Any]:
    """Its configuration."""
    folders = [str(folder) for folder in sorted(images.iterdir()) if folder.is_dir()]
    process: dict[str, Any] = {
        "type": f"loss_logging_{kind}" if logged else kind,
        "training_folder": str(out / "run"),
        "device": "cpu",
        "network": {"type": "lora", "linear": 2, "linear_alpha": 2},
        "save": {"dtype": "float32", "save_every": 3, "max_step_saves_to_keep": 9},
        "datasets": [{"folder_path": folder, "caption_ext": "txt", "resolution": [128]} for folder in folders],
        "train": {
            "batch_size": 2, "steps": 6, "gradient_checkpointing": False, "noise_scheduler": "ddpm",
            "optimizer": "adamw", "lr": 1e-3, "dtype": "float32", "train_unet": True, "train_text_encoder": False,
            "disable_sampling": True, **train,
        },
        "model": {"name_or_path": str(out / "model"), "dtype": "float32"},
        "sample": {"prompts": []},
    }  # fmt: skip
    if logged:
        process["loss_logging"] = {"paired_fraction": 0.5}
    return {"job": "extension", "config": {"name": "tiny", "process": [process]}}


@contextlib.contextmanager
def installed(extension: Path) -> Iterator[None]:
    """Our extension, in the checkout as long as the job runs; one that the user has put there stays."""
    if extension.exists():
        yield
        return
    extension.mkdir()
    (extension / "__init__.py").write_text(LINE)
    try:
        yield
    finally:
        shutil.rmtree(extension)


def main() -> None:
    """Train, and write what the trainer's own loss was given and returned."""
    checkout, given, mode, images, kind, *train = sys.argv[1:]
    out = Path(given)
    sys.path[:0] = [checkout, str(ROOT / "tests" / "integrations" / "trainers"), str(Path(__file__).parent)]
    import numpy as np
    import tiny_pipelines
    import torch
    from diffusers_script import clip_tokenizer

    tiny_pipelines.stable_diffusion(tiny_pipelines.ddpm()).save_pretrained(out / "model")
    clip_tokenizer(out / "model" / "tokenizer")
    from extensions_built_in.sd_trainer.SDTrainer import SDTrainer
    from toolkit.job import get_job

    found: list[Any] = []
    calculate_loss = SDTrainer.calculate_loss

    @functools.wraps(calculate_loss)
    def seen(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = calculate_loss(self, *args, **kwargs)
        if not loss.requires_grad:  # the loss with the empty caption
            return loss
        batch = kwargs["batch"] if "batch" in kwargs else args[4]
        pixels = batch.tensor.float().mean((1, 2, 3)).tolist() if batch.tensor is not None else None
        found.append({"loss": loss.item(), "pixels": pixels})
        return loss

    SDTrainer.calculate_loss = seen
    random.seed(0)  # by which ai-toolkit shuffles
    np.random.seed(0)
    torch.manual_seed(0)
    config = job(out, Path(images), kind, json.loads(train[0]) if train else {}, logged=mode == "logged")
    (out / "job.json").write_text(json.dumps(config))
    with installed(Path(checkout) / "extensions" / "loss_logging"):
        running = get_job(str(out / "job.json"))
        running.run()
        running.cleanup()
    (out / "found.json").write_text(json.dumps({"batches": found}))


if __name__ == "__main__":
    main()
