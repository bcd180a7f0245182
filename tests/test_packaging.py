"""What is built, what is installed, and what importing costs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from configparser import ConfigParser
from contextlib import suppress
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, distribution, metadata, requires
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from loss_logging import LossLogger
from loss_logging.version import __version__

pytestmark = pytest.mark.xdist_group("wheels")  # which are built once

ROOT = Path(__file__).parent.parent
SHIPPED = ("loss_logging", "integrations", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
HEAVY = ("torch", "wandb", "tensorboard", "tensorboardX", "pyarrow", "duckdb", "numpy")
OLD_EXTRAS = {"cli", "html", "pictures"}
"""For one release."""


def release() -> ModuleType:
    """The script that makes releases."""
    spec = spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules() -> set[str]:
    """Every file that a wheel must hold, as the path inside the wheel."""
    core = {path.relative_to(ROOT) for path in (ROOT / "loss_logging").rglob("*") if "integrations" not in path.parts}
    integrations = {Path("loss_logging") / path.relative_to(ROOT) for path in (ROOT / "integrations").rglob("*")}
    wanted = {".py", ".sql", ".json", ".typed", ".html", ".css", ".js", ".txt"}
    files = {path.as_posix() for path in core | integrations if path.suffix in wanted}
    return {path for path in files if "__pycache__" not in path} | {"loss_logging/py.typed"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel built from the source tree, and one built from the sdist as an installer would."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    release().stamp(source, "https://example.org/owner/loss_logging/")
    built = {}
    for kind, arguments in {"tree": ["--wheel"], "sdist": []}.items():
        out = tmp_path_factory.mktemp(kind)
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *arguments, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (built[kind],) = out.glob("*.whl")
    return built


@pytest.mark.parametrize("kind", ["tree", "sdist"])
def test_wheel_contents(wheels: dict[str, Path], kind: str) -> None:
    """Both wheels hold every module, SQL file and schema exactly once, all inside loss_logging, and nothing else."""
    names = zipfile.ZipFile(wheels[kind]).namelist()
    files = [name for name in names if ".dist-info/" not in name]
    assert sorted(files) == sorted(modules())
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("kind", ["tree", "sdist"])
def test_an_index_takes_the_wheel(wheels: dict[str, Path], kind: str) -> None:
    """Small, well formed, and described in a text that an index can show."""
    assert wheels[kind].stat().st_size < release().LARGEST_WHEEL
    for command in (["twine", "check", "--strict"], ["check_wheel_contents"]):
        pytest.importorskip(command[0])
        done = subprocess.run([sys.executable, "-m", *command, wheels[kind]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_metadata_of_a_release(wheels: dict[str, Path]) -> None:
    """A release says who made it and where its source is, and no link of its text is relative."""
    with zipfile.ZipFile(wheels["sdist"]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        described = message_from_bytes(wheel.read(name))
    assert described["Author"] == "The loss_logging authors"
    assert described["Version"] == __version__
    assert {url.split(",")[0] for url in described.get_all("Project-URL", [])} == {
        "Source",
        "Documentation",
        "Changelog",
        "Issues",
    }
    links = re.findall(r"\]\(([^)]*)\)", str(described.get_payload()))
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert f"https://example.org/owner/loss_logging/blob/v{__version__}/docs/start.md" in links


@pytest.mark.parametrize(
    "address", ["", "loss_logging", "http://example.org/a/b", "https://example.org", "https://x/<y>"]
)
def test_a_release_needs_an_address(address: str) -> None:
    """What is no address of a repository is an error that shows one."""
    with pytest.raises(SystemExit, match=r"--address.*such as https://HOST/OWNER/NAME"):
        release().check_address(address)


def test_the_version_has_a_dated_entry() -> None:
    """What users get with a version is in the changelog before it is released."""
    release().check_changelog()


@pytest.mark.long
def test_a_release(tmp_path: Path) -> None:
    """From the commit to new environments in which the smoke test, the README and the five minutes run."""
    command = [sys.executable, ".ci/release.py", "--address", "https://example.org/owner/loss_logging"]
    done = subprocess.run([*command, "--pythons", sys.executable, "--out", str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_wheel_runs_without_the_source_tree(wheels: dict[str, Path], tmp_path: Path) -> None:
    """From an unpacked wheel, core and integrations are imported from where they were installed."""
    zipfile.ZipFile(wheels["sdist"]).extractall(tmp_path / "site")
    code = (
        "import loss_logging, loss_logging.integrations.loggers as loggers;"
        "print(loss_logging.__file__); print(loggers.__file__); loss_logging.TrainConfig(job_name='a', save_root='b')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path / "site"
    )
    assert all(line.startswith(str(tmp_path)) for line in done.stdout.splitlines())


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import loss_logging` loads no tracker, no torch, no array library and no column store."""
    code = f"import sys, loss_logging; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_using_the_core_imports_no_tracker_and_no_torch() -> None:
    """Resolving every public name loads neither torch nor a tracker."""
    code = (
        "import sys, loss_logging; [getattr(loss_logging, name) for name in loss_logging.__all__];"
        f"print([name for name in {HEAVY[:4]} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_integrations_have_one_name() -> None:
    """The folder cannot be imported under its bare name, where the same classes would exist twice."""
    done = subprocess.run([sys.executable, "-c", "import integrations"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert "loss_logging.integrations" in done.stderr


def test_extras_are_complete() -> None:
    """`all` holds every extra that a user can ask for, and `dev` builds on it."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = dict(setup["options.extras_require"])
    inside = set(re.findall(r"[a-z0-9_]+", extras["all"].split("[")[1]))
    assert inside == set(extras) - {"all", "dev", "docs"} - OLD_EXTRAS
    assert "loss-logging[all,docs]" in extras["dev"]


def test_the_version_stands_in_one_place() -> None:
    """What is cited is what is installed."""
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert cited
    assert cited[1] == __version__


def test_pins_take_the_oldest_python() -> None:
    """A pinned version that needs a newer Python than the package says so: `make demo` works on the oldest one, too."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    oldest = setup["options"]["python_requires"].removeprefix(">=")
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    there = {"python_version": oldest, "python_full_version": f"{oldest}.0"}
    for pin in pins:
        with suppress(PackageNotFoundError):
            installed = metadata(pin.name)
            if pin.specifier.contains(installed["Version"]) and (pin.marker is None or pin.marker.evaluate(there)):
                assert SpecifierSet(installed.get("Requires-Python") or "").contains(oldest), pin


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_dependency_is_pinned_once_on_every_python(python: str) -> None:
    """constraints.txt has exactly one version of whatever the extra `dev` asks for, on each Python that we name."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_python_implementation": "CPython",
    }
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = Counter(canonicalize_name(pin.name) for pin in pins if pin.marker is None or pin.marker.evaluate(there))
    assert set(pinned.values()) == {1}
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert f"Programming Language :: Python :: {python}" in setup["metadata"]["classifiers"]
    texts = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    for asked in map(Requirement, [line for text in texts for line in text.split("\n") if line and line[0] != "#"]):
        if asked.name != "loss-logging" and (asked.marker is None or asked.marker.evaluate(there)):
            assert canonicalize_name(asked.name) in pinned


def test_extras_are_documented() -> None:
    """docs/install.md has a row for each extra, with what it installs; documents name no others."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", text, re.MULTILINE))
    assert set(rows) == set(setup["options.extras_require"]) - OLD_EXTRAS
    for extra in set(rows) - {"all", "dev"}:
        installs = set()
        for line in setup["options.extras_require"][extra].strip().splitlines():
            ours = re.match(r"loss-logging\[(.*)\]", line)
            installs |= {f"`{name}`" for name in ours[1].split(",")} if ours else {re.match(r"[\w-]+", line)[0]}  # type: ignore[index]
        assert set(rows[extra].strip().split(", ")) == installs, extra
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for named in re.findall(r'pip install "\.\[(.*?)\]"', page.read_text("utf-8")):
            assert set(named.split(",")) <= set(rows), page


def core_packages() -> set[str]:
    """The core's requirements, and theirs, as names of distributions."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requires("loss-logging") or [] if "extra ==" not in text]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in requires(name) or []]
    return found


@pytest.fixture(scope="module")
def core_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which the core's requirements are, and nothing else."""
    site = tmp_path_factory.mktemp("site")
    for name in core_packages() | {"loss-logging"}:
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(str(installed.locate_file(top)))
    if not (site / "loss_logging").exists():  # an editable installation
        (site / "loss_logging").symlink_to(ROOT / "loss_logging")
    return site


@pytest.fixture(scope="module")
def folder_with_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with captions, and a run of two save steps."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "pets").mkdir()
    (folder / "pets" / "1.txt").write_text("a cat on a sofa", "utf-8")
    (folder / "pets" / "1.png").touch()
    with LossLogger(job_name="cats", save_root=folder / "run", loggers=[], reporter="inline") as losses:
        for step in (1, 2):
            losses.log_batch(step, [0.5], paths=["1.png"], datasets="pets", captions=["a cat"])
            losses.save_step(step)
    return folder


@pytest.mark.parametrize(
    "command", ["--help", "check-captions pets --json", "show run", "compare run", "export run --to csv"]
)
def test_the_command_line_needs_no_extra(command: str, core_only: Path, folder_with_a_run: Path) -> None:
    """Commands that need no model and no browser run where the core's requirements alone are installed."""
    code = f"import sys; sys.argv[1:] = {command.split()!r}; from loss_logging.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd=folder_with_a_run,
        env=os.environ | {"PYTHONPATH": str(core_only)},
    )
    assert done.returncode == 0, done.stderr
