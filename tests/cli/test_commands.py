"""loss_logging.cli, loss_logging.cli.commands and loss_logging.cli.tables.report"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from item_reports import save, save_pairs
from rich.console import Console
from typer.main import get_command

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.cli.commands import app
from loss_logging.cli.tables.report import cell, path_cell, print_report
from loss_logging.reports.report import DatasetReport, Job, LossReport, Summary, Worst, WorstItem

COMMANDS = tuple(get_command(app).commands)  # type: ignore[attr-defined]
HOSTILE = "[bold red]a[/] \x1b]0;title\x07 \x1b[2J \u202e line\nbreak"


def summary(mean: float | None = 0.25) -> Summary:
    quantiles = dict.fromkeys(("0.05", "0.25", "0.5", "0.75", "0.95", "0.99"), mean)
    return Summary(12, mean, mean, mean, mean, 0.0, 3, quantiles)


def report(caption: str = "a cat", step: int = 250) -> LossReport:
    item = WorstItem("cats", "images/cats/0001.png", caption, 0.75, 4, 0.5, 0.1, 7.5)
    return LossReport(
        job=Job("job", step, "2026-01-01T00:00:00Z"),
        global_=summary(),
        datasets={"cats": DatasetReport(summary()), "dogs": DatasetReport(summary(None))},
        flagged=[FlaggedCaption("images/cats/0002.png", "cats", caption, 0.5, ["empty", "short"], 1.0, "error")],
        flagged_summary={"empty": 1, "short": 1},
        worst=Worst(hard=[item], caption_mismatch=[item]),
        warnings=["3 records were dropped"],
    )


def printed(shown: LossReport, rows: int = 10) -> str:
    text = StringIO()
    print_report(shown, Console(file=text, width=160), rows)
    return text.getvalue()


def loss_logging(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed console script, as a user runs it."""
    script = Path(sys.executable).with_name("loss-logging")
    return subprocess.run(
        [str(script), *arguments], capture_output=True, text=True, env=os.environ | {"COLUMNS": "160"} | environment
    )


def write(shown: LossReport, folder: Path) -> Path:
    path = folder / f"{shown.job.name}_{shown.job.step:09d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(shown))
    return path


def test_tables() -> None:
    """Every dataset, both rankings and the flagged captions are shown with their figures; None stays empty."""
    text = printed(report())
    for expected in (
        "job, step 250",
        "3 records were dropped",
        "cats",
        "dogs",
        "0.25",
        "0.75",
        "empty, short",
        "a cat",
    ):
        assert expected in text
    assert "caption_mismatch" in text
    assert "hard" in text
    assert "1 empty, 1 short" in text
    (dogs,) = (line for line in text.splitlines() if "dogs" in line)
    assert dogs.count(" - ") == 4


def test_empty_tables_are_left_out() -> None:
    """A run without paired records or flags shows no empty table."""
    text = printed(msgspec.structs.replace(report(), worst=Worst(), flagged=[], flagged_summary={}))
    assert "Worst" not in text
    assert "Flagged" not in text


def test_rows() -> None:
    """At most so many lines per table."""
    many = [WorstItem("cats", f"{i}.png", f"caption {i}", 1.0 - i / 100, 4, 0.5) for i in range(30)]
    text = printed(msgspec.structs.replace(report(), worst=Worst(hard=many)), rows=5)
    assert "caption 4" in text
    assert "caption 5" not in text


@pytest.mark.parametrize("field", ["caption", "path", "dataset", "reason", "job", "warning"])
def test_hostile_text_is_inert(field: str) -> None:
    """Markup and control characters in any text from the data are shown as text and steer nothing."""
    base = report()
    changes = {
        "caption": lambda: report(HOSTILE),
        "path": lambda: msgspec.structs.replace(
            base, worst=Worst(hard=[WorstItem("cats", HOSTILE, "a cat", 0.75, 4, 0.5)])
        ),
        "dataset": lambda: msgspec.structs.replace(base, datasets={HOSTILE: DatasetReport(summary())}),
        "reason": lambda: msgspec.structs.replace(base, flagged_summary={HOSTILE: 1}),
        "job": lambda: msgspec.structs.replace(base, job=Job(HOSTILE, 1, "2026-01-01T00:00:00Z")),
        "warning": lambda: msgspec.structs.replace(base, warnings=[HOSTILE]),
    }
    text = printed(changes[field]())
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    if field in ("caption", "reason", "job", "warning"):  # names are cut
        assert "[bold red]a[/] \\x1b]0;title\\x07 \\x1b[2J \\u202e line\\nbreak" in " ".join(text.split())


