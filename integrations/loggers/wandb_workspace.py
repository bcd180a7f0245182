"""A saved view of a W&B project with the usual panels."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["save_view", "view_of"]

_NAME = "loss_logging"


def view_of(prefix: str, entity: str, project: str) -> Any:
    """The view before saving: the losses of all datasets in one panel, flagged captions and captions that may be wrong,
    the tables of the rankings, loss by timestep, and histograms over the steps. Needs wandb-workspaces.

    Args:
        prefix: first part of every name in the tracker.
        entity, project: the W&B entity and project of the view.
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
        # W&B adds panels for all other data below, such as histograms over the steps.
        auto_generate_panels=True,
    )


def save_view(run: Any, prefix: str) -> str:
    """Save the view in the project of an online run; returns the URL of the view.

    Raises:
        Exception: W&B refuses the view.
    """
    view = view_of(prefix, run.entity, run.project)
    view.save()
    return str(view.url)
