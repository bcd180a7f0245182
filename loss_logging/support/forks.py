"""Children of a fork: they have the objects of their parent, but not its threads."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["leave_to_parent"]

_Owner = TypeVar("_Owner")
_owners: weakref.WeakKeyDictionary[Any, Callable[[Any], object]] = weakref.WeakKeyDictionary()


def leave_to_parent(owner: _Owner, forget: Callable[[_Owner], object]) -> None:
    """Call ``forget(owner)`` in each child that is forked from this process, before any other code runs there."""
    _owners[owner] = forget


def _forked() -> None:
    for owner, forget in list(_owners.items()):
        forget(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
