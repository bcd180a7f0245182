from __future__ import annotations

import re

import pytest
from captions.corpus import CORPUS
from hypothesis import example, given
from hypothesis import strategies as st

from loss_logging.captions.alternatives import Alternatives, Caseless
from loss_logging.captions.rules import markup, preamble, refusal, suspicious, template

PIECES = """
< > <b> </p> <!-- <|a|> <unk> <｜a｜> <0xFF> [INST] [' '] [" "] <a object at 0x ### # ``` ** **a** ]( [a](/b) ! @
a@b.co a@b https:// http://a.bc www. www.ab.cd .jpg cat.jpeg a.TXT IMG 1234 SAM1234 VID_20230412 Assistant: USER : of
None with NaN nan none null a photo of araffe Arafed [ { ( | ||| $ % %s _ __ __a__ T TRIGGER TRIGGERWORD YOUR_ trigger
trigger_word [trigger] I INSERT_A l lorem LOREM ipsum dolor embedding:a <lora:a:1> (a:1.2) {a|b} {name} [insert a] e t
let me know if is there anything else would you like Do want more hope this helps that feel free to ask If need any
the caption captures aims prompt description descrıption note I word count: 希望这个有用 如果您需要请
お役に立て 도움이 되
"""
TEXTS = st.lists(
    st.sampled_from([*PIECES.split(), *PIECES.split(), " ", "\n", ", ", '"'])
    | st.sampled_from([case.caption[:200] for case in CORPUS])
    | st.text(max_size=3),
    max_size=12,
).flatmap(lambda parts: st.sampled_from([" ", ""]).map(lambda gap: gap.join(parts)))


@pytest.mark.parametrize("pattern", [markup._MARKUP, suspicious._SUSPICIOUS])
@given(text=TEXTS)
@example("an image of none")
@example("SAM1234 @")
def test_what_is_left_out_would_not_match(pattern: Alternatives, text: str) -> None:
    """The pattern of all alternatives finds the same, by the same names."""
    found, wanted = pattern.finditer(text), pattern.all().finditer(text)
    assert [(one.span(), one.lastgroup) for one in found] == [(one.span(), one.lastgroup) for one in wanted]


@given(TEXTS)
@example("If you NEED any more, let me know if ...")
def test_closing_words_are_looked_for_in_any_case(text: str) -> None:
    """The parts are looked for in the text without case, as the pattern ignores it."""
    found, wanted = preamble._CLOSING.finditer(text, text.casefold()), preamble._CLOSING.all().finditer(text)
    assert [one.span() for one in found] == [one.span() for one in wanted]


@pytest.mark.parametrize("pattern", [refusal._REFUSAL, preamble._OPENING])
@given(text=TEXTS | st.sampled_from([case.caption[:200].swapcase() for case in CORPUS]))
@example("I CANNOT help. i'm Sorry, but I can't")
@example("Sure! HERE is a capt\u0131on")
def test_a_pattern_without_case_finds_what_any_case_finds(pattern: Caseless, text: str) -> None:
    """In ASCII text it looks for lower case, elsewhere for any."""
    found, wanted = pattern.finditer(text, text.casefold()), re.finditer(pattern._pattern, text, re.IGNORECASE)
    assert [one.span() for one in found] == [one.span() for one in wanted]


@given(TEXTS)
@example("LoReM ipsum dolor")
@example("embedding:cat xembedding:cat YOUR_TRIGGER INSERT_A trigger_word")
def test_a_template_begins_where_it_is_looked_for(text: str) -> None:
    """The search by the first letter finds what the whole pattern finds."""
    wanted = re.compile(template._TEMPLATE).finditer(text)
    assert [one.span() for one in template._matches(text)] == [one.span() for one in wanted]
