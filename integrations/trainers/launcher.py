"""Starts a trainer's script, with a pause before its last statement, in which its classes are wrapped."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from loss_logging.integrations.trainers.settings import read_settings

__all__ = ["launch"]

_OPTION = "--loss_logging_config"


def launch(
    usage: str,
    example: str,
    wrap: Callable[[ModuleType, Mapping[str, Any]], Callable[[], object] | None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a script with its own arguments, in this process.

    Args:
        usage: the command line.
        example: a script that it may be.
        wrap: is given the script's module, with all that it has defined and imported, and our section; what it gives
            is called when the script has ended.
        arguments: the script, its arguments and our one; those of this process by default.

    Raises:
        SystemExit: the command line is wrong; and what the script raises.
    """
    try:
        ours, script, theirs = _split(sys.argv[1:] if arguments is None else arguments, example)
        if not Path(script).is_file():
            raise ValueError(f"{script} is no file; give the trainer's script, such as {example}")
    except ValueError as error:
        raise SystemExit(f"usage: {usage}\n{error}") from error
    section = read_settings(ours)
    sys.argv = [script, *theirs]
    sys.path.insert(0, str(Path(script).resolve().parent))
    _run(Path(script), (lambda main: wrap(main, section)) if section else lambda _: None)


def _split(arguments: Sequence[str], example: str) -> tuple[str | None, str, list[str]]:
    """The value of our option, the script, and its arguments: DeepSpeed puts ``--local_rank=0`` before the script."""
    ours, theirs, rest = None, [], iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not name.startswith("--loss_logging"):
            theirs.append(argument)
        elif name != _OPTION:
            raise ValueError(f"{name} is no option of loss_logging; the only one is {_OPTION} FILE")
        else:
            ours = value if equals else next(rest, "")
            if not ours:
                raise ValueError(f"{_OPTION} needs a file, .toml, .yaml or .json, with a section loss_logging")
    script = next((argument for argument in theirs if not argument.startswith("-")), None)
    if script is None:
        raise ValueError(f"there is no script; give the trainer's, such as {example}")
    theirs.remove(script)
    return ours, script, theirs


def _run(script: Path, before_main: Callable[[ModuleType], Callable[[], object] | None]) -> None:
    """Run ``script`` as Python would, with a pause before its last statement, ``if __name__ == "__main__"``."""
    tree = ast.parse(script.read_bytes(), str(script))
    main = ModuleType("__main__")
    main.__file__ = str(script)  # where a spawned DataLoader worker finds the script
    sys.modules["__main__"] = main

    def run(statements: list[ast.stmt]) -> None:
        exec(compile(ast.Module(statements, []), str(script), "exec", dont_inherit=True), main.__dict__)

    run(tree.body[:-1])
    end = before_main(main)
    try:
        run(tree.body[-1:])
    finally:
        if end is not None:
            end()
