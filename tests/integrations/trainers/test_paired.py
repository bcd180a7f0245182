"""loss_logging/integrations/trainers/paired.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from loss_logging import LossLogger, read_report
from loss_logging.errors import LossLoggingError
from loss_logging.integrations.trainers.paired import PairedForwards, require_same


@pytest.mark.parametrize("kind", ["FSDPModule", "ds_id", ""])
def test_a_model_that_is_divided_between_ranks_is_refused_and_counted(kind: str, tmp_path: Path) -> None:
    """A rank that refused alone would let the others wait: FSDP2 and ZeRO-3 are known before any forward."""
    model: Any = torch.nn.Linear(2, 2)
    if kind == "ds_id":
        model.weight.ds_id = 1
    elif kind:
        model.__class__ = type("Sharded", (type(kind, (), {}), torch.nn.Linear), {})
    pairs = PairedForwards("SimpleTuner")
    with LossLogger(job_name="a", save_root=tmp_path, loggers=[], reporter="inline", paired_fraction=1) as losses:
        names = {"paths": ["a"], "datasets": ["d"]}
        found = pairs.compare(losses, 1, lambda: names, lambda captions: torch.zeros(len(captions)), [model])
        losses.log_batch(1, [1.0], **names, captions=["a cat"])
        pairs.note(losses)
        report = read_report(losses.save_step(1).result())
    assert bool(found) == (not kind)
    counted = [line for line in report.warnings if "1 batch has no losses with the empty caption" in line]
    assert len(counted) == bool(kind)
    assert all("divided between the ranks" in line for line in counted)


@pytest.mark.parametrize("second", [torch.ones(2), torch.ones(3)])
def test_two_forwards_that_drew_other_noise_are_not_compared(second: torch.Tensor) -> None:
    """Whatever a trainer draws from a generator of its own."""
    require_same("noise", torch.ones(2), torch.ones(2))
    with pytest.raises(LossLoggingError, match="different noise"):
        require_same("noise", torch.zeros(2), second)
