"""Leaves pandas out of a process that works with pyarrow."""

from __future__ import annotations

import sys

import pyarrow as pa

__all__ = ["leave_pandas_out"]


class _NoPandas:
    """Finds no pandas."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no pandas for now", name=fullname)


def leave_pandas_out() -> None:
    """Have pyarrow note that there is no pandas, before it looks for it at the first array.

    It imports pandas wherever that is installed, only to ask whether a list is one of its series: 30 MB and 0.2 s of
    the processor for each run's reporter, and for each command that makes an array. What needs pandas by name, such as
    a tracker or ``Table.to_pandas``, still gets it.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(finder)
