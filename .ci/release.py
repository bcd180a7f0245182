"""A release: the wheel and the sdist of the commit that is checked out, checked, installed and tried.

    python .ci/release.py --address https://HOST/OWNER/loss_logging --pythons python3.10 python3.13

``--address`` is the repository's, for the metadata and for the links of README.md, which must be absolute on an index.
It stands nowhere else. Nothing is uploaded: the last line says how to. `make test LONG=yes` comes before it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.search(r'__version__ = "(.*)"', (ROOT / "loss_logging" / "version.py").read_text("utf-8"))[1]
LARGEST_WHEEL = 1_200_000  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, help="of the repository, such as https://HOST/OWNER/loss_logging")
    parser.add_argument("--pythons", nargs="+", default=["python3.10", "python3.13"], help="the oldest and the newest")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    given = parser.parse_args()
    check_address(given.address)
    check_changelog()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        check_out(source)
        stamp(source, given.address)
        built = build(source, given.out)
        check(built)
        for python in given.pythons:
            for file in built:
                try_core(python, file, Path(folder) / f"{Path(python).name}-{file.name}")
        (wheel,) = (file for file in built if file.suffix == ".whl")
        for page in ("README.md", "docs/start.md"):
            follow(ROOT / page, wheel, Path(folder) / Path(page).stem)
    names = ", ".join(file.name for file in built)
    print(f"good: {names}. Now, if make test LONG=yes has passed: git tag v{VERSION}; twine upload them")


def check_address(address: str) -> None:
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+)+", address):
        sys.exit(f"--address: got {address!r}; allowed: the repository's address, such as https://HOST/OWNER/NAME")


def check_changelog() -> None:
    """The version that is released has a dated entry."""
    if not re.search(rf"^## \[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M):
        sys.exit(f"CHANGELOG.md: a heading '## [{VERSION}] - YYYY-MM-DD' is missing")


def check_out(source: Path) -> None:
    """The files of the commit, and nothing that lies about."""
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)


def stamp(source: Path, address: str) -> None:
    """Write the repository's address into the metadata, and make the README's links absolute."""
    address = address.rstrip("/")
    urls = {
        "Source": address,
        "Documentation": f"{address}/blob/v{VERSION}/docs/index.md",
        "Changelog": f"{address}/blob/v{VERSION}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
    setup, readme = source / "setup.cfg", source / "README.md"
    lines = "".join(f"    {name} = {url}\n" for name, url in urls.items())
    text = setup.read_text("utf-8").replace("[metadata]\n", f"[metadata]\nurl = {address}\nproject_urls =\n{lines}", 1)
    setup.write_text(text, "utf-8")
    text = readme.read_text("utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:|#)", rf"\1{address}/raw/v{VERSION}/", text)
    text = re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?:|#)", rf"\1{address}/blob/v{VERSION}/", text)
    readme.write_text(text, "utf-8")


def build(source: Path, out: Path) -> list[Path]:
    """The sdist, and the wheel that is made of it. The time in the wheel is the commit's: two builds give one file."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"loss_logging-{VERSION}*"):
        old.unlink()
    time = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, SOURCE_DATE_EPOCH=time.stdout.strip())
    return sorted(out.glob(f"loss_logging-{VERSION}*"))


def check(built: list[Path]) -> None:
    """What an index shows and takes, what the wheel holds, and its size."""
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    for file in built:
        if file.suffix == ".whl":
            run(sys.executable, "-m", "check_wheel_contents", file)
            if file.stat().st_size > LARGEST_WHEEL:
                sys.exit(f"{file.name} has {file.stat().st_size} bytes; allowed: {LARGEST_WHEEL}")


def try_core(python: str, file: Path, folder: Path) -> None:
    """The file alone, in a new environment and an empty folder."""
    inside = install(python, str(file), folder)
    run(inside / "python", ROOT / ".ci" / "smoke.py", VERSION, cwd=folder)
    print(f"good: {file.name} on {python}")


def follow(page: Path, wheel: Path, folder: Path) -> None:
    """What a page tells a reader to install and to run, in its order, in a folder without the source."""
    text = page.read_text("utf-8")
    extras = re.search(r'pip install "\.(\[.*?\])"', text)[1]
    inside = install(sys.executable, f"{wheel}{extras}", folder)
    for language, block in re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL):
        program = (inside / "python", "-W", "error", "-c") if language == "python" else ("bash", "-ec")
        run(*program, block, cwd=folder, PATH=f"{inside}{os.pathsep}{os.environ['PATH']}")
    print(f"good: {page.name} from the wheel alone")


def install(python: str, requirement: str, folder: Path) -> Path:
    """A new environment in ``folder``; where its programs are."""
    if shutil.which(python) is None:
        sys.exit(f"--pythons: {python} is not on this machine; allowed: interpreters that are on the PATH")
    run(python, "-m", "venv", folder / "venv")
    inside = folder / "venv" / "bin"
    run(inside / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", requirement)
    return inside


def run(*command: object, cwd: Path | None = None, **variables: str) -> None:
    # No environment of this interpreter is seen by those that are tried.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([str(part) for part in command], cwd=cwd, env=kept | variables, check=True)


if __name__ == "__main__":
    main()
