"""Stand-in for diffusion-pipe's script: its order of calls, around a small model that truly trains."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import utils.saver
from utils import dataset as dataset_util
from utils.pipeline import Engine, ManualPipelineModule

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--config", required=True)
args = parser.parse_args()


class Model:
    """What diffusion-pipe calls a pipeline."""

    def prepare_inputs(self, inputs: dict[str, Any], timestep_quantile: float | None = None) -> Any:
        """Noise and timesteps; (features, label)."""
        latents = inputs["latents"]
        noise, t = torch.randn_like(latents), torch.rand(len(latents))
        share = t.view(-1, 1, 1, 1)
        return ((1 - share) * latents + share * noise, t), (noise - latents, inputs["mask"])

    def get_loss_fn(self) -> Any:
        """Of the output of the last layer and a label."""

        def loss_fn(output: Any, label: Any) -> Any:
            target, mask = label
            loss = torch.nn.functional.mse_loss(output.float(), target.float(), reduction="none")
            if mask.numel() > 0:
                loss *= mask
            return loss.mean()

        return loss_fn


if __name__ == "__main__":
    config = json.loads(Path(args.config).read_text(encoding="utf-8"))
    torch.manual_seed(0)
    model = Model()
    train_data, held_out = (dataset_util.Dataset(folders) for folders in (config["folders"], config["held_out"]))
    pipeline_model = ManualPipelineModule(layers=[torch.nn.Conv2d(4, 4, 1)], num_stages=1, loss_fn=model.get_loss_fn())
    engine = Engine(pipeline_model, config["gradient_accumulation_steps"], config["pipeline_stages"])
    pieces = config["gradient_accumulation_steps"]
    train_dataloader = dataset_util.PipelineDataLoader(train_data, engine, pieces, model)
    run_dir = Path(config["output_dir"]) / "20260101_00-00-00"
    run_dir.mkdir(parents=True, exist_ok=True)
    step = 1
    if config["resume"]:
        state = torch.load(run_dir / f"global_step{config['resume']}.pt")
        pipeline_model.load_state_dict(state)
        engine.global_steps, step = config["resume"], config["resume"] + 1
    eval_dataloader = dataset_util.PipelineDataLoader(held_out, engine, 1, model)
    saver = utils.saver.Saver(args, config, True, run_dir, model, train_dataloader, engine, pipeline_model)
    engine.eval_batch(iter([next(iter(eval_dataloader))]))
    losses = []
    while step <= config["steps"]:
        iterator = iter([next(train_dataloader) for _ in range(pieces)])
        losses.append(engine.train_batch(iterator).item())
        if step % 3 == 0:
            saver.save_checkpoint(step, step)
            engine.eval_batch(iter([next(eval_dataloader)]))
        step += 1
    saver.save_model(f"step{step - 1}")
    (run_dir / "losses.json").write_text(json.dumps(losses))
