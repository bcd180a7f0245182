"""What is built, what is installed, and what importing costs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = ("loss_logging", "integrations", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
HEAVY = ("torch", "wandb", "tensorboard", "tensorboardX", "pyarrow", "duckdb", "numpy")


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
    assert inside == set(extras) - {"all", "dev"}
    assert "loss-logging[all]" in extras["dev"]
