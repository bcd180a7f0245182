"""Hard images and wrong captions of a folder, by the losses of a diffusers pipeline that is loaded here.

`loss-logging evaluate` does this from a configuration; here the pipeline is yours: a LoRA on top, another scheduler.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from loss_logging import evaluate_dataset
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.evaluation.image_batches import ImageBatches
from loss_logging.integrations.trainers.diffusers import PipelineLoss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pipeline", help="folder of a diffusers pipeline")
    parser.add_argument("data", type=Path, help="folder of images with .txt captions, or metadata.jsonl or .csv")
    parser.add_argument("--lora", help="folder or file of LoRA weights to load")
    parser.add_argument("--out", default="runs/evaluate_pipeline", help="folder for everything that is written")
    parser.add_argument("--resolution", type=int, help="pixels on a side; the pipeline's own by default")
    parser.add_argument("--draws", type=int, default=4, help="noises and timesteps for each image, at least 4")
    args = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    pipeline = DiffusionPipeline.from_pretrained(args.pipeline, dtype=torch.bfloat16 if on_gpu else torch.float32)
    pipeline.to("cuda" if on_gpu else "cpu")
    if args.lora is not None:
        pipeline.load_lora_weights(args.lora)
    compute = PipelineLoss(pipeline, paired=True)
    images = list(read_captioned_folder(args.data))
    report = evaluate_dataset(
        compute,
        ImageBatches(images, args.data, args.resolution or compute.resolution, batch_size=4),
        draws=args.draws,
        paired=True,
        save_root=args.out,
        out_csv=Path(args.out) / "losses.csv",
        progress=False,
    )
    for warning in report.warnings:
        print(f"warning: {warning}")
    for item in report.worst.caption_mismatch[:5]:
        print(f"{item.score:+.4f} (t {item.t:+.1f})  {item.path}: {item.caption}")


if __name__ == "__main__":
    main()
