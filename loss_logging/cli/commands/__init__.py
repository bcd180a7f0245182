"""The commands of ``loss-logging``, each in its own module.

A command imports its libraries when it runs, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from loss_logging.cli.commands.apply import apply
from loss_logging.cli.commands.check_captions import check_captions
from loss_logging.cli.commands.compare import compare
from loss_logging.cli.commands.demo import demo
from loss_logging.cli.commands.doctor import doctor
from loss_logging.cli.commands.evaluate import evaluate
from loss_logging.cli.commands.export import export
from loss_logging.cli.commands.html import html
from loss_logging.cli.commands.push import push
from loss_logging.cli.commands.report import report
from loss_logging.cli.commands.show import show
from loss_logging.cli.commands.upload import upload
from loss_logging.cli.commands.view import view
from loss_logging.version import __version__

__all__ = ["app"]


_WORDS = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid integer.*", "allowed: a whole number"),
    (r"^Input should be a valid number.*", "allowed: a number"),
    (r"^Input should be ", "allowed: a value "),
)
"""Messages of the library that checks options, each with our words for it."""


class _InOurWords:
    """Reports wrong options in our words, and shows no type beside an option without a value, as ``--json <bool>``
    looks like an option with a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            left: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.BadParameter as error:
            for theirs, ours in _WORDS:
                error.message = re.sub(theirs, ours, error.message)
            raise
        return left

    def get_params(self, ctx: Any) -> list[Any]:
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for option in found:
            if getattr(option, "is_flag", False):
                option.metavar = ""
        return found


class _Command(_InOurWords, TyperCommand):
    pass


class _Group(_InOurWords, TyperGroup):
    pass


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # frames around the help would double the time that it takes
    epilog="Exit status: 0 on success, 1 on failure (standard error gives the reason), 2 for a wrong call.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Finds the training samples and captions that hurt your model."""


# In the order of --help.
for command in (demo, evaluate, check_captions, apply, show, compare, html, view, export, report, push, upload, doctor):
    # The whole first sentence: without it, the library cuts it after 45 characters.
    app.command(cls=_Command, short_help=(command.__doc__ or "").partition("\n")[0])(command)
