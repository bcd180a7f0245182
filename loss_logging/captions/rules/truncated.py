"""truncated: the end of the caption is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["truncated"]


def truncated(caption: Caption) -> Reason | None:
    """More tokens than the text encoder of ``CaptionConfig.model`` reads; the message shows the words that are lost.

    Without ``model`` the limit is not known, and more than CLIP's 75 tokens are an ``info``. Where the trainer reads
    only the first line, further lines are a warning.
    """
    text, encoder = caption.text, caption.encoder
    if caption.config.reading.first_line_only:
        text, _, rest = text.partition("\n")
        if text.strip() and rest.strip():
            message = f"The trainer reads the first line only, and loses {quote(rest)}: write it all in one line."
            return Reason("truncated", "warning", 0.6, message, (len(text) + 1, len(caption.text)))
    if (found := encoder.read(text)) is None or not (lost := text[found[1] :].strip()):
        return None
    count, end = found
    tokens = f"{'About ' if encoder.estimated else ''}{count} tokens, of which {encoder.limit} are read"
    if encoder.assumed:
        message = f"{tokens} by CLIP (SD 1.5, SDXL), which loses {quote(lost)}: set model if you train another one."
        return Reason("truncated", "info", 0.1, message, (end, len(text)))
    message = f"{tokens}: {quote(lost)} is lost; shorten the caption, the important first."
    share = len(lost) / len(text)
    return Reason("truncated", "warning", 0.3 + 0.6 * share, message, (end, len(text)))
