"""The tests mirror the rooms: whoever changes a module finds its promises under the same name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
LEAST = 0.8
"""Of the modules, whose tests are in a file of their own."""

THEMES = {
    "captions/folder/test_traps": "what folders of real use hold",
    "captions/test_corpus": "the captions that rules are measured on",
    "captions/test_docs": "the page about the rules",
    "cli/test_commands": "what all commands have in common",
    "cli/test_docs": "the pages about the commands",
    "evidence/test_verdicts": "the benchmark of wrong captions",
    "integrations/loggers/test_behaviour": "the table of what trackers do",
    "integrations/loggers/test_conformance": "the suite for authors, on our own backends",
    "integrations/trainers/test_ai_toolkit": "ai-toolkit as a whole, on a trainer like it",
    "integrations/trainers/test_conformance": "the suite for authors, on our own adapters",
    "integrations/trainers/test_trl": "trainers of TRL, which the adapter of transformers serves",
    "pages/served/test_editing": "editing on a real server and in a real browser",
    "pages/test_first_sight": "what the first screen says, in a browser",
    "pages/test_page": "the page in a browser",
    "pages/test_screenshots": "the pictures of the documents",
    "records/test_random_programs": "whatever torch calls follow one another, in a captured step",
    "runs/store/test_faults": "stores and networks that fail",
    "statistics/test_large_logs": "logs that are read in parts",
    "training/ranks/test_ranks": "several processes as one run",
    "training/test_left_out": "the way from a decision to the next training",
}
"""Files of tests that are about more than one module, and what they are about. `tests/faults`, `tests/real_trainers`
and the files at the top are about the whole."""

ABOUT_THE_WHOLE = ("faults", "real_trainers")


def modules() -> list[Path]:
    """Every module with something to promise, relative to the root.

    Those without a function, and without a class that has a method, are left out: types, constants and protocols.
    """
    found = [path for room in ("loss_logging", "integrations") for path in (ROOT / room).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found if path.name != "__init__.py" and promises(path))


def promises(path: Path) -> bool:
    """Whether a module does something; a method of a protocol says only what others do."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    own = [node for node in classes if not any("Protocol" in ast.unparse(base) for base in node.bases)]
    bodies = [tree.body, *(node.body for node in own)]
    return any(isinstance(node, functions) for body in bodies for node in body)


def room_of(module: Path) -> str:
    """The folder below tests/ that mirrors the room of a module."""
    first, *rest = module.parts
    return first if first == "integrations" else rest[0] if len(rest) > 1 else ""


def files_of(module: Path) -> list[Path]:
    """The files with the tests of a module, anywhere in its room."""
    return sorted((TESTS / room_of(module)).rglob(f"test_{module.stem}.py"))


def test_modules_have_files_of_their_own() -> None:
    """At least four in five; those that have none are named."""
    every = modules()
    without = [module.as_posix() for module in every if not files_of(module)]
    assert 1 - len(without) / len(every) >= LEAST, f"{len(without)} of {len(every)}: {', '.join(without)}"


@pytest.mark.parametrize("room", sorted(path.name for path in TESTS.iterdir() if path.is_dir()))
def test_every_file_of_tests_names_a_module_or_is_a_theme(room: str) -> None:
    """A module that was renamed takes its tests along."""
    if room in ABOUT_THE_WHOLE:
        return
    source = ROOT / "integrations" if room == "integrations" else ROOT / "loss_logging" / room
    names = {path.stem for path in source.rglob("*.py")}
    files = [path.relative_to(TESTS).with_suffix("") for path in (TESTS / room).rglob("test_*.py")]
    unknown = [path.as_posix() for path in files if path.name.removeprefix("test_") not in names]
    assert [path for path in unknown if path not in THEMES] == []


def test_themes_are_there() -> None:
    """A theme whose file is gone is no theme any more."""
    assert [theme for theme in THEMES if not (TESTS / f"{theme}.py").is_file()] == []
