"""A Comparison as terminal tables."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loss_logging.cli.tables.report import (
    DECIDED,
    PATH_WIDTH,
    WIDE,
    aligned,
    cell,
    common_folder,
    item_cells,
    new_table,
    path_cell,
    print_table,
    print_where,
)
from loss_logging.reports.compare import CLEAR, Comparison, DatasetChange, ItemChange, Side

__all__ = ["print_comparison"]

BETTER, WORSE = "green", "red"
_NAMES = 5
_ALL_COUNTS, _SOME_COUNTS = 90, 75
"""From so many columns on, the table of datasets has room for a name beside these counts."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what changed by dataset, the items that changed most, those in one report only, and the flags."""
    console.print(Text(_headline(comparison), style="bold"), soft_wrap=True)
    console.print(Text(_meaning(comparison), style="dim"))
    folder = common_folder([item.path for item in (*comparison.worse, *comparison.better)])
    has_z = comparison.figure == "loss"
    tables = [
        _dataset_table(comparison, console.width),
        _item_table("Got worse", comparison.worse, folder, console.width, has_z=has_z),
        _item_table("Got better", comparison.better, folder, console.width, has_z=has_z),
        _flag_table(comparison.flags),
    ]
    for table in tables:
        if table.row_count:
            print_table(table, console)
    print_where(folder, console)
    items = comparison.overall.items
    _print_only("A", items.only_before, comparison.only_before, console)
    _print_only("B", items.only_after, comparison.only_after, console)
    for name, side in (("A", comparison.before), ("B", comparison.after)):
        if not side.has_items:
            console.print(Text(f"{name} has no figures per item: only datasets are compared", style="yellow"))


def _headline(comparison: Comparison) -> str:
    first, second = comparison.before, comparison.after
    folders = [cell(str(Path(side.path).parent), 200) for side in (first, second)]
    if first.job == second.job and folders[0] != folders[1]:  # two runs of one name
        return f"from {_named(first)} in {folders[0]} (A) to {_named(second)} in {folders[1]} (B)"
    if first.job == second.job:
        return f"{cell(first.job)}: from step {first.step} (A) to step {second.step} (B)"
    return f"from {_named(first)} (A) to {_named(second)} (B)"


def _named(side: Side) -> str:
    return f"{cell(side.job)}, step {side.step}"


def _meaning(comparison: Comparison) -> str:
    first, second = comparison.before.step, comparison.after.step
    if not comparison.continues:
        return "Each as it stands in its report. Below 0 is better."
    losses = "Losses" if comparison.figure == "loss" else "Losses of datasets"
    return f"{losses}: steps up to {first} (A), steps {first + 1} to {second} (B). Below 0 is better."


def _dataset_table(comparison: Comparison, width: int) -> Table:
    numbers = ["A", "B", "change", "z", "better", "worse", "unclear", "only_A", "only_B"]
    alone = comparison.overall.items.only_before + comparison.overall.items.only_after
    if not alone or width < _ALL_COUNTS:  # so many in all is said below the tables
        numbers = numbers[:-2]
    if width < _SOME_COUNTS:  # a name is worth more
        numbers = [name for name in numbers if name not in ("z", "unclear")]
    table = new_table(
        "Loss per dataset, and how many items got better or worse", dataset="text", **dict.fromkeys(numbers, "number")
    )
    rows = [*comparison.datasets, *([comparison.overall] if len(comparison.datasets) > 1 else [])]
    losses = aligned([*(row.before for row in rows), *(row.after for row in rows), *(row.change for row in rows)])
    for i, row in enumerate(rows):
        if i == len(comparison.datasets):
            table.add_section()
        before, after, change = losses[i :: len(rows)]
        items = row.items
        cells: dict[str, Text | str] = {
            "A": before,
            "B": after,
            "change": Text(_signed(change), style=_style(row)),
            "z": _z(row.z),
            "better": Text(f"{items.better:,}", style=BETTER if items.better else ""),
            "worse": Text(f"{items.worse:,}", style=WORSE if items.worse else ""),
            "unclear": f"{items.unclear:,}",
            "only_A": f"{items.only_before:,}",
            "only_B": f"{items.only_after:,}",
        }
        name = Text(cell(row.dataset, PATH_WIDTH), no_wrap=True, overflow="ellipsis")
        table.add_row(name, *(cells[number] for number in numbers))
    return table


def _item_table(title: str, items: list[ItemChange], folder: str, width: int, *, has_z: bool) -> Table:
    figures = aligned([*(i.change for i in items), *(i.before for i in items), *(i.after for i in items)])
    change, before, after = (figures[i * len(items) : (i + 1) * len(items)] for i in range(3))
    columns: dict[str, list[Text | str]] = {
        "change": [
            Text(_signed(text), style=_style(item, has_z=has_z)) for text, item in zip(change, items, strict=True)
        ]
    }
    if any(item.z is not None for item in items):
        title = f"{title}, the clearest first"
        columns["z"] = [_z(item.z) for item in items]
    columns |= {"A": [*before], "B": [*after]}
    if width >= WIDE:
        columns |= {"n_A": [f"{item.n_before:,}" for item in items], "n_B": [f"{item.n_after:,}" for item in items]}
    decided: dict[str, list[Text | str]] = {"decided": [DECIDED.get(item.decision or "", "") for item in items]}
    if any(decided["decided"]):
        columns |= decided
    table = new_table(title, **dict.fromkeys(columns, "number"), dataset="text", path="name", caption="text")
    for item, *row in zip(items, *columns.values(), strict=True):
        *place, caption = item_cells(item, folder, width)
        if item.caption_before is not None:
            was = item.caption_before if item.caption_before.strip() else repr(item.caption_before)
            caption = Text.assemble((cell(was, width // 2), "strike dim"), " → ", caption)
            caption.no_wrap = False
        table.add_row(*row, *place, caption)
    return table


def _flag_table(flags: dict[str, tuple[int, int]]) -> Table:
    table = new_table("Flagged captions", reason="name", A="number", B="number", change="number")
    for reason, (before, after) in flags.items():
        if before != after:
            style = WORSE if after > before else BETTER
            table.add_row(Text(cell(reason)), f"{before:,}", f"{after:,}", Text(f"{after - before:+,}", style=style))
    return table


def _print_only(name: str, n: int, some: list[tuple[str, str]], console: Console) -> None:
    if n:
        shown = ", ".join(f"{cell(dataset, PATH_WIDTH)}: {path_cell(path, 40)}" for dataset, path in some[:_NAMES])
        more = f", and {n - _NAMES:,} more" if n > _NAMES else ""
        console.print(Text(f"Only in {name}: {n:,} items ({shown}{more})"), soft_wrap=True)


def _style(change: DatasetChange | ItemChange, *, has_z: bool = True) -> str:
    """Green or red; none where the figure has a z, and the change is not beyond chance."""
    if change.change is None or (has_z and (change.z is None or abs(change.z) < CLEAR)):
        return ""
    return WORSE if change.change > 0 else BETTER


def _signed(number: str) -> str:
    return number if number[0] == "-" else f"+{number}"


def _z(z: float | None) -> str:
    return "-" if z is None else f"{z:+.1f}"
