from __future__ import annotations

import re
import warnings

import pytest

from loss_logging.integrations.loggers.wandb import WandbBackend


def test_a_view_with_the_panels_that_a_person_would_make() -> None:
    """The losses of all datasets share a panel; the tables, the flags and what may be wrong have theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its own use of pydantic
        pytest.importorskip("wandb_workspaces.workspaces", reason="pip install wandb-workspaces")
    from loss_logging.integrations.loggers.wandb_workspace import view_of

    view = view_of("mine", "team", "project")
    plots = [panel for section in view.sections for panel in section.panels]
    patterns = {panel.title: panel.metric_regex for panel in plots if hasattr(panel, "metric_regex")}
    assert re.match(patterns["Loss of each dataset"], "mine/loss/cats")
    assert not re.match(patterns["Loss of each dataset"], "train/loss")
    assert re.match(patterns["Flagged captions by rule"], "mine/rules/empty")
    assert not re.match(patterns["Captions that may be wrong"], "mine/loss/wrong")
    assert {panel.table_name for panel in plots if hasattr(panel, "table_name")} == {
        "mine/worst/hard",
        "mine/worst/caption_mismatch",
        "mine/flagged_captions",
    }


def test_a_dashboard_needs_a_run_of_our_own() -> None:
    """And says so; with one, the package that makes it is among what is needed."""
    with pytest.raises(ValueError, match="dashboard: allowed only together with the option project"):
        WandbBackend.requirements(dashboard=True)
    assert "wandb_workspaces" in WandbBackend.requirements(project="p", dashboard=True).packages
