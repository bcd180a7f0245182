from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from captioned_folders import write as as_they_are
from checked_folders import write
from command import loss_logging
from sarif_pydantic import Sarif


def test_command(folder: Path) -> None:
    """The command prints the table and exits with 1; where nothing is wrong, with 0."""
    done = loss_logging("check-captions", "set", cwd=folder.parent)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "error suspicious set/cats/2.txt:2:10" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("6 captions: 6 errors, 1 warning")
    clean = write(folder.parent / "clean", {"1.txt": "a cat on a sofa"})
    done = loss_logging("check-captions", clean)
    assert (done.returncode, done.stderr) == (0, "")


def test_command_in_ci(folder: Path) -> None:
    """Machines read stdout alone, in any locale; --fail-on decides what is grave."""
    done = loss_logging("check-captions", folder, "--format", "json", LC_ALL="C", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["counts"]["error"] == 6
    assert loss_logging("check-captions", folder, "--json").stdout == done.stdout
    done = loss_logging("check-captions", folder, "--format", "sarif", "--fail-on", "never")
    assert (done.returncode, done.stderr) == (0, "")
    Sarif.model_validate_json(done.stdout)


def test_command_options(folder: Path, tmp_path: Path) -> None:
    """A file of rules, an ignore file in the folder, a profile and a tokenizer count."""
    write(folder, {".captions-ignore": "binary,not_utf8 *\nempty cats/*\n"})
    config = tmp_path / "rules.yaml"
    config.write_text("captions: {rules: {disabled: [suspicious], severities: {empty: warning}}}", encoding="utf-8")
    done = loss_logging("check-captions", folder, "--config", config, "--profile", "prose", "--format", "csv")
    assert [row["rule"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["broken_line"]
    done = loss_logging("check-captions", folder, "--json", "--format", "csv")
    assert done.returncode == 2
    done = loss_logging("check-captions", folder, "--tokenizer", "nowhere:none")
    assert done.returncode == 1
    assert done.stderr.startswith("loss-logging: $.reading.tokenizer: cannot load 'nowhere:none'")


def test_command_fixes(folder: Path) -> None:
    """--fix repairs, says what, and where the backup is."""
    write(folder, {"cats/7.txt": "a cat &amp; a dog"})
    done = loss_logging("check-captions", folder, "--fix")
    assert "- a cat &amp; a dog\n+ a cat & a dog\n" in done.stdout
    assert "1 caption file repaired; backup: " in done.stdout
    assert (folder / "cats" / "7.txt").read_text(encoding="utf-8") == "a cat & a dog"


def test_command_fails_with_a_sentence(tmp_path: Path) -> None:
    """What does not exist or holds no captions is named, without traceback."""
    write(tmp_path, {"a.csv": "x,y\n1,2\n"})
    for name in ("none", "a.csv"):
        done = loss_logging("check-captions", tmp_path / name)
        assert done.returncode == 1
        assert done.stderr.startswith("loss-logging: ")
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_no_model_is_needed(folder: Path) -> None:
    """Neither torch nor a tracker is imported."""
    code = (
        "import sys; from loss_logging.captions.folder.check import check_folder; check_folder(sys.argv[1]);"
        "print([name for name in ('torch', 'wandb', 'tensorboard', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"1.txt": "a cat on a sofa", "2.txt": "nan"}, "none of 2 pictures opens"),
        ({"1.mp4": b"\0\0\0\x18ftypmp42", "1.txt": "a cat on a sofa"}, "none of 1 pictures opens"),
        ({"1.png": b"", "2.png": b""}, "no picture has one"),
    ],
)
def test_a_page_of_captions_without_pictures_that_open(
    tmp_path: Path, files: dict[str, str | bytes], said: str
) -> None:
    """Texts alone, videos, and pictures without captions have a page; it says that nothing was compared."""
    pytest.importorskip("sklearn")
    as_they_are(tmp_path / "set", files)
    done = loss_logging("check-captions", "set", "--html", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    assert said in (tmp_path / "page.html").read_text("utf-8")
    with_pictures = loss_logging("check-captions", "set", "--pictures", "--html", "asked.html", cwd=tmp_path)
    assert with_pictures.returncode == (0 if "has one" in said else 1)
