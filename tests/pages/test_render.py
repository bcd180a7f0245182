from __future__ import annotations

from built_pages import EMPTY, no_picture

from loss_logging.captions.reason import FlaggedCaption, Reason
from loss_logging.pages.content import sections
from loss_logging.reports.report import Job, LossReport


def test_spans_are_marked() -> None:
    """What a rule objects to is marked, with some of the caption around it."""
    caption = f"{'before ' * 100}<unk>{' after' * 100}"
    start = caption.index("<unk>")
    reason = Reason("suspicious", "error", 1.0, "Contains '<unk>'.", (start, start + 5))
    flag = FlaggedCaption("p", "d", caption, 0.5, ["suspicious"], 1.0, "error", [reason])
    report = LossReport(job=Job("job", 1, ""), global_=EMPTY, flagged=[flag], flagged_summary={"suspicious": 3})
    (section,) = sections(report, no_picture)["flagged"]
    ((_, pieces, _),) = section.captions
    assert [piece.text for piece in pieces if piece.marked] == ["<unk>"]
    assert sum(len(piece.text) for piece in pieces) < 400
    assert (section.count, section.listed) == (3, 1)
