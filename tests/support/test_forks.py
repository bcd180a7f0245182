from __future__ import annotations

import gc
import os
import weakref

import pytest

from loss_logging.support.forks import leave_to_parent


class Owner:
    """Something with threads of its own."""

    forgotten = False

    def forget(self) -> None:
        self.forgotten = True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a matter of POSIX")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forgets_and_its_parent_does_not() -> None:
    """Before anything else runs in the child."""
    owner = Owner()
    leave_to_parent(owner, Owner.forget)
    if (child := os.fork()) == 0:
        os._exit(0 if owner.forgotten else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not owner.forgotten


def test_an_owner_is_not_kept_alive() -> None:
    """Who is gone has nothing to forget."""
    owner = Owner()
    leave_to_parent(owner, Owner.forget)
    seen = weakref.ref(owner)
    del owner
    gc.collect()
    assert seen() is None