@given(st.text(), st.integers(2, 80))
def test_cell_fits_and_is_printable(text: str, width: int) -> None:
    """Whatever the text, a cell is one printable line of at most ``width`` characters, encodable as UTF-8."""
    for shown in (cell(text, width), path_cell(text, width)):
        assert len(shown) <= width
        assert shown.isprintable()
        shown.encode()


def test_long_captions_are_cut() -> None:
    """A caption of a megabyte takes one cell."""
    text = printed(report("word " * 200_000))
    assert len(text) < 10_000
    assert "…" in text


def test_show_file_and_folder(tmp_path: Path) -> None:
    """`show` takes a JSON report, a run's folder, or its loss_logging folder, of which it shows the last report."""
    write(report("an old caption", step=250), tmp_path / "loss_logging")
    path = write(report("a new caption", step=500), tmp_path / "loss_logging")
    for argument in (path, tmp_path, tmp_path / "loss_logging"):
        done = loss_logging("show", str(argument))
        assert done.returncode == 0, done.stderr
        assert "a new caption" in done.stdout
        assert "step 500" in done.stdout


def test_no_color(tmp_path: Path) -> None:
    """NO_COLOR is respected even where colour is forced."""
    path = write(report(), tmp_path)
    coloured = loss_logging("show", str(path), FORCE_COLOR="1", NO_COLOR="", TERM="xterm-256color")
    plain = loss_logging("show", str(path), FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[31m" in coloured.stdout
    assert "\x1b[31m" not in plain.stdout


def test_show_json(tmp_path: Path) -> None:
    """`show --json` prints the report without its items, and nothing else."""
    (path,) = save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}])
    done = loss_logging("show", str(path), "--json")
    printed_report = json.loads(done.stdout)
    assert printed_report["global"]["mean"] == 2.0
    assert printed_report["datasets"]["d"]["item_stats"] == {}
    assert done.stderr == ""


def test_compare(tmp_path: Path) -> None:
    """`compare` takes two steps of a folder, or the last two by themselves, and prints tables or JSON."""
    save(tmp_path, [{("d", "1.png"): [1.0]}, {("d", "1.png"): [3.0]}])
    table = loss_logging("compare", f"{tmp_path}@1", f"{tmp_path}@2")
    assert table.returncode == 0, table.stderr
    assert "from step 1 (A) to step 2 (B)" in table.stdout
    assert "+2.000" in table.stdout
    done = loss_logging("compare", str(tmp_path), "--json")
    assert json.loads(done.stdout)["overall"]["change"] == 2.0
    assert loss_logging("compare", str(tmp_path / "loss_logging" / "job_000000001.json")).returncode == 1


def test_export(tmp_path: Path) -> None:
    """`export` prints to standard output, or writes a file and says how much of what is there."""
    save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}])
    done = loss_logging("export", str(tmp_path), "--to", "exclude-list", "--worst", "average_loss:1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.png\n", "")
    out = tmp_path / "items.csv"
    done = loss_logging("export", str(tmp_path), "--to", "csv", "-o", str(out), "--dataset", "d")
    assert (done.returncode, done.stdout) == (0, "")
    assert "2 of 2 items written" in done.stderr
    assert out.read_text().startswith("dataset,path,count,")
    done = loss_logging("export", str(tmp_path), "--to", "csv", "--worst", "loud:3")
    assert done.returncode == 2
    assert "loud:3" in done.stderr


