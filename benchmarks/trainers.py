"""What loss logging adds to a step of Hugging Face's Trainer, of Lightning, and of a loop in diffusers' shape.

The same run with and without it, in turns, so that what else the machine does falls on both. Beside the time of a step
stands the processor time of the thread that trains, on which a busy machine has less influence. The models are small
and on the CPU: what is added is not hidden behind a large one.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F  # noqa: N812
import transformers

from benchmarks.table import Results, arguments
from loss_logging import LossLogger, TrainConfig, capture_per_example_loss
from loss_logging.integrations.trainers.lightning import LossLoggingCallback
from loss_logging.integrations.trainers.transformers import log_losses

BATCH = 8


class Clock:
    """The seconds between its ticks, and those of them in which this thread had a processor."""

    def __init__(self) -> None:
        self.seconds: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None

    def tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        if self._last is not None:
            self.seconds.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now


def config(folder: Path) -> TrainConfig:
    return TrainConfig(job_name="run", save_root=folder, loggers=[], save_every=10**6)


class Texts(torch.utils.data.Dataset[Any]):
    """Random tokens."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens = torch.randint(0, 8000, (64,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": tokens, "labels": tokens, "file": f"{index}.txt"}


def hugging_face(folder: Path, steps: int, *, logged: bool) -> list[tuple[float, float]]:
    """A language model of 8,000 words and 14 million weights."""
    clock = Clock()

    class Tick(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    shape = {"vocab_size": 8000, "n_positions": 64, "n_embd": 384, "n_layer": 6, "n_head": 6}
    args = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=BATCH, save_strategy="no", report_to=[],
        use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, logging_strategy="no",
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape))
    trainer = transformers.Trainer(model=model, args=args, train_dataset=Texts(), callbacks=[Tick()])
    trainer.remove_callback(transformers.PrinterCallback)
    if logged:
        log_losses(trainer, config(folder), path="file", caption="file")
    trainer.train()
    return clock.seconds


class Images(torch.utils.data.Dataset[Any]):
    """Noise."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(index))
        return {"image": image, "label": index % 10, "path": f"{index}.png", "caption": "noise"}


def convolutions(last: torch.nn.Module) -> torch.nn.Sequential:
    wide = [layer for _ in range(3) for layer in (torch.nn.Conv2d(48, 48, 3, padding=1), torch.nn.ReLU())]
    return torch.nn.Sequential(torch.nn.Conv2d(3, 48, 3, padding=1), torch.nn.ReLU(), *wide, last)


def in_lightning(folder: Path, steps: int, *, logged: bool) -> list[tuple[float, float]]:
    """An image classifier that returns its scalar."""
    clock = Clock()

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(48, 10))
            self.layers = convolutions(pool)

        def training_step(self, batch: Any, _index: int) -> Any:
            return F.cross_entropy(self.layers(batch["image"]), batch["label"])

        def on_train_batch_end(self, *_: Any) -> None:
            clock.tick()

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters())

    trainer = pl.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[LossLoggingCallback(config(folder))] if logged else [],
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(Images(), batch_size=BATCH))
    return clock.seconds


def diffusers_loop(folder: Path, steps: int, *, logged: bool) -> list[tuple[float, float]]:
    """Noise prediction, with the script's own mean squared error."""
    clock, model = Clock(), convolutions(torch.nn.Conv2d(48, 3, 3, padding=1))
    optimizer = torch.optim.AdamW(model.parameters())
    losses = LossLogger(config(folder)) if logged else None
    for step, batch in zip(range(1, steps + 1), torch.utils.data.DataLoader(Images(), batch_size=BATCH), strict=False):
        noise = torch.randn_like(batch["image"])
        prediction = model(batch["image"] + noise)
        if losses is None:
            loss = F.mse_loss(prediction.float(), noise.float(), reduction="mean")
        else:
            with capture_per_example_loss(batch_size=BATCH) as captured:
                loss = F.mse_loss(prediction.float(), noise.float(), reduction="mean")
            names = {"paths": batch["path"], "captions": batch["caption"]}
            losses.log_batch(step, captured.losses, datasets="noise", **names)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        clock.tick()
    if losses is not None:
        losses.close()
    return clock.seconds


def compare(run: Callable[..., list[tuple[float, float]]], steps: int, rounds: int) -> dict[str, Any]:
    """Medians over all steps but the first few of each round."""
    seconds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for turn in range(rounds):
        for logged in (False, True) if turn % 2 == 0 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                seconds[logged] += run(Path(folder), steps, logged=logged)[5:]
    (plain, plain_cpu), (with_us, with_us_cpu) = (
        [statistics.median(column) for column in zip(*seconds[logged], strict=True)] for logged in (False, True)
    )
    return {
        "trainer": run.__name__,
        "steps": len(seconds[True]),
        "median_ms": plain * 1e3,
        "median_ms_logged": with_us * 1e3,
        "ratio": with_us / plain,
        "cpu_ms": plain_cpu * 1e3,
        "cpu_ms_logged": with_us_cpu * 1e3,
        "cpu_ratio": with_us_cpu / plain_cpu,
    }


def main() -> None:
    options = arguments(__doc__)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    steps, rounds = (12, 1) if options.quick else (40, 4)
    results = Results("trainers", ["torch", "transformers", "lightning"], options)
    rows = [compare(run, steps, rounds) for run in (hugging_face, in_lightning, diffusers_loop)]
    results.table("A step with and without loss logging", rows)
    results.finish()


if __name__ == "__main__":
    main()
