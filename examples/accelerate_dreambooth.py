"""An Accelerate loop in the shape of diffusers' DreamBooth script: prior preservation, its halves told apart.

The script's loss is the sum of two means, one over the instance images and one over the class images, so each has a
`capture_per_example_loss` of its own; the class images are logged as regularisation images.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F  # noqa: N812
from accelerate import Accelerator
from sklearn.datasets import load_digits

from loss_logging import TrainConfig, capture_per_example_loss, read_report
from loss_logging.integrations.trainers.accelerate import LossTracker

PRIOR_LOSS_WEIGHT = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/accelerate_dreambooth", help="folder for everything that is written")
    parser.add_argument("--max-train-steps", type=int, default=100)
    args = parser.parse_args()
    torch.manual_seed(0)
    latents = torch.tensor(load_digits().images, dtype=torch.float32).flatten(1) / 8 - 1
    model = torch.nn.Sequential(torch.nn.Linear(65, 256), torch.nn.SiLU(), torch.nn.Linear(256, 64))
    config = TrainConfig(job_name="digits", save_root=args.out, loggers=["tensorboard"])
    tracker = LossTracker(config)
    accelerator = Accelerator(cpu=True, log_with=[tracker])
    accelerator.init_trackers("dreambooth")
    losses = tracker.tracker
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=2e-3))
    for step in range(1, args.max_train_steps + 1):
        # The script's collator: first the instance images (here the first 20 digits), then as many class images.
        index = torch.cat([torch.randint(20, (8,)), torch.randint(20, len(latents), (8,))])
        noise, timesteps = torch.randn_like(latents[index]), torch.rand(len(index), 1)
        noisy = (1 - timesteps) * latents[index] + timesteps * noise
        model_pred, target = model(torch.cat([noisy, timesteps], dim=1)), noise - latents[index]
        model_pred, model_pred_prior = model_pred.chunk(2)
        target, target_prior = target.chunk(2)
        with capture_per_example_loss(batch_size=8) as prior:
            prior_loss = F.mse_loss(model_pred_prior.float(), target_prior.float(), reduction="mean")
        with capture_per_example_loss(batch_size=8) as instance:
            loss = F.mse_loss(model_pred.float(), target.float(), reduction="mean")
        loss = loss + PRIOR_LOSS_WEIGHT * prior_loss
        losses.log_batch(
            step,
            torch.cat([instance.losses, prior.losses]),
            paths=[f"{i:04d}.png" for i in index.tolist()],
            datasets=["instance"] * 8 + ["class"] * 8,
            captions=["a sks digit"] * 8 + ["a digit"] * 8,
            timesteps=timesteps[:, 0],
            is_reg=[False] * 8 + [True] * 8,
        )
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
    saved = losses.save_step(args.max_train_steps)
    accelerator.end_training()
    if accelerator.is_main_process:  # its report is that of all processes
        report = read_report(saved.result())
        for name, dataset in report.datasets.items():
            print(f"{name}: mean loss {dataset.summary.mean:.3f} over {dataset.summary.count} records")


if __name__ == "__main__":
    main()