def test_export_of_wrong_captions_exits_with_1(tmp_path: Path) -> None:
    """For CI: 1 where a caption is very likely wrong, and its path is written; 0 where none is."""
    save_pairs(tmp_path / "bad", wrong=2, items=40)
    done = loss_logging("export", str(tmp_path / "bad"), "--to", "exclude-list", "--likely-wrong")
    assert (done.returncode, done.stdout.split(), done.stderr) == (1, ["001.png", "000.png"], "")
    assert loss_logging("export", str(tmp_path / "bad"), "--to", "exclude-list", "--look").returncode == 1
    save_pairs(tmp_path / "good", wrong=0, items=40)
    done = loss_logging("export", str(tmp_path / "good"), "--to", "exclude-list", "--likely-wrong")
    assert (done.returncode, done.stdout) == (0, "")


def test_show_names_verdicts(tmp_path: Path) -> None:
    """Captions are called wrong where they very likely are; where none stands out, that is said and none is listed."""
    text = loss_logging("show", str(save_pairs(tmp_path / "bad", wrong=2, items=40))).stdout
    assert "Captions: 2 very likely wrong, 38 with no sign of it." in text
    assert "Captions very likely wrong: 2" in text
    assert "Look at these" not in text
    text = loss_logging("show", str(save_pairs(tmp_path / "good", wrong=0, items=40))).stdout
    assert "No caption stands out of 40 that were compared." in text
    assert "very likely wrong" not in text
    assert "caption_mismatch" not in text


def test_json_everywhere(tmp_path: Path) -> None:
    """With --json, standard output is one JSON value; every command has it."""
    for name in COMMANDS:
        assert any("--json" in parameter.opts for parameter in get_command(app).commands[name].params), name  # type: ignore[attr-defined]
    save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}])
    page = json.loads(loss_logging("html", str(tmp_path), "--json").stdout)
    assert Path(page["page"]).stat().st_size == page["bytes"]
    out = tmp_path / "items.csv"
    done = json.loads(loss_logging("export", str(tmp_path), "--to", "csv", "--out", str(out), "--json").stdout)
    assert done == {"out": str(out), "items": 2, "of": 2, "warnings": []}
    assert loss_logging("export", str(tmp_path), "--to", "csv", "--json").returncode == 2
    (tmp_path / "1.txt").write_text("untitled")
    assert loss_logging("check-captions", str(tmp_path / "1.txt"), "--json").stdout.startswith("{")


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """What takes more than a second says how far it is, and leaves nothing behind; a pipe gets none of it."""
    code = (
        "import sys, time; sys.stderr.isatty = lambda: True\n"
        "from loss_logging.support.progress_bar import announced, progress_bar\n"
        "with announced('reading', shown=True): pass\n"
        "for _ in progress_bar('counting', range(3), unit=' items'): time.sleep(0.4)\n"
        "for _ in progress_bar('quick', range(3)): pass\n"
        "for _ in progress_bar('unseen', range(3), shown=False): time.sleep(0.4)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True).stderr.decode()
    assert "reading" in shown
    assert "counting" in shown
    assert "quick" not in shown
    assert "unseen" not in shown
    assert shown.split("\r")[-1].strip() == ""
    piped = subprocess.run(
        [sys.executable, "-c", code.replace("sys.stderr.isatty = lambda: True", "")], capture_output=True, text=True
    )
    assert piped.stderr == ""


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`export | head -1` ends quietly."""
    save(tmp_path, [{("d", f"{i}.png"): [1.0] for i in range(20_000)}])
    script = Path(sys.executable).with_name("loss-logging")
    command = f"'{script}' export '{tmp_path}' --to jsonl | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert json.loads(done.stdout)["path"] == "0.png"
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_are_right(name: str) -> None:
    """Every command has examples in its help, and each is one that it takes."""
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.help is not None
    examples = [line.split(" | ")[0] for line in command.help.splitlines() if line.startswith("  loss-logging ")]
    assert examples
    for example in examples:
        _, called, *arguments = shlex.split(example)
        assert called == name
        command.make_context(name, arguments)


def test_completion() -> None:
    """Shells get the names of commands and of what an option may be."""
    for typed, expected in (("loss-logging ex", "export"), ("loss-logging push x --to te", "tensorboard")):
        done = loss_logging(
            _LOSS_LOGGING_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(typed.split()) - 1)
        )
        assert expected in done.stdout.split()
    typed = {"_TYPER_COMPLETE_ARGS": "loss-logging ex", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    for shell in ("zsh", "fish"):
        assert "export" in loss_logging(_LOSS_LOGGING_COMPLETE=f"complete_{shell}", **typed).stdout
    assert "complete" in loss_logging(_LOSS_LOGGING_COMPLETE="source_bash").stdout  # what --install-completion installs


def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    """Ctrl-C ends a command with 130, and with no traceback."""
    os.mkfifo(tmp_path / "captions.csv")  # nobody writes to it: the command waits
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
        "from loss_logging.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "check-captions", tmp_path / "captions.csv"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE) as process,
        (tmp_path / "captions.csv").open("wb"),  # opens as soon as the command does
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("becomes", "code"),
    [
        ("raise", 130),
        ("raise RuntimeError('a worker was lost')", 130),
        ("raise OSError(4, 'interrupted')", 130),
        ("raise LossLoggingError('no images')", 130),
        ("sys.exit(1)", 130),
        ("sys.exit('Aborted!')", 130),
        ("sys.exit(0)", 0),
        ("pass", 0),
    ],
)
@pytest.mark.parametrize("when", ["importing", "running"])
def test_ctrl_c_exits_with_130_whatever_becomes_of_it(becomes: str, code: int, when: str) -> None:
    """Also while modules are imported, and where a library makes another error of it; what is done is done."""
    source = f"""
import os, signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)
from loss_logging import cli
from loss_logging.errors import LossLoggingError
def app():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        {becomes}
if {when == "running"}:
    sys.modules["loss_logging.cli.commands"] = types.SimpleNamespace(app=app)
