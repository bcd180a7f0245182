from __future__ import annotations

from typing import Any

import msgspec
import pytest
from shown import report

from loss_logging.training.messages import Alive, Close, Closed, Command, Failed, Notice, Reply, Save, Saved, Scalars


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Command, Notice(3)),
        (Command, Save(5, ["a warning"], serial=2)),
        (Command, Close(9, 1.5)),
        (Reply, Scalars(9, [(5, {"loss": 0.5})])),
        (Reply, Saved(5, "runs/a.json", report(), serial=2)),
        (Reply, Failed(5, "the disk is full", serial=2)),
        (Reply, Closed(["wandb: 3 reports"])),
        (Reply, Alive()),
    ],
)
def test_a_message_is_one_line_and_comes_back(kind: Any, message: object) -> None:
    """As JSON that the other side knows by its tag, whatever texts are in it; no line break ends it early."""
    line = msgspec.json.encode(message)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=kind) == message


def test_what_the_other_side_does_not_say_is_refused() -> None:
    """A reply is no command."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(Alive()), type=Command)
