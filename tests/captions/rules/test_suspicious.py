from __future__ import annotations

import pytest
from captions.read import read

from loss_logging.captions.rules.suspicious import suspicious


@pytest.mark.parametrize(
    ("token", "severity"),
    [
        *((token, "error") for token in ["<unk>", "<UNK>", "<s>", "</s>", "<pad>", "<|endoftext|>", "<|im_start|>"]),
        *(
            (token, "error")
            for token in ["[INST]", "[/INST]", "[MASK]", "<<SYS>>", "<extra_id_0>", "<0x0A>", "<image>"]
        ),
        *((token, "warning") for token in ["###", "#####", "```"]),
    ],
)
def test_left_overs_are_found_and_marked(token: str, severity: str) -> None:
    """The span is exactly the token, and the message can be written as UTF-8."""
    reason = suspicious(read(f"a dog {token} in the snow"))
    assert reason is not None
    assert (reason.rule, reason.severity) == ("suspicious", severity)
    assert reason.span == (6, 6 + len(token))
    reason.message.encode()


def test_the_worst_left_over_is_reported() -> None:
    """A special token matters more than a heading that stands before it."""
    reason = suspicious(read("### a <unk> in the snow"))
    assert reason is not None
    assert (reason.severity, reason.span) == ("error", (6, 11))


@pytest.mark.parametrize(
    "text",
    [
        "system\nYou are a helpful assistant.\nuser\nDescribe the image.\nassistant\nA dog on a beach",
        "user\nDescribe the image.\nmodel\nA dog on a beach",
        "assistant\n\nA dog on a beach",
    ],
)
def test_a_chat_without_its_tokens_is_an_error(text: str) -> None:
    """What a model writes when its special tokens are skipped and the prompt is not."""
    reason = suspicious(read(text))
    assert reason is not None
    assert (reason.severity, reason.span) == ("error", (0, text.index("\n") + 1))


@pytest.mark.parametrize(
    "text",
    [
        "b'a cat on a sofa'",
        'b"a cat\'s paw"',
        "('a cat on a sofa',)",
        "('a cat', \"a dog's paw\")",
        "{'caption': 'a cat on a sofa', 'n': None}",
        "{'a cat on a sofa'}",
        "[ 'a cat', 'a dog' ]",
        "array(['a cat'], dtype='<U5')",
        "np.str_('a cat on a sofa')",
        "np.array(['a cat'])",
        "tensor([101, 102])",
        "dict_values(['a cat'])",
        "OrderedDict([('caption', 'a cat')])",
        "Row(caption='a cat on a sofa')",
        "Caption(text='a cat on a sofa', score=0.5)",
        "<class 'str'>",
        "<function caption at 0x7f00d2>",
        "<bound method Caption.text of <Caption>>",
        "<generator object captions at 0x7f00d2>",
        "<PIL.Image.Image image mode=RGB size=512x512>",
        "0    a cat on a sofa\nName: caption, dtype: object",
        "a photo of [object Object], oil on canvas",
    ],
)
def test_a_value_as_a_program_prints_it_is_an_error(text: str) -> None:
    """Bytes, tuples, dictionaries, arrays and objects in place of their text."""
    reason = suspicious(read(text))
    assert reason is not None
    assert (reason.severity, reason.score) == ("error", 0.8)


@pytest.mark.parametrize(
    "text",
    [
        "('70s, a disco) with lights",
        "{'70s|'80s|'90s} disco, neon lights'}",
        '("SALE") on a shop window',
        '{"caption": "a cat on a sofa"}',
        "{a cat|a dog} on a sofa",
        "Rembrandt (1606-1669), self-portrait",
        "Portrait(style) of a man",
        "b'day cake with candles",
        "an array of colours, a tensor of light",
        "<lower-case class> on a blackboard",
        "Row (boat) on a lake",
        "a [object] on a table",
    ],
)
def test_quotes_and_brackets_of_a_person_are_fine(text: str) -> None:
    """Only what a program prints as a whole is one."""
    assert suspicious(read(text)) is None


@pytest.mark.parametrize("text", ["user\nA dog on a beach", "a model\nassistant", "system\nuser", "assistant"])
def test_words_of_a_chat_alone_are_fine(text: str) -> None:
    """Only a speaker's line with an answer behind it is one."""
    assert suspicious(read(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "<o>_<o>, <|>_<|>, \\m/, saber \\(fate\\), \\o/",
        "<s0><s1> dog, <my-cat>, <sks>",
        "a ##2 pencil, #hashtag, C# and 5 > 3",
        "line one\nline two\r\n\tline three",
        "👩‍👩‍👧 a family, नमस्ते, می‌خواهم",
        "[INSTANT] camera, [masked] man, image of a pad",
    ],
)
def test_what_people_write_on_purpose_is_fine(text: str) -> None:
    """Emoticon tags, escaped brackets, trigger tokens, joiners and line breaks are no damage."""
    assert suspicious(read(text)) is None
