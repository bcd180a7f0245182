"""Writes findings/README.md from the first sentence of each script: `python findings/index.py`."""

from pathlib import Path

FOLDER = Path(__file__).parent
HEAD = """# Findings

What libraries, formats and trainers do against our written guess, and is no fault of ours. Each script installs pinned
public packages in a folder of its own, shows the behaviour, and ends with another code than 0 once it has changed.
`make findings` runs all of them; [CONTRIBUTING.md](../CONTRIBUTING.md#findings) has their form.
`python findings/index.py` writes this page from their first lines.

| script | what happens | versions |
| --- | --- | --- |
"""


def text() -> str:
    """The page: one row per script, in the order of their names."""
    return HEAD + "".join(_row(path) for path in sorted(FOLDER.glob("*.sh")))


def _row(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    versions = next(line for line in lines if line.startswith("# Versions: "))
    what = lines[1].removeprefix("# ").replace("|", "\\|").replace("**", "\\*\\*")
    return f"| [{path.stem}]({path.name}) | {what} | {versions.removeprefix('# Versions: ').split('; Python')[0]} |\n"


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(text(), encoding="utf-8")
