"""loss_logging/captions/folder: check, formats, repair, and the command"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned_folders import NOISE, image, loss_logging
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sarif_pydantic import Sarif

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import Finding, FolderCheck, check_folder
from loss_logging.captions.folder.formats import WRITERS
from loss_logging.captions.ignore import IgnoreList
from loss_logging.cli.tables.check import print_check, print_repairs

HOSTILE = "=cmd|' /C calc'!A0 [bold]a[/] \x1b]0;t\x07 \u202e ::error::x\n%0A, \ud800 <unk>"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the captions, with an image beside each, and other files as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        if path.suffix == ".txt":
            path.with_suffix(".png").write_bytes(image())
    return folder


def found(check: FolderCheck) -> set[tuple[str, str, str]]:
    """Severity, rule and path of what was found."""
    return {(finding.severity, finding.rule, finding.path) for finding in check.findings()}


def written(check: FolderCheck, output: str) -> str:
    """What was found, in a format."""
    out = io.StringIO()
    WRITERS[output](check, out)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good and bad captions, a table, and files that cannot be read."""
    table = '{"file_name": "1.png", "text": "a horse <|endoftext|> on a hill"}\n{"file_name"\n'
    write(
        tmp_path / "set",
        {
            "cats/1.txt": "a cat on a sofa\n",
            "cats/2.txt": "a cat on a chair\nbeside a <unk> lamp",
            "cats/3.txt": "untitled",
            "cats/4.txt": b"\x89PNG\r\n\x1a\n" + NOISE.randbytes(500),
            "cats/5.png": image(),
            "cats/6.txt": "un café crème à la fenêtre".encode("cp1252"),
            "table/metadata.jsonl": table,
            "table/1.png": image(),
        },
    )
    return tmp_path / "set"


# --- what is found ------------------------------------------------------------------------------------------------


def test_everything_is_found(folder: Path) -> None:
    """Captions, missing captions and files that cannot be read are found, the gravest first, and counted."""
    check = check_folder(folder)
    assert found(check) == {
        ("error", "binary", "cats/4.txt"),
        ("error", "broken_line", "table/metadata.jsonl"),
        ("error", "empty", "cats/3.png"),
        ("error", "empty", "cats/5.png"),
        ("error", "suspicious", "cats/2.png"),
        ("error", "suspicious", "table/1.png"),
        ("warning", "not_utf8", "cats/6.txt"),
    }
    assert [finding.severity for finding in check.findings()] == ["error"] * 6 + ["warning"]
    assert dict(check.counts) == {"error": 6, "warning": 1}


def test_positions(folder: Path) -> None:
    """A finding says where in the file it is: line and columns of a text, the line of a table."""
    positions = {f.path: (f.line, f.column, f.end_line, f.end_column) for f in check_folder(folder).findings()}
    assert positions["cats/2.png"] == (2, 10, 2, 15)
    assert positions["table/1.png"] == (1, None, None, None)
    assert positions["table/metadata.jsonl"] == (2, None, None, None)


def test_kohya_class_tokens(tmp_path: Path) -> None:
    """In kohya's folders an image without caption is trained on the folder's name, which is no error."""
    check = check_folder(write(tmp_path, {f"10_sks dog/{i}.png": image() for i in range(4)}))
    assert found(check) == {("info", "class_tokens", "10_sks dog")}
    assert check.captions.datasets["10_sks dog"].profile == "instance"


def test_one_image_with_two_captions(tmp_path: Path) -> None:
    """The same image under two names is known by its bytes; others of the same size are not the same."""
    write(tmp_path, {f"{i}.txt": f"a photo of thing number {i} on a table" for i in range(4)})
    (tmp_path / "0.png").write_bytes((tmp_path / "1.png").read_bytes())
    conflicts = {path for _, rule, path in found(check_folder(tmp_path)) if rule == "conflict"}
    assert conflicts == {"0.png", "1.png"}


def test_ignore_list(folder: Path) -> None:
    """What is on the list is not found, captions and files alike; a line that nothing needs is named."""
    ignore = IgnoreList(["suspicious cats/*", "not_utf8 *", "binary cats/4.txt", "short none/*"])
    check = check_folder(folder, ignore=ignore)
    assert {rule for _, rule, _ in found(check)} == {"broken_line", "empty", "suspicious"}
    assert check.captions.ignored == 1
    assert [line for line in check.captions.warnings if "none/*" in line]
    assert len(check.captions.warnings) == 1


