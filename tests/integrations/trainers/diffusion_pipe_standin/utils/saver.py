"""Stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


class Saver:
    """Checkpoints and models."""

    def __init__(
        self,
        args: Any,
        config: Any,
        is_adapter: bool,
        save_root: Any,
        model: Any,
        train_dataloader: Any,
        model_engine: Any,
        pipeline_model: Any,
    ) -> None:
        self.save_root, self.pipeline_model = Path(save_root), pipeline_model

    def save_model(self, name: str) -> None:
        """The adapter."""
        torch.save(self.pipeline_model.state_dict(), self.save_root / f"{name}.pt")

    def save_checkpoint(self, step: int, examples: int) -> None:
        """The state."""
        torch.save(self.pipeline_model.state_dict(), self.save_root / f"global_step{step}.pt")
