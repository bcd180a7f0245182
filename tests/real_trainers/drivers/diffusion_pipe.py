"""Starts diffusion-pipe's own script around a tiny model, with the launcher or without it.

python diffusion_pipe.py CHECKOUT OUT plain|logged IMAGES [TOML of its configuration]

Its script, datasets, caches, loader, loss function and saver are its own, and the engine is DeepSpeed's, on a CPU. The
submodules with the models (ComfyUI, HunyuanVideo) need not be there: what is imported of them is a stand-in, as are
its patches of DeepSpeed and PEFT, which are for several stages and for adapters.
"""

from __future__ import annotations

import ast
import json
import os
import runpy
import sqlite3
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

CONFIG = """
output_dir = "{out}/run"
dataset = "{out}/dataset.toml"
epochs = 2
micro_batch_size_per_gpu = 2
gradient_accumulation_steps = 2
save_every_n_steps = 3
checkpoint_every_n_epochs = 1
max_steps = 6
eval_every_n_steps = 2
map_num_proc = 1
eval_datasets = [{{name = "held", config = "{out}/held.toml"}}]
{more}
[model]
type = "flux"
dtype = "float32"
[optimizer]
type = "adamw"
lr = 1e-2
"""


def stand_in(name: str, **values: Any) -> None:
    """A module that the trainer imports."""
    module = ModuleType(name)
    vars(module).update(values)
    sys.modules[name] = module


def loss_fn_of(checkout: str) -> Any:
    """``BasePipeline.get_loss_fn`` of the checkout; the module around it imports all models."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    tree = ast.parse((Path(checkout) / "models" / "base.py").read_text(encoding="utf-8"))
    (base,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "BasePipeline"]
    found = [node for node in base.body if isinstance(node, ast.FunctionDef) and node.name == "get_loss_fn"]
    space: dict[str, Any] = {"torch": torch, "F": F}
    exec(compile(ast.Module([*found], []), "base.py", "exec"), space)
    return space["get_loss_fn"]


def pipeline_of(checkout: str, found: list[Any]) -> Any:
    """What it calls a pipeline, with a layer of a few numbers."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Linear(3, 3)
            for name, one in self.named_parameters():
                one.original_name = name

        def forward(self, given: Any) -> Any:
            noisy, text, _ = given
            return self.mix((noisy + text[:, :, None, None] / 10).movedim(1, -1)).movedim(-1, 1)

    def read(spec: Any, mask_file: Any, size: Any) -> Any:
        with Image.open(spec[1]) as picture:
            array = np.asarray(ImageOps.fit(picture.convert("RGB"), (int(size[0]), int(size[1]))))
        return [(torch.tensor(array).movedim(-1, 0).float() / 127.5 - 1, None, None)]

    class Pipeline:
        name, framerate, pixels_round_to_multiple, checkpointable_layers = "tiny", None, 32, ["Layer"]
        get_loss_fn = loss_fn_of(checkout)

        def __init__(self, config: Any) -> None:
            self.config, self.model_config = config, config["model"]
            torch.manual_seed(0)

        def get_vae(self) -> Any:
            return SimpleNamespace(load_model_if_needed=lambda: None)

        def get_text_encoders(self) -> Any:
            return [self.get_vae()]

        def get_preprocess_media_file_fn(self) -> Any:
            return read

        def get_call_vae_fn(self, vae: Any) -> Any:
            return lambda images: {"latents": torch.nn.functional.avg_pool2d(images, 8)}

        def get_call_text_encoder_fn(self, encoder: Any) -> Any:
            def encode(captions: Any, is_video: Any) -> Any:
                return {"text": torch.tensor([[len(one), one.count(" "), 1.0] for one in captions])}

            return encode

        def prepare_inputs(self, inputs: Any, timestep_quantile: Any = None) -> Any:
            latents = inputs["latents"].float()
            noise, t = torch.randn_like(latents), torch.rand(len(latents))
            if timestep_quantile is not None:
                t.fill_(timestep_quantile)
            elif torch.is_grad_enabled():
                found.append({"pixels": latents.mean((1, 2, 3)).tolist(), "captions": list(inputs["caption"])})
            share = t.view(-1, 1, 1, 1)
            return ((1 - share) * latents + share * noise, inputs["text"], t), (noise - latents, inputs["mask"])

        def to_layers(self) -> Any:
            return [Layer()]

        def get_param_groups(self, parameters: Any) -> Any:
            return [{"params": parameters}]

        def save_model(self, folder: Any, weights: Any) -> None:
            torch.save(weights, Path(folder) / "model.pt")

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *_, **__: None

    return Pipeline


def main() -> None:
    """In this process."""
    checkout, out, mode, images, *more = sys.argv[1:]
    os.environ |= {"DS_ACCELERATOR": "cpu", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "WANDB_MODE": "disabled"}
    sys.path.insert(0, checkout)
    import torch
    from deepspeed.runtime.pipe.engine import PipelineEngine

    communication: Any = import_module("deepspeed.comm.torch")
    communication.build_shm_op = lambda: None  # compiles C++, for several ranks of a machine
    torch.cuda.set_device = lambda *_: None
    if sys.version_info < (3, 12):  # which it needs for this argument alone
        connect: Any = sqlite3.connect
        sqlite3.connect = lambda *args, autocommit, **kwargs: connect(*args, **kwargs)
    stand_in("wandb")
    stand_in("comfy", model_management=SimpleNamespace(unload_all_models=lambda: None))
    stand_in("comfy.model_management", unload_all_models=lambda: None)
    stand_in("comfy_api")
    stand_in("comfy_api.latest", InputImpl=None)
    stand_in("utils.patches", apply_patches=lambda: None)
    train_batch = PipelineEngine.train_batch
    scalars: list[float] = []

    def trained(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = train_batch(self, *args, **kwargs)
        scalars.append(loss.item())
        return loss

    PipelineEngine.train_batch = trained
    found: list[Any] = []
    stand_in("models.flux", FluxPipeline=pipeline_of(checkout, found))
    config = Path(out) / "config.toml"
    config.write_text(CONFIG.format(out=out, more="".join(more)), encoding="utf-8")
    for name in ("dataset", "held"):
        folders = [one for one in sorted(Path(images).iterdir()) if (one.name == "held") == (name == "held")]
        text = "resolutions = [64]\nenable_ar_bucket = true\nmin_ar = 0.25\nmax_ar = 4.0\nnum_ar_buckets = 5\n"
        text += "".join(f'[[directory]]\npath = "{one}"\nnum_repeats = 2\n' for one in folders)
        (Path(out) / f"{name}.toml").write_text(text, encoding="utf-8")
    script = str(Path(checkout) / "train.py")
    arguments = [script, "--deepspeed", "--config", str(config)]
    if mode == "logged":
        from loss_logging.integrations.trainers import diffusion_pipe

        ours = Path(out) / "losses.toml"
        ours.write_text("[loss_logging]\nloggers = []\ntimeouts = {close = 300}\n", encoding="utf-8")
        diffusion_pipe.main([*arguments, "--loss_logging_config", str(ours)])
    else:
        sys.argv = arguments
        runpy.run_path(script, run_name="__main__")
    Path(out, "found.json").write_text(json.dumps({"batches": found, "scalars": scalars}), encoding="utf-8")


if __name__ == "__main__":
    main()