else:
    class Importing:
        @property
        def app(self):
            app()
            return lambda: None
    sys.modules["loss_logging.cli.commands"] = Importing()
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_failures_exit_with_1_and_one_line(tmp_path: Path) -> None:
    """A missing file, an empty folder and a file that is no report end with 1 and a sentence, not with a traceback."""
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for argument in ("none.json", "empty", "bad.json"):
        done = loss_logging("show", str(tmp_path / argument))
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("loss-logging: ")
        assert argument in done.stderr
        assert "Traceback" not in done.stderr


def test_wrong_calls_exit_with_2() -> None:
    """An unknown command or option, or an impossible value, is a wrong call."""
    for arguments in (["shwo"], ["show", "a.json", "--rows", "0"], ["demo", "--stepps", "3"]):
        assert loss_logging(*arguments).returncode == 2


def test_unknown_logger_exits_with_1(tmp_path: Path) -> None:
    """A logger that does not exist is named, before anything is trained."""
    done = loss_logging("demo", "--out", str(tmp_path), "--loggers", "tensorbord")
    assert done.returncode == 1
    assert "tensorbord" in done.stderr
    assert "tensorboard" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_and_help() -> None:
    """--version and --help answer."""
    assert loss_logging("--version").stdout.strip().count(".") == 2
    help_text = loss_logging("--help").stdout
    assert "demo" in help_text
    assert "show" in help_text


def test_missing_extra_is_named(tmp_path: Path) -> None:
    """A command whose extra is not installed prints the pip command, and no traceback."""
    code = (
        "import sys; sys.modules['jinja2'] = None\n"  # what an import system that lacks jinja2 answers
        f"sys.argv = ['loss-logging', 'html', {str(tmp_path)!r}]\n"
        "from loss_logging.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(r"needs the package jinja2; run: pip install .*\[view\]", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check-captions", "x", "--rows", "many"], "allowed: a whole number"),
        (["check-captions", "x", "--rows", "-1"], "allowed: a value greater than or equal to 0"),
        (["check-captions", "x", "--fail-on", "bad"], "'bad' is not one of"),
        (["view", "x", "--port", "99999999"], "allowed: a value less than or equal to 65535"),
    ],
)
def test_an_impossible_option_is_said_in_words(arguments: list[str], said: str) -> None:
    """Which option, its value's fault and what is allowed; no words of the library that checks it."""
    done = loss_logging(*arguments)
    text = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 2
    assert f"Invalid value for '{arguments[2]}': {said}" in text
    assert not re.search("Input should|Value error", text)
