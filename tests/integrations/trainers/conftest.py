"""What is no test, and what takes long."""

import pytest

collect_ignore_glob = ["*_standin"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two ranks of Lightning import it twice; those of the suite's own trainer stand for them in every run."""
    for item in items:
        if item.name == "test_several_ranks_report_as_one[lightning]":
            item.add_marker(pytest.mark.long)
