"""The README and the pages in docs/ are true: their code runs, their commands and links exist, and the README's
configuration is one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from warm import with_torch

from loss_logging import TrainConfig
from loss_logging.cli.commands import app
from loss_logging.evaluation.config import EvaluateConfig

ROOT = Path(__file__).parents[1]
PAGES = {page.name: page.read_text("utf-8") for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCKS = [
    (name, *block) for name, text in PAGES.items() for block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
]
IN_ORDER = sorted({page for page, language, _ in BLOCKS if language == "sh"} - {"check_captions.md", "start.md"})
"""Pages with shell blocks, which need what the blocks above them made. The others have a test of their own."""
FOR_CONTRIBUTORS = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "architecture.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
CALLS = sorted(
    {
        call
        for text in PAGES.values()
        for line in text.splitlines()
        for call in re.findall(r"^(?:    )?(loss-logging [a-z][^|>]*)", line)
        if "--help" not in call
    }
)


@pytest.mark.xdist_group("torch")
@pytest.mark.parametrize(
    "code",
    [pytest.param(code, id=page) for page, kind, code in BLOCKS if kind == "python" and page not in IN_ORDER],
)
def test_python_block_runs(code: str, tmp_path: Path) -> None:
    """Each Python block runs as it stands, in an empty folder, without a warning, and prints what it says."""
    run_python(code, tmp_path)


@pytest.mark.xdist_group("torch")
@pytest.mark.parametrize("page", IN_ORDER)
def test_page_runs(page: str, tmp_path: Path) -> None:
    """Python and shell blocks run one after the other in one folder, as a reader would run them."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name, language, code in BLOCKS:
        if name == page and language == "python":
            run_python(code, tmp_path)
        if name == page and language == "sh":
            done = subprocess.run(["bash", "-ec", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr


def run_python(code: str, folder: Path) -> None:
    done = with_torch().run(code, folder)
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"^print.*?# (.*)$", code, re.MULTILINE)
    assert [printed in promise for printed, promise in zip(done.stdout.splitlines(), promised, strict=False)].count(
        True
    ) == len(promised)


@pytest.mark.parametrize("call", CALLS)
def test_commands_are_taken(call: str) -> None:
    """Every command in a page, its arguments and options exist."""
    _, name, *arguments = shlex.split(call, comments=True)
    get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.relative_to(ROOT)
)
def test_links_lead_somewhere(page: Path) -> None:
    """Pictures, modules and other pages that a page names are there."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_tests_that_pages_name_exist(page: Path) -> None:
    """A test that a page names as its witness is there."""
    for path in re.findall(r"`(tests/[\w/.]+)`", page.read_text("utf-8")):
        assert (ROOT / path.replace("tests/ROOM/test_x.py", "tests")).exists(), path


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=lambda page: page.name)
def test_files_and_commands_that_contributors_read_of_exist(page: Path) -> None:
    """Modules, folders, benchmarks and targets of make that the pages for contributors name are there."""
    text = page.read_text("utf-8")
    for path in re.findall(r"`((?:tests|integrations|loss_logging|docs|benchmarks)/[\w/.]*)`", text):
        assert (ROOT / path.replace("tests/ROOM/test_x.py", "tests")).exists(), path
    for module in re.findall(r"python -m (benchmarks\.\w+|loss_logging[.\w]+)", text):
        assert find_spec(module), module
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make (\w+)\b(?!=)", text, re.MULTILINE)) <= targets


def test_the_picture_of_the_rooms_is_the_linters() -> None:
    """docs/architecture.md shows every room once, in the order of the contract in setup.cfg."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = setup["importlinter:contract:rooms"]["layers"].replace("|", " ").split()
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rooms = re.findall(r"^      (\w+)/ ", text, re.MULTILINE)
    assert rooms == [name for name in layers if (ROOT / "loss_logging" / name).is_dir()]


@pytest.mark.parametrize(
    "text", [pytest.param(code, id=page) for page, kind, code in BLOCKS if kind == "yaml" and "job_name:" in code]
)
def test_configurations_are_valid(text: str) -> None:
    """Every training configuration in a page is one."""
    given = yaml.safe_load(text)
    assert TrainConfig.from_dict(given).job_name == given["job_name"]


def test_configuration_is_valid(tmp_path: Path) -> None:
    """The YAML of docs/configuration.md is a configuration file that TrainConfig takes."""
    (text,) = (code for page, language, code in BLOCKS if language == "yaml" and page == "configuration.md")
    file = tmp_path / "train.yaml"
    file.write_text(text, "utf-8")
    assert TrainConfig.from_file(file).captions.max_words == 55


def test_the_readme_is_short() -> None:
    """A screen and a half, with one picture and one block to run; whoever wants more finds it on the site."""
    assert len(PAGES["README.md"].splitlines()) <= 90
    assert PAGES["README.md"].count("](docs/images/") == 1
    assert [language for page, language, _ in BLOCKS if page == "README.md"] == ["python"]


def test_the_readme_names_every_trainer_and_tracker() -> None:
    """Its tables lead to the page of each one that docs/trainers.md and docs/trackers.md know."""
    for page in ("trainers.md", "trackers.md"):
        rows = [line for line in PAGES[page].splitlines() if line.startswith("| [")]
        for target in re.findall(r"\]\((\w+\.md)\)", "\n".join(line.split(" | ")[0] for line in rows)):
            assert f"](docs/{target})" in PAGES["README.md"], target


def test_evaluation_is_valid() -> None:
    """The YAML of docs/evaluate.md is a configuration that `loss-logging evaluate` takes, on a cluster too."""
    text = "".join(code for page, language, code in BLOCKS if language == "yaml" and page == "evaluate.md")
    config = EvaluateConfig.from_dict(yaml.safe_load(text))
    assert (config.draws, config.engine_options["actors"]) == (16, 8)