def test_a_single_table(tmp_path: Path) -> None:
    """A Parquet file is checked by itself."""
    pq.write_table(
        pa.table({"path": ["a.png", "b.png"], "caption": ["a cat on a sofa", "nan"]}), tmp_path / "a.parquet"
    )
    check = check_folder(tmp_path / "a.parquet")
    assert found(check) == {("error", "empty", "b.png")}
    assert [finding.line for finding in check.findings()] == [2]


# --- formats ------------------------------------------------------------------------------------------------------


def test_json(folder: Path) -> None:
    """Strict JSON of everything that was found."""
    check = check_folder(folder)
    data = json.loads(written(check, "json"), parse_constant=pytest.fail)
    assert data["counts"] == {"error": 6, "warning": 1, "info": 0}
    assert data["captions"] == 6
    assert data["datasets"]["cats"]["captions"] == 5
    assert msgspec.convert(data["findings"], list[Finding]) == list(check.findings())


def test_csv(folder: Path) -> None:
    """One row for each finding."""
    check = check_folder(folder)
    rows = list(csv.DictReader(io.StringIO(written(check, "csv"))))
    assert [(row["severity"], row["rule"], row["path"]) for row in rows] == [
        (finding.severity, finding.rule, finding.path) for finding in check.findings()
    ]


