"""The findings of a check of captions as terminal tables, and its repairs as a diff."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loss_logging.captions.folder.check import Finding, FolderCheck
from loss_logging.captions.folder.formats import from_here
from loss_logging.captions.folder.repair import Repair
from loss_logging.captions.reason import Severity
from loss_logging.cli.tables.report import PATH_WIDTH, SEVERITY_STYLES, cell, new_table, print_table

__all__ = ["print_check", "print_repairs"]

_MOST_DATASETS = 50
_LONGEST, _CONTEXT = 500, 60  # characters of a changed line, and characters before its first change
_PER_RULE = 3  # examples of one rule, so that other rules get some, too
_BEFORE, _SHOWN = 30, 76  # characters of a caption before a marked span, and in total
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def print_check(check: FolderCheck, console: Console, rows: int = 10) -> None:
    """Print the tables by dataset and by rule, at most ``rows`` examples, and a summary as the last line."""
    print_table(_datasets(check), console)
    by_rule: defaultdict[str, list[Finding]] = defaultdict(list)
    chosen: list[Finding] = []
    for finding in check.findings():
        kept = by_rule[finding.rule]
        if len(kept) < _PER_RULE:
            kept.append(finding)
            chosen.append(finding)
    if by_rule:
        print_table(_rules(check, {rule: found[0] for rule, found in by_rule.items()}), console)
        console.print(Text("The worst", style="bold"))
        for finding in chosen[:rows]:
            _print_example(finding, console)
    for warning in check.captions.warnings:
        console.print(Text(f"warning: {cell(warning, 200)}", style="yellow"))
    for note in check.problems.notes:
        console.print(Text(cell(note, 400)), soft_wrap=True)
    console.print(_summary(check, {rule: found[0] for rule, found in by_rule.items()}))


def print_repairs(repairs: Iterable[Repair], console: Console) -> None:
    """Print the changes that were or would be made, with invisible characters written out."""
    for repair in repairs:
        console.print(Text(cell(from_here(repair.path), 200), style="bold"), soft_wrap=True)
        for sign, line in _changed(repair.before.split("\n"), repair.after.split("\n")):
            console.print(Text(f"{sign} {line}", style="red" if sign == "-" else "green"), soft_wrap=True)


def _changed(before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    """The lines that differ, each with - or +. Long lines are cut around the first difference."""
    for kind, first, last, start, end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        pairs = zip_longest(before[first:last], after[start:end], fillvalue="")
        cuts = [max(0, _alike(*pair) - _CONTEXT) if max(map(len, pair)) > _LONGEST else 0 for pair in pairs]
        for sign, lines in (("-", before[first:last]), ("+", after[start:end])):
            for line, cut in zip(lines, cuts, strict=False):
                yield sign, "…" * (cut > 0) + cell(line[cut:], _LONGEST)


def _alike(one: str, other: str) -> int:
    """The length of the common start of two lines, in characters."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _datasets(check: FolderCheck) -> Table:
    columns = dict.fromkeys(("captions", *_SEVERITIES), "number")
    shown = new_table(
        "Captions by dataset, each counted under its highest severity", dataset="name", profile="name", **columns
    )
    counts: defaultdict[str, Counter[Severity]] = defaultdict(Counter)
    for flagged in check.captions.flagged:
        counts[flagged.dataset][flagged.severity] += 1
    datasets = sorted(check.captions.datasets.items(), key=lambda one: [-counts[one[0]][s] for s in _SEVERITIES])
    for name, dataset in datasets[:_MOST_DATASETS]:
        profile = dataset.profile or "mixed"
        shown.add_row(
            Text(cell(name, PATH_WIDTH)),
            f"{profile} (guessed)" if dataset.profile_is_guessed else profile,
            f"{dataset.captions:,}",
            *(f"{counts[name][severity]:,}" for severity in _SEVERITIES),
        )
    if len(datasets) > _MOST_DATASETS:
        shown.caption = f"{len(datasets) - _MOST_DATASETS:,} more datasets with no more findings than the last"
    return shown


def _rules(check: FolderCheck, examples: dict[str, Finding]) -> Table:
    shown = new_table("What was found, by rule", rule="name", severity="name", count="number", such_as="text")
    found = _counts(check)
    for rule, example in examples.items():
        style = SEVERITY_STYLES[example.severity]
        shown.add_row(
            Text(cell(rule)), Text(example.severity, style=style), f"{found[rule]:,}", Text(cell(example.message, 200))
        )
    return shown


def _print_example(finding: Finding, console: Console) -> None:
    place = cell(from_here(finding.source) if finding.path else finding.dataset or "", 200)
    if finding.line is not None:
        place += f":{finding.line}" + (f":{finding.column}" if finding.column else "")
    head = Text(f"{finding.severity} {finding.rule}", style=SEVERITY_STYLES[finding.severity])
    console.print(head, Text(place), soft_wrap=True)
    if finding.caption is not None and finding.caption.strip():
        for line in _marked(finding.caption, finding.span):
            console.print(line, soft_wrap=True)
    console.print(Text(f"    {cell(finding.message, 300)}"), soft_wrap=True)


def _marked(caption: str, span: tuple[int, int] | None) -> list[Text]:
    """The caption on one line, and a mark below the span."""
    start, end = span or (0, 0)
    first = max(0, start - _BEFORE)
    last = min(len(caption), first + _SHOWN)
    before, marked, after = (
        cell(part, 10 * _SHOWN)
        for part in (caption[first:start], caption[start : min(end, last)], caption[max(start, min(end, last)) : last])
    )
    before = "…" * (first > 0) + before
    line = Text(f"    {before}").append(marked, style="reverse").append(after + "…" * (last < len(caption)))
    below = Text(" " * (4 + cell_len(before)) + "^" * cell_len(marked), style="bold")
    return [line, below] if marked else [line]


def _counts(check: FolderCheck) -> Counter[str]:
    """The number of objections of each rule."""
    datasets = Counter(reason.rule for dataset in check.captions.datasets.values() for reason in dataset.reasons)
    return Counter(check.captions.summary) + Counter(dict(check.problems.counts)) + datasets


def _summary(check: FolderCheck, examples: dict[str, Finding]) -> Text:
    """The sums of the table by rule."""
    counts: Counter[Severity] = Counter()
    for rule, n in _counts(check).items():
        counts[examples[rule].severity] += n
    found = ", ".join(f"{counts[severity]:,} {severity}{'s' * (counts[severity] != 1)}" for severity in _SEVERITIES)
    ignored = f"; {check.captions.ignored:,} ignored" if check.captions.ignored else ""
    n = check.captions.captions
    return Text(f"{n:,} caption{'s' * (n != 1)}: {found}{ignored}", style="bold")
