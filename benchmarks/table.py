"""What the benchmarks share: the command line, the description of the machine, spreads, tables and the JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Results", "arguments", "percentile"]


def arguments(description: str | None, *, beside: str = "") -> argparse.Namespace:
    """``quick`` and ``json`` from the command line, and a checkout where ``beside`` says what is measured in it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test in seconds; its figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine there too")
    if beside:
        parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help=f"also: {beside}")
    return parser.parse_args()


def percentile(values: Sequence[float] | np.ndarray[Any, Any], q: float) -> float:
    """The ``q``-th percentile, 0 to 100, linearly interpolated.

    >>> percentile([1.0, 2.0, 3.0], 50)
    2.0
    """
    return float(np.percentile(values, q))


class Results:
    """The tables of one benchmark; each is printed as soon as it is complete.

    Args:
        name: the benchmark's name.
        packages: distributions whose versions belong to the figures.
        options: the parsed command line.
    """

    def __init__(self, name: str, packages: Iterable[str], options: argparse.Namespace) -> None:
        self._options = options
        self._content: dict[str, Any] = {"benchmark": name, "quick": options.quick, "machine": _machine(packages)}
        self._content["tables"] = {}
        print(f"# {name}{' (quick: the figures mean little)' if options.quick else ''}")
        for key, value in self._content["machine"].items():
            print(f"{key}: {value}")

    def table(self, title: str, rows: Sequence[dict[str, Any]], note: str = "") -> None:
        """Print ``rows``, which share their keys, and keep them for the JSON in full precision."""
        print(f"\n## {title}\n{note + chr(10) if note else ''}")
        cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for i, line in enumerate(cells):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
            if i == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)
        self._content["tables"][title] = {"note": note, "rows": list(rows)}

    def finish(self) -> None:
        """Write the JSON, where one was asked for."""
        self._content["machine"]["load at the end"] = _load()
        print(f"\nload at the end: {_load()}")
        if self._options.json is not None:
            self._options.json.write_text(json.dumps(self._content, indent=1) + "\n", "utf-8")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def _machine(packages: Iterable[str]) -> dict[str, str]:
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {version(name)}" for name in ["loss-logging", *packages]),
        "load at the start": _load(),
    }


def _cpu() -> str:
    models = [line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f} (1 minute; other programs on the machine widen every spread)"


def _read(path: str) -> str:
    return Path(path).read_text("utf-8") if Path(path).exists() else ""
