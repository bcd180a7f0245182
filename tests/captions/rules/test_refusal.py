from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.refusal import refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "ohwx man. I cannot describe this image",
        "Es tut mir leid, aber ich kann das Bild nicht beschreiben.",
        "Je suis désolé, mais je ne peux pas aider.",
        "Извините, но я не могу описать это.",
        "申し訳ありませんが、説明できません。",
        "RuntimeError: CUDA out of memory",
        '{"error": "rate limit"}',
        "502 Bad Gateway",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "openai.BadRequestError: Error code: 400 - {'error': {}}",
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='a', port=443)",
        "google.api_core.exceptions.ResourceExhausted: 429 Quota exceeded",
        "java.lang.OutOfMemoryError: Java heap space",
        "429 RESOURCE_EXHAUSTED. {'error': {'code': 429}}",
        "HTTP/1.1 502 Bad Gateway",
        "HTTP 500 Internal Server Error",
        "Request failed with status code 429",
        "An error occurred while processing the image.",
    ],
)
def test_what_a_captioner_says_instead_is_an_error(text: str) -> None:
    """In many languages, behind a trigger word, and as an error of a program; its span lies in the caption."""
    reason = refusal(read(text))
    assert reason is not None
    assert (reason.rule, reason.severity) == ("refusal", "error")
    assert reason.span is not None
    assert text[slice(*reason.span)].strip()


@pytest.mark.parametrize(
    "text",
    [
        "a sorry dog in the rain",
        'a sign that says "Sorry, we are closed"',
        "a shop: sorry, we're closed",
        "no entry",
        "Timeout: players gather around",
        "error occurred: a cat on a keyboard",
        "An error on a screen",
        "404 and 500, two house numbers",
        "v1.2.Error sign",
    ],
)
def test_a_description_of_sorrow_is_none(text: str) -> None:
    """What the image shows is fine, in quotes or not."""
    assert refusal(read(text)) is None


def test_it_is_said_at_once_or_not_at_all() -> None:
    """What stands far behind the start of a caption is no refusal, so that long captions cost no more."""
    assert refusal(read("a cat on a sofa. " * 60 + "I cannot describe this image")) is None
