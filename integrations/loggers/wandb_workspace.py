"""A saved view of a W&B project with the panels that a person would make by hand."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["save_view", "view_of"]

_NAME = "loss_logging"


def view_of(prefix: str, entity: str, project: str) -> Any:
    """The view, which is not saved yet: the losses of all datasets in one panel, flagged captions and captions that may
    be wrong, the tables of the rankings, loss by timestep, and histograms over the steps. Needs wandb-workspaces.

    Args:
        prefix: first part of every name in the tracker.
        entity, project: where it is saved.
    """
    import wandb_workspaces.reports.v2 as reports
    import wandb_workspaces.workspaces as workspaces

    start, step = f"^{re.escape(prefix)}/", f"{prefix}/step"

    def lines(title: str, pattern: str) -> Any:
        return reports.LinePlot(title=title, x=step, metric_regex=f"{start}{pattern}")

    def table(name: str) -> Any:
        return reports.WeavePanelSummaryTable(table_name=f"{prefix}/{name}")

    losses = [lines("Loss of each dataset", "loss/.*")]
    captions = [
        lines("Captions that may be wrong", "(?!loss/|rules/).*(wrong|look_at|undecided).*"),
        lines("Flagged captions by rule", "rules/.*"),
        table("worst/caption_mismatch"),
        table("flagged_captions"),
    ]
    images = [table("worst/hard")]
    return workspaces.Workspace(
        name=_NAME if prefix == _NAME else f"{_NAME} ({prefix})",
        entity=entity,
        project=project,
        sections=[
            workspaces.Section(name="Losses", panels=losses, is_open=True),
            workspaces.Section(name="Captions", panels=captions, is_open=True),
            workspaces.Section(name="Images", panels=images, is_open=True),
        ],
        # What else there is, histograms over the steps among it, W&B puts below by itself.
        auto_generate_panels=True,
    )


def save_view(run: Any, prefix: str) -> str:
    """Save the view in the project of a run that is online; returns its address.

    Raises:
        Exception: W&B does not take it.
    """
    view = view_of(prefix, run.entity, run.project)
    view.save()
    return str(view.url)
