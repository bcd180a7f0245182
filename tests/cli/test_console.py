"""loss_logging/cli/console.py"""

from __future__ import annotations

import json

import pytest

from loss_logging.cli.console import hint, print_json


def test_json_for_programs_is_one_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A person's terminal has it indented; NaN is null."""
    print_json({"a": [1, float("nan")], "b": "ä"})
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert json.loads(said.out) == {"a": [1, None], "b": "ä"}
    assert said.err == ""


def test_hints_are_on_standard_error_and_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Text of files may hold escape sequences and markup: both are shown as they are written."""
    hint("a \x1b[31mred\x1b[0m [bold]cat[/bold]")
    said = capsys.readouterr()
    assert said.out == ""
    assert "\x1b" not in said.err
    assert "[bold]cat[/bold]" in said.err
