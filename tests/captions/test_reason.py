from __future__ import annotations

import msgspec
import pytest

from loss_logging.captions.reason import SEVERITIES, FlaggedCaption, Reason


def test_an_entry_of_a_report_is_read_back() -> None:
    """What is written as JSON is the same when it is read, with every reason and its place."""
    reasons = [Reason("short", "info", 0.1, "Write more.", (0, 3)), Reason("empty", "error", 1.0, "Write one.")]
    flagged = FlaggedCaption("1.png", "d", "cat", None, ["short", "empty"], 0.5, "error", reasons)
    assert msgspec.json.decode(msgspec.json.encode(flagged), type=FlaggedCaption) == flagged


def test_no_other_severity_is_read() -> None:
    """From the mildest to the gravest there are three, and a report with another one is refused."""
    assert SEVERITIES == ("info", "warning", "error")
    text = msgspec.json.encode(Reason("short", "info", 0.1, "Write more.")).replace(b"info", b"grave")
    with pytest.raises(msgspec.ValidationError, match="severity"):
        msgspec.json.decode(text, type=Reason)
