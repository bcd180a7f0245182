"""Starts OneTrainer's own script on a tiny Stable Diffusion, with the launcher or without it.

python onetrainer.py CHECKOUT OUT plain|logged IMAGES {more of its configuration, JSON}

Its data loader, mgds, may lie beside the checkout.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

WIDTH = 16


def make_model(folder: Path) -> None:
    """A Stable Diffusion of a few thousand parameters, as diffusers saves one."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    text = CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=len(tokens) - 2, eos_token_id=len(tokens) - 1,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    AutoencoderKL(
        block_out_channels=(4,) * 4, norm_num_groups=2, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    ).save_pretrained(folder / "vae")  # fmt: skip
    UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=WIDTH,
        attention_head_dim=4, layers_per_block=1, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).save_pretrained(folder / "unet")  # fmt: skip
    trained = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    DDIMScheduler(**trained, steps_offset=1, clip_sample=False).save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir()
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}), encoding="utf-8"
    )
    classes = {"tokenizer": ["transformers", "CLIPTokenizer"], "text_encoder": ["transformers", "CLIPTextModel"]}
    classes |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index = {"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"]} | classes
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def configure(out: Path, images: Path, options: dict[str, Any]) -> Path:
    """Its configuration, of its own defaults."""
    from modules.util.config.ConceptConfig import ConceptConfig
    from modules.util.config.TrainConfig import TrainConfig

    concepts = []
    for i, folder in enumerate(sorted(one for one in images.iterdir() if one.is_dir())):
        concept = ConceptConfig.default_values().to_dict() | {"path": str(folder), "name": "" if i else "pets"}
        concept |= {"loss_weight": 0.5 if i else 1.0, "type": "STANDARD"}
        concept["image"] |= {"enable_crop_jitter": False, "enable_random_flip": False}
        concept["text"] |= {"prompt_source": "sample"}
        concepts.append(concept)
    given = TrainConfig.default_values().to_dict()
    given |= {"workspace_dir": f"{out}/run", "cache_dir": f"{out}/cache", "base_model_name": f"{out}/model"}
    given |= {"model_type": "STABLE_DIFFUSION_15", "training_method": "LORA"}
    given |= {"output_model_destination": f"{out}/lora.safetensors", "concepts": concepts, "samples": []}
    given |= {"train_device": "cpu", "train_dtype": "FLOAT_32", "epochs": 2, "batch_size": 2, "resolution": "128"}
    given |= {"output_model_format": "DIFFUSERS_LORA"}
    given |= {"tensorboard": False, "dataloader_threads": 1, "lora_rank": 2, "learning_rate": 1e-3}
    given |= {"save_every": 3, "save_every_unit": "STEP", "sample_after_unit": "NEVER", "backup_after_unit": "NEVER"}
    given["unet"] |= {"weight_dtype": "FLOAT_32"}
    for part in ("vae", "text_encoder"):
        given[part] |= {"weight_dtype": "FLOAT_32"}
    for name, value in options.items():
        given[name] = {**given[name], **value} if isinstance(value, dict) else value
    file = out / "config.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    return file


def watch(found: list[Any]) -> None:
    """Keep what the trainer's own classes are given and give, beneath whatever wraps them."""
    from modules.modelSetup.BaseStableDiffusionSetup import BaseStableDiffusionSetup

    calculate = BaseStableDiffusionSetup.calculate_loss

    def calculate_loss(self: Any, model: Any, batch: Any, data: Any, config: Any) -> Any:
        loss = calculate(self, model, batch, data, config)
        if loss.requires_grad:
            latents = batch["latent_image"].flatten(1).mean(1).tolist()
            found.append({"loss": loss.item(), "paths": list(batch["image_path"]), "latents": latents})
        return loss

    BaseStableDiffusionSetup.calculate_loss = calculate_loss


def main() -> None:
    """In this process."""
    checkout, out, mode, images, options = sys.argv[1:]
    sys.path[:0] = [checkout, str(Path(checkout).parent / "mgds" / "src")]
    make_model(Path(out) / "model")
    config = configure(Path(out), Path(images), json.loads(options))
    script = str(Path(checkout) / "scripts" / "train.py")
    found: list[Any] = []
    watch(found)
    if mode == "logged":
        from loss_logging.integrations.trainers import onetrainer

        ours = Path(out) / "losses.toml"
        ours.write_text(
            "[loss_logging]\nloggers = []\npaired_fraction = 0.7\ntimeouts = {close = 300}\n", encoding="utf-8"
        )
        onetrainer.main([script, "--config-path", str(config), "--loss_logging_config", str(ours)])
    else:
        sys.argv = [script, "--config-path", str(config)]
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
    Path(out, "found.json").write_text(json.dumps({"batches": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
