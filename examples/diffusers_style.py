"""Per-sample losses in the shape of the diffusers text-to-image script: noise, prediction, mean squared error.

The plain loss is a scalar, taken apart by `capture_per_example_loss`; `--snr-gamma 5` is the script's other branch.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.datasets import load_digits

from loss_logging import LossLogger, capture_per_example_loss, per_example_loss, read_report

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ALPHAS = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)  # the scheduler's alphas_cumprod


class Denoiser(torch.nn.Module):
    """Predicts the noise in (B, 1, 8, 8) from the noisy image, the timestep and the digit that the caption names."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(10, 32)
        self.layers = torch.nn.Sequential(torch.nn.Linear(97, 256), torch.nn.SiLU(), torch.nn.Linear(256, 64))

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        inputs = [noisy.flatten(1), timesteps[:, None] / 1000, self.words(labels)]
        return self.layers(torch.cat(inputs, dim=1)).view_as(noisy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/diffusers_style", help="folder for everything that is written")
    parser.add_argument("--snr-gamma", type=float, help="weigh losses by min(SNR, gamma) / SNR (Hang et al. 2023)")
    parser.add_argument("--max-train-steps", type=int, default=400)
    args = parser.parse_args()
    torch.manual_seed(0)
    digits = load_digits()
    latents = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    unet = Denoiser()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=2e-3)
    with LossLogger(job_name="digits", save_root=args.out, loggers=["tensorboard"], log_every=50) as losses:
        for step in range(1, args.max_train_steps + 1):
            index = torch.randint(len(latents), (32,))
            labels = torch.as_tensor(digits.target)[index]
            noise = torch.randn_like(latents[index])
            timesteps = torch.randint(0, 1000, (len(index),))
            alphas = ALPHAS[timesteps].view(-1, 1, 1, 1)
            noisy_latents = alphas.sqrt() * latents[index] + (1 - alphas).sqrt() * noise
            model_pred = unet(noisy_latents, timesteps, labels)
            if args.snr_gamma is None:
                components = None
                with capture_per_example_loss(batch_size=len(index)) as captured:
                    loss = F.mse_loss(model_pred.float(), noise.float(), reduction="mean")
                per_example = captured.losses
                assert per_example is not None, captured.reason  # a mean plus another term is not taken apart
            else:
                snr = ALPHAS[timesteps] / (1 - ALPHAS[timesteps])
                mse_loss_weights = snr.clamp(max=args.snr_gamma) / snr
                loss = F.mse_loss(model_pred.float(), noise.float(), reduction="none")
                per_example, components = per_example_loss(loss), {"snr_weight": mse_loss_weights}
                loss = (loss.mean(dim=list(range(1, loss.ndim))) * mse_loss_weights).mean()
            paths = [f"{i:04d}.png" for i in index.tolist()]
            captions = [f"a handwritten {WORDS[label]}" for label in labels]
            names = {"paths": paths, "datasets": "digits", "captions": captions}
            losses.log_batch(step, per_example, timesteps=timesteps, components=components, **names)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        saved = losses.save_step(args.max_train_steps)
    report = read_report(saved.result())
    print(f"{report.json_path}: mean loss {report.global_.mean:.3f} over {report.global_.count} records")


if __name__ == "__main__":
    main()
