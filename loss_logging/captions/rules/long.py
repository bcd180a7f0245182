"""long: more text than a text encoder reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["long"]

_FILE_FACTOR = 10  # times the limit; a longer text is a whole file that was read as a caption


def long(caption: Caption) -> Reason | None:
    """More than ``max_words`` words, or more characters than the rules read."""
    limit = caption.config.max_words
    if caption.words <= limit and not caption.cut:
        return None
    count = f"{'More than ' if caption.cut else ''}{caption.words} words (max_words is {limit})"
    if caption.cut or caption.words > _FILE_FACTOR * limit:
        message = f"{count}: this looks like a whole file rather than a caption; check where it comes from."
        return Reason("long", "error", 0.9, message)
    message = f"{count}: text encoders read 77 to 512 tokens and ignore the rest; shorten it, the main content first."
    return Reason("long", "warning", 0.3 + 0.5 * (1 - limit / caption.words), message)
