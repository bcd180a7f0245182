"""short: too few words to describe the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loss_logging.captions.reason import Reason

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption

__all__ = ["short"]


def short(caption: Caption) -> Reason | None:
    """Fewer than ``min_words`` words, in a dataset whose profile is not "instance".

    A caption that may be an instance prompt or a title gets only an ``info``, unless the user set the profile.
    """
    missing = caption.config.min_words - caption.words
    if missing <= 0 or caption.cut or (caption.style == "instance" and not caption.style_is_guessed):
        return None
    count = f"{caption.words} word{'s' if caption.words != 1 else ''} (min_words is {caption.config.min_words})"
    advice = "describe what the image shows"
    if caption.style == "instance":
        return Reason("short", "info", 0.1, f'Only {count}: {advice}, or set the dataset\'s profile to "instance".')
    return Reason("short", "warning", 0.2 + 0.3 * missing / caption.config.min_words, f"Only {count}: {advice}.")
