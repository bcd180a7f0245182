"""The empty caption of musubi-tuner: encoded once, or a reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kohya_runs import STANDIN, Base
from records import by_step

from loss_logging import read_report

pytest.importorskip("accelerate")


class Encoding(Base):
    """One that loads a text encoder for sample prompts, and then its transformer."""

    architecture = "wan"
    loaded = 0

    def process_batch(self, batch: Any, network: Any, accelerator: Any, global_step: int) -> Any:
        output = self.call_dit(accelerator, None, batch)
        return self.compute_loss(None, output, torch.ones(2))

    def call_dit(self, accelerator: Any, transformer: Any, batch: Any) -> Any:
        pred = torch.stack([row.sum().float() for row in batch["t5"]])
        return SimpleNamespace(pred=pred[:, None], target=torch.zeros(2, 1))

    def process_sample_prompts(self, args: Any, accelerator: Any, sample_prompts: str) -> Any:
        self.loaded += 1
        if args.t5 == "broken":
            raise OSError("broken is no text encoder")
        prompts = json.loads(Path(sample_prompts).read_text())
        return [{**prompt, "t5_embeds": torch.ones(len(prompt["prompt"]) + 1, 4)} for prompt in prompts]

    def load_transformer(self, accelerator: Any, args: Any) -> str:
        return "transformer"

    def train(self, names: Any, step: int) -> Any:
        network = SimpleNamespace(save_weights=lambda: None)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model, trackers=[], is_main_process=True)
        batch = {"loss_logging": names, "t5": [torch.ones(3, 4), torch.ones(1, 4)]}
        return self.process_batch(batch, network, accelerator, step)


@pytest.mark.parametrize(
    ("t5", "samples", "architecture", "said"),
    [
        ("t5.pth", True, "wan", ""),
        ("t5.pth", False, "wan", ""),
        (None, False, "wan", "no text encoder is named; name it (--t5 or"),
        ("broken", False, "wan", "the text encoder did not encode it (OSError: broken is no text encoder)"),
        ("t5.pth", False, "qie", "what a caption's encoding consists of is not known for qie"),
    ],
)
def test_musubi_encodes_the_empty_caption_once_or_says_why_not(
    t5: str | None,
    samples: bool,
    architecture: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its own sample prompts or by itself; a refusal is one sentence, and reports count what it cost."""
    from loss_logging.integrations.trainers.kohya_run import Run
    from loss_logging.integrations.trainers.kohya_seams import see_musubi

    monkeypatch.syspath_prepend(STANDIN / "musubi")
    trainer = Encoding()
    run = Run(
        {"loss_logging": {"loggers": [], "reporter": "inline", "paired_fraction": 1}},
        SimpleNamespace(output_dir=str(tmp_path), output_name="a"),
        trainer,
    )
    trainer.architecture = architecture
    see_musubi(trainer, run)
    args = SimpleNamespace(t5=t5)
    if samples:
        prompts = tmp_path / "prompts.json"
        prompts.write_text(json.dumps([{"prompt": "a cat"}]))
        (sample,) = trainer.process_sample_prompts(args, None, str(prompts))
        assert sample["prompt"] == "a cat"
    assert trainer.load_transformer(None, args) == "transformer"
    assert trainer.loaded == (t5 is not None)
    for step in range(3):
        trainer.train({"paths": ["a", "b"], "datasets": ["d"] * 2, "captions": ["hi", ""]}, step)
    run.close()
    empties = [[row["loss_empty"] for row in rows] for rows in by_step(tmp_path).values()]
    assert empties == [[None, None] if said else [16.0, 16.0]] * 3
    assert [[row["loss"] for row in rows] for rows in by_step(tmp_path).values()] == [[144.0, 16.0]] * 3
    warned = [record.message for record in caplog.records if "no losses with the empty caption" in record.message]
    assert len(warned) == bool(said)
    (path,) = (tmp_path / "loss_logging").glob("*.json")
    noted = [line for line in read_report(path).warnings if "3 batches have no losses with the empty caption" in line]
    assert len(noted) == bool(said)
    assert all(said in line for line in [*warned, *noted])


def test_an_encoding_of_another_shape_is_refused() -> None:
    """It is named with both shapes; one with a batch's dimension and padding is cut to what the cache has."""
    from loss_logging.errors import LossLoggingError
    from loss_logging.integrations.trainers.kohya_captions import _like

    own = torch.zeros(5, 4, dtype=torch.float16)
    row = _like("llm_embed", torch.ones(1, 6, 4), torch.tensor([1, 1, 0, 0, 0, 0]), own, is_list=True)
    assert (row.shape, row.dtype) == ((2, 4), torch.float16)
    with pytest.raises(LossLoggingError, match=r"llm_embed of a sample prompt has shape \(6, 3\).*cache \(5, 4\)"):
        _like("llm_embed", torch.ones(6, 3), None, own, is_list=True)
