"""RunPage: the report page over the whole log of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loss_logging.pages.answer import bin_of, is_odd
from loss_logging.pages.build import MOST_RECORDS
from loss_logging.pages.charts import charts, history_block
from loss_logging.pages.content import rules_of, sections
from loss_logging.pages.render import fragments, render
from loss_logging.pages.served.live import LiveRun
from loss_logging.pages.served.served_page import Picture
from loss_logging.statistics.history import item_history

__all__ = ["RunPage"]


class RunPage:
    """The page that the server shows of a run, which may still grow.

    Args:
        run: the run; it follows the log once the context is entered.
    """

    def __init__(self, run: LiveRun) -> None:
        self.items = run

    def __enter__(self) -> RunPage:
        self.items.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.items.__exit__(*error)

    def html(self, picture: Picture, *, editable: bool) -> str:
        """The page as text."""
        run = self.items
        report, counts = run.report()
        return render(
            [*run.reports[:-1], report] if report else [],
            picture,
            run.problems,
            {},
            config=run.config,
            total=run.state.items or 0,
            items_shown=run.state.items or 0,
            served=True,
            editable=editable,
            busy=run.state.busy,
            counts=counts,
            live_step=run.state.step,
        )

    def parts(self, picture: Picture, step: int | None) -> dict[str, Any]:
        """The parts of the page that change with the save step."""
        run = self.items
        report, counts = run.report(step)
        found = sections(report, picture, counts)
        total = run.state.items if step is None else counts.items if counts else None
        live = run.state.step if step is None else None
        problems = run.problems if step is None else []
        save_steps = len(run.reports)
        parts = fragments(found, total=total, save_steps=save_steps, problems=problems, served=True, live_step=live)
        note = None
        if step is not None and counts is None:
            note = [f"The report of step {step:,} holds no items: the table has none to show."]
        return {"parts": parts, "note": note}

    def charts(self) -> dict[str, Any]:
        """The series of every chart."""
        return charts(self.items.reports, self.items.curves())

    def rules(self, step: int | None) -> Mapping[str, str]:
        """The severity of each rule, at a save step."""
        report = next((r for r in reversed(self.items.reports) if step is None or r.job.step == step), None)
        return rules_of(report) if report else {}

    def history(self, dataset: str, path: str) -> dict[str, Any] | None:
        """The records of an item."""
        records = item_history(self.items.log, [(dataset, path)], MOST_RECORDS, threads=self.items.config.threads)
        return history_block(records).get(dataset, {}).get(path)

    def queue(self) -> list[tuple[str, str]]:
        """The captions that may be wrong, the odd images and the flagged captions, also those that are settled."""
        report, counts = self.items.ranked()
        if report is None:
            return []
        wrong = [item for item in report.worst.caption_mismatch if bin_of(item)]
        odd = [item for item in report.worst.hard if is_odd(item, counts)]
        ranked = [(item.dataset, item.path) for item in (*wrong, *odd)]
        return [*ranked, *((flag.dataset, flag.path) for flag in report.flagged)]