def test_github(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One workflow command a line, with the path from the working folder."""
    monkeypatch.chdir(folder.parent)
    lines = written(check_folder(folder), "github").splitlines()
    assert len(lines) == 7
    (unk,) = (line for line in lines if "<unk>" in line)
    assert unk.startswith("::error file=set/cats/2.txt,line=2,endLine=2,col=10,endColumn=15,title=suspicious::Contains")


def test_sarif(folder: Path) -> None:
    """Valid SARIF 2.1.0 whose rules, levels and places are those of the findings."""
    check = check_folder(folder)
    text = written(check, "sarif")
    log = Sarif.model_validate_json(text)
    (run,) = log.runs
    assert run.results
    for result, finding in zip(run.results, check.findings(), strict=True):
        assert result.rule_id == run.tool.driver.rules[result.rule_index].id == finding.rule
        assert result.message.text == finding.message
        place = result.locations[0].physical_location
        assert unquote_to_bytes(place.artifact_location.uri.removeprefix("file://")) == os.fsencode(finding.source)
        assert (place.region.start_line if place.region else None) == finding.line
    data = json.loads(text)
    assert data["version"] == "2.1.0"
    assert {result["level"] for result in data["runs"][0]["results"]} == {"error", "warning"}


@pytest.mark.parametrize("output", ["table", "json", "csv", "github", "sarif"])
def test_hostile_captions_and_names(tmp_path: Path, output: str) -> None:
    """Whatever captions and names hold, the output is UTF-8, well-formed, and steers no terminal and no workflow."""
    name = os.fsdecode(b"caf\xe9 ::,[bold]%\n\x1b[2J")
    rows = [{"file_name": "a.png", "text": HOSTILE}]
    write(tmp_path, {f"{name}.txt": "a <unk> cat", "metadata.jsonl": "\n".join(map(json.dumps, rows))})
    check = check_folder(tmp_path)
    assert len(check.captions.flagged) == 2
    if output == "table":
        out = io.StringIO()
        print_check(check, Console(file=out, width=160))
        text = out.getvalue()
        assert "\x1b" not in text
        assert "\u202e" not in text
    else:
        text = written(check, output)
    text.encode()
    lines = text.splitlines()
    if output == "github":
        assert all(line.startswith(("::error file=", "::warning file=", "::notice file=")) for line in lines)
        assert len(lines) == len(list(check.findings()))
    if output == "sarif":
        Sarif.model_validate_json(text)
    if output == "json":
        json.loads(text)
    if output == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == 1 + len(list(check.findings()))


def test_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names datasets with their guessed profile, rules, and the worst captions with what is wrong marked."""
    monkeypatch.chdir(folder.parent)
    write(folder, {f"booru/{i}.txt": f"1girl, solo, long hair, dress {i}" for i in range(3)})
    out = io.StringIO()
    print_check(check_folder(folder, CaptionConfig(profiles={"cats": "prose"})), Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    (cats,) = (line for line in lines if line.startswith(" cats "))
    assert cats.split() == ["cats", "prose", "5", "3", "0", "0"]
    (booru,) = (line for line in lines if line.startswith(" booru "))
    assert booru.split() == ["booru", "tags", "(guessed)", "3", "0", "0", "0"]
    place = lines.index("error suspicious set/cats/2.txt:2:10")
    caption, mark = lines[place + 1 : place + 3]
    assert caption[mark.index("^") : mark.rindex("^") + 1] == "<unk>"
    assert lines[-1] == "9 captions: 6 errors, 1 warning, 0 to know"


# --- repairs ------------------------------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that is not a backup."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".captions-backup" not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_fix(folder: Path) -> None:
    """What is safe is repaired and backed up; everything else is as it was, and once is as good as twice."""
    damaged = b"\xef\xbb\xbfa cat &amp; a dog\xe2\x80\x8b in  the snow \r\n"
    write(folder, {"cats/7.txt": damaged})
    (folder / "cats" / "7.txt").chmod(0o640)
    before = tree(folder)
    first = check_folder(folder, repair="write")
    after = tree(folder)
    assert {name for name in before if before[name] != after[name]} == {"cats/7.txt"}
    assert after["cats/7.txt"] == b"a cat & a dog in the snow\r\n"
    assert (folder / "cats" / "7.txt").stat().st_mode & 0o777 == 0o640
    (backup,) = folder.glob(".captions-backup-*")
    assert tree(backup) == {"cats/7.txt": damaged} or (backup / "cats" / "7.txt").read_bytes() == damaged
    assert first.repairer is not None
    assert len(first.repairer.repairs) == 1
    second = check_folder(folder, repair="write")
    assert tree(folder) == after
    assert second.repairer is not None
    assert second.repairer.repairs == []
    assert found(second) == found(check_folder(folder))


def test_diff_changes_nothing(folder: Path) -> None:
    """Only to be shown, a repair is not made; tables are counted and left alone in any case."""
    write(
        folder,
        {"cats/7.txt": "a cat\u200b on  a sofa", "table/metadata.jsonl": '{"file_name": "1.png", "text": "a  cat"}'},
    )
    before = tree(folder)
    check = check_folder(folder, repair="show")
    assert tree(folder) == before
    assert not list(folder.glob(".captions-backup-*"))
    assert check.repairer is not None
    assert check.repairer.in_tables == 1
    out = io.StringIO()
    print_repairs(check.repairer.repairs, Console(file=out, width=160))
    assert out.getvalue().splitlines()[1:] == ["- a cat\\u200b on  a sofa", "+ a cat on a sofa"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are a matter of POSIX")
def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be written it stays as it is and is named, and the rest is repaired."""
    write(tmp_path, {"a/1.txt": "a  cat in the snow", "b/2.txt": "a  dog in the snow"})
    for folder, mode in ((tmp_path, 0o777), (tmp_path / "a", 0o555), (tmp_path / "b", 0o777)):
        folder.chmod(mode)
    monkeypatch.chdir(tmp_path)
    check_folder(".")  # what it imports lies where only this user may read
    user = os.geteuid()
    if user == 0:  # who may write everything
        os.seteuid(65_534)
    try:
        check = check_folder(".", repair="write")
    finally:
        os.seteuid(user)
        (tmp_path / "a").chmod(0o700)
    assert found(check) == {("error", "not_repaired", "a/1.txt")}
    assert tree(tmp_path)["a/1.txt"] == b"a  cat in the snow"
    assert tree(tmp_path)["b/2.txt"] == b"a dog in the snow"


@settings(deadline=None)  # the first repair imports
@given(st.text(max_size=60), st.sampled_from(["", "\n", "\r\n"]))
def test_fixing_twice_is_fixing_once(tmp_path_factory: pytest.TempPathFactory, caption: str, end: str) -> None:
    """Whatever the caption, a second repair finds nothing to do, and a repair never makes an error."""
    folder = tmp_path_factory.mktemp("fix")
    (folder / "1.txt").write_bytes((caption + end).encode())
    check_folder(folder, repair="write")
    once = (folder / "1.txt").read_bytes()
    check = check_folder(folder, repair="write")
    assert (folder / "1.txt").read_bytes() == once
    assert check.repairer is not None
    assert not check.repairer.repairs


# --- the command --------------------------------------------------------------------------------------------------


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


def test_documentation(tmp_path: Path) -> None:
    """The commands of the page run one after the other, and print what it says."""
    page = (Path(__file__).parents[3] / "docs" / "check_captions.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(sh|text|yaml)\n(.*?)```", page, re.DOTALL)
    script = "\n".join(text for kind, text in blocks if kind == "sh")
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "160"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    outputs = [text for kind, text in blocks if kind == "text" and not text.startswith("#")]
    assert len(outputs) == 2
    assert all(text in done.stdout for text in outputs)
    (ignored,) = (text for kind, text in blocks if kind == "text" and text.startswith("#"))
    assert IgnoreList(ignored.splitlines())
    (config,) = (text for kind, text in blocks if kind == "yaml")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    assert CaptionConfig.from_file(tmp_path / "config.yaml").model == "flux"
    Sarif.model_validate_json((tmp_path / "captions.sarif").read_text(encoding="utf-8"))
