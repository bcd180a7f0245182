"""The families of caption rules, one small file each.

A rule is a function that takes a `Caption` and returns None, or the `Reason` why the caption is bad. Its name is
public: trackers count it as ``rules/{name}``. To add a family, write its file and name it here. Your own rules need no
entry here: a package offers them as entry points in the group ``loss_logging.caption_rules``, and
``CaptionConfig(rules={"own": ["module:function"]})`` or ``CaptionChecker(rules=[function])`` take them directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loss_logging.captions.across import Rule
from loss_logging.captions.rules.common_token import CommonToken
from loss_logging.captions.rules.conflict import Conflict
from loss_logging.captions.rules.duplicate import Duplicate
from loss_logging.captions.rules.empty import empty
from loss_logging.captions.rules.encoding import encoding
from loss_logging.captions.rules.language import Language
from loss_logging.captions.rules.long import long
from loss_logging.captions.rules.markup import markup
from loss_logging.captions.rules.near_duplicate import NearDuplicate
from loss_logging.captions.rules.preamble import preamble
from loss_logging.captions.rules.refusal import refusal
from loss_logging.captions.rules.repeated import repeated
from loss_logging.captions.rules.short import short
from loss_logging.captions.rules.suspicious import suspicious
from loss_logging.captions.rules.tags import tags
from loss_logging.captions.rules.template import template
from loss_logging.captions.rules.trigger import trigger
from loss_logging.captions.rules.truncated import truncated

if TYPE_CHECKING:
    from loss_logging.captions.across import DatasetRule

__all__ = ["DATASET_RULES", "RULES"]


RULES: dict[str, Rule] = {
    "empty": empty,
    "refusal": refusal,
    "preamble": preamble,
    "suspicious": suspicious,
    "encoding": encoding,
    "markup": markup,
    "template": template,
    "trigger": trigger,
    "repeated": repeated,
    "tags": tags,
    "long": long,
    "truncated": truncated,
    "short": short,
}
"""The rules by public name, in the order of their use. After ``empty`` has objected, no further rule is used."""

DATASET_RULES: dict[str, Callable[[], DatasetRule]] = {
    "conflict": Conflict,
    "duplicate": Duplicate,
    "near_duplicate": NearDuplicate,
    "common_token": CommonToken,
    "language": Language,
}
"""The rules that compare captions, by public name; see `DatasetChecker`."""
