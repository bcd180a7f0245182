"""The families of caption rules, one small file each.

A rule is a function that takes a `Caption` and returns None, or the `Reason` why the caption is bad. Its name in
`RULES` is public: trackers count it as ``flags/{name}``. To add a family, write its file and name it here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loss_logging.captions.rules.empty import empty
from loss_logging.captions.rules.long import long
from loss_logging.captions.rules.repeated import repeated
from loss_logging.captions.rules.short import short
from loss_logging.captions.rules.suspicious import suspicious

if TYPE_CHECKING:
    from loss_logging.captions.caption import Caption
    from loss_logging.report import Reason

__all__ = ["RULES"]

RULES: dict[str, Callable[[Caption], Reason | None]] = {
    "empty": empty,
    "suspicious": suspicious,
    "repeated": repeated,
    "long": long,
    "short": short,
}
"""By public name, in the order in which they are tried. A caption that is ``empty`` is not tried any further."""
