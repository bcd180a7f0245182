"""What a step costs that compares its captions: with the empty caption, and by turns with rivals.

    python -m benchmarks.paired_forward [--quick] [--json FILE]

A small denoiser trains on one thread; the time of the processor that its thread takes is counted, so that other
programs matter little. The ways take turns step by step. The text is an embedding of words: where a trainer must encode
the captions of rivals, that comes on top.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.table import Results, arguments
from loss_logging import LossLogger, per_example_loss
from loss_logging.cli.demo.model import CaptionedFlow, flow_matching_loss
from loss_logging.evidence.rivals import Rivals

ITEMS, BATCH, PIXELS = 10_000, 64, 64
SHARES = (0.25, 1.0)


def main() -> None:
    options = arguments(__doc__)
    results = Results("paired forward", ["torch"], options)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "rivals.parquet"))
        Rivals({("d", f"{i}.png"): (f"number {i % 9} of many",) for i in range(ITEMS)}).save(file)
        for width in (256, 1024):
            ways = {
                (name, share): LossLogger(
                    job_name=f"{name}-{share}-{width}",
                    save_root=folder,
                    loggers=[],
                    paired_fraction=share,
                    rivals=source,
                )
                for share in SHARES
                for name, source in (("empty", "none"), ("by turns", file))
            }
            spent = _spent(ways, width, 40 if options.quick else 1_000)
            for losses in ways.values():
                losses.close()
            for (name, share), cost in spent.items():
                rows.append(
                    {"width": width, "compared with": name, "steps": f"{share:.0%}"}
                    | {"ms a step": spent["nothing", 0.0] * 1e3, "more": f"{cost / spent['nothing', 0.0] - 1:.1%}"}
                )
    results.table("A step with a second caption, beside one without", [row for row in rows if row["steps"] != "0%"])
    results.finish()


def _spent(ways: dict[tuple[str, float], LossLogger], width: int, steps: int) -> dict[tuple[str, float], float]:
    """Mean seconds of the processor for a step of each way; and of one without pairs."""
    torch.manual_seed(0)
    model = CaptionedFlow(width)
    optimizer = torch.optim.AdamW(model.parameters())
    taken: dict[tuple[str, float], list[float]] = {way: [] for way in [("nothing", 0.0), *ways]}
    plain = LossLogger(job_name=f"plain-{width}", save_root=tempfile.mkdtemp(), loggers=[], paired_fraction=0)
    for step in range(steps):
        for way, losses in [(("nothing", 0.0), plain), *ways.items()]:
            items = torch.randint(ITEMS, (BATCH,)).tolist()
            images, noise, times = torch.randn(BATCH, PIXELS), torch.randn(BATCH, PIXELS), torch.rand(BATCH)
            start = time.thread_time()
            _step(losses, model, optimizer, step, items, images, noise, times)
            taken[way].append(time.thread_time() - start)
    plain.close()
    return {way: float(np.mean(each)) for way, each in taken.items()}


def _step(
    losses: LossLogger,
    model: CaptionedFlow,
    optimizer: torch.optim.Optimizer,
    step: int,
    items: list[int],
    images: torch.Tensor,
    noise: torch.Tensor,
    times: torch.Tensor,
) -> None:
    names, captions = [f"{item}.png" for item in items], [f"number {item % 10} of many" for item in items]
    rivals, against = None, None
    with losses.paired_forward(step, model) as compared:
        if compared:
            rivals = losses.rivals_of(names, "d") if compared == "rival" else [""] * BATCH
            against = per_example_loss(flow_matching_loss(model, images, noise, times, rivals))
    loss = flow_matching_loss(model, images, noise, times, captions)
    optimizer.zero_grad()
    loss.mean().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    losses.log_batch(
        step, per_example_loss(loss), paths=names, datasets="d", captions=captions, losses_rival=against, rivals=rivals
    )


if __name__ == "__main__":
    main()
