"""truncated: the text encoder or the trainer does not read the end of the caption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loss_logging.captions.caption import quote
from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["truncated"]


def truncated(caption: Caption) -> Reason | None:
    """More tokens than the text encoder of ``CaptionConfig.model`` reads; the message shows the lost words.

    Without ``model`` the limit is unknown, and more than CLIP's 75 tokens give an ``info``. If the trainer reads only
    the first line, further lines give a warning.
    """
    text, encoder = caption.text, caption.encoder
    if caption.config.reading.first_line_only:
        text, _, rest = text.partition("\n")
        if text.strip() and rest.strip():
            message = f"The trainer reads only the first line, and loses {quote(rest)}: write the caption in one line."
            return Reason("truncated", "warning", 0.6, message, (len(text) + 1, len(caption.text)))
    if (found := encoder.read(text)) is None or not (lost := text[found[1] :].strip()):
        return None
    count, end = found
    tokens = f"{'About ' if encoder.estimated else ''}{count} tokens, of which {encoder.limit} are read"
    if encoder.assumed:
        message = f"{tokens} by CLIP (SD 1.5, SDXL), which loses {quote(lost)}: set model if you train another one."
        return Reason("truncated", "info", 0.1, message, (end, len(text)))
    message = f"{tokens}: {quote(lost)} is lost; shorten the caption, the main content first."
    share = len(lost) / len(text)
    return Reason("truncated", "warning", 0.3 + 0.6 * share, message, (end, len(text)))
