from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from loss_examples import B, example

from loss_logging import capture_per_example_loss


def test_check_takes_anything() -> None:
    """What is no scalar of the block is not known, whatever it is."""
    prediction, target = example()
    with capture_per_example_loss(B) as captured:
        loss = F.mse_loss(prediction, target)
    for other in (loss.item(), None, "loss", {"loss": loss}, prediction, torch.tensor(1.0)):
        assert not captured.check(other)  # type: ignore[arg-type]
        assert "check()" in str(captured.reason)
    assert captured.check(loss)
