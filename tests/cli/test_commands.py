"""loss_logging.cli, loss_logging.cli.commands and loss_logging.cli.tables.report"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import loss_logging
from item_reports import save
from typer.main import get_command

from loss_logging.cli.commands import app

COMMANDS = tuple(get_command(app).commands)  # type: ignore[attr-defined]


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


WITHOUT_PANDAS = """
import sys
from loss_logging.cli import main
sys.argv = ["loss-logging", *sys.argv[1:]]
try:
    main()
finally:
    assert "pyarrow" in sys.modules and "pandas" not in sys.modules
"""


def test_no_command_loads_pandas(tmp_path: Path) -> None:
    """It is installed here, and pyarrow would load it to ask whether a list is one of its series, which takes a quarter
    of the time of a command on a small run."""
    save(tmp_path, [{("d", "1.png"): [1.0], ("d", "2.png"): [3.0]}, {("d", "1.png"): [1.0]}])
    items, page = tmp_path / "items.csv", tmp_path / "page.html"
    for command in (
        ("compare", tmp_path),
        ("show", tmp_path),
        ("report", tmp_path, "--step", "1"),
        ("html", tmp_path, "--out", page),
        ("export", tmp_path, "--to", "csv", "--out", items),
    ):
        done = subprocess.run([sys.executable, "-c", WITHOUT_PANDAS, *command], capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)


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
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for program in (code, code.replace("sys.stderr.isatty = lambda: True", ""))
    ]
    shown, piped = (process.communicate()[1].decode() for process in processes)
    assert "reading" in shown
    assert "counting" in shown
    assert "quick" not in shown
    assert "unseen" not in shown
    assert shown.split("\r")[-1].strip() == ""
    assert piped == ""


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


def console_script(**environment: str) -> subprocess.CompletedProcess[str]:
    """The installed one, called by its name, as shells know it."""
    script = Path(sys.executable).with_name("loss-logging")
    return subprocess.run([script], capture_output=True, text=True, env=os.environ | environment)


def test_completion() -> None:
    """Shells get the names of commands and of what an option may be."""
    for typed, expected in (("loss-logging ex", "export"), ("loss-logging push x --to te", "tensorboard")):
        done = console_script(
            _LOSS_LOGGING_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(typed.split()) - 1)
        )
        assert expected in done.stdout.split()
    typed = {"_TYPER_COMPLETE_ARGS": "loss-logging ex", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    for shell in ("zsh", "fish"):
        assert "export" in console_script(_LOSS_LOGGING_COMPLETE=f"complete_{shell}", **typed).stdout
    assert (
        "complete" in console_script(_LOSS_LOGGING_COMPLETE="source_bash").stdout
    )  # what --install-completion installs


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


ENDINGS = {
    "raise": 130,
    "raise RuntimeError('a worker was lost')": 130,
    "raise OSError(4, 'interrupted')": 130,
    "raise LossLoggingError('no images')": 130,
    "sys.exit(1)": 130,
    "sys.exit('Aborted!')": 130,
    "sys.exit(0)": 0,
    "pass": 0,
}
"""What a library may make of a KeyboardInterrupt, and what a command then exits with."""

INTERRUPTED = """
import json, os, signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)
from loss_logging import cli
from loss_logging.errors import LossLoggingError
def app(becomes):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        exec(becomes)
class Importing:
    def __init__(self, becomes):
        self.becomes = becomes
    @property
    def app(self):
        app(self.becomes)
        return lambda: None
for when in ("importing", "running"):
    for becomes in sys.argv[1:]:
        if (child := os.fork()) == 0:
            ours = types.SimpleNamespace(app=lambda: app(becomes)) if when == "running" else Importing(becomes)
            sys.modules["loss_logging.cli.commands"] = ours
            cli.main()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([when, becomes, code]), flush=True)
"""


@pytest.fixture(scope="module")
def interrupted() -> tuple[dict[tuple[str, str], int], str]:
    """The exit status of each way to end, when importing and when running; and what all of them said."""
    command = [sys.executable, "-c", INTERRUPTED, *ENDINGS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {(when, becomes): code for when, becomes, code in map(json.loads, done.stdout.splitlines())}, done.stderr


@pytest.mark.xdist_group("interrupted")  # all by one process
@pytest.mark.parametrize(("becomes", "code"), ENDINGS.items())
@pytest.mark.parametrize("when", ["importing", "running"])
def test_ctrl_c_exits_with_130_whatever_becomes_of_it(
    becomes: str, code: int, when: str, interrupted: tuple[dict[tuple[str, str], int], str]
) -> None:
    """Also while modules are imported, and where a library makes another error of it; what is done is done."""
    codes, said = interrupted
    assert codes[when, becomes] == code, said
    assert "Traceback" not in said


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


def test_the_help_loads_no_library_of_a_command() -> None:
    """Help and completion answer at once: no table, array or configuration library, and none that draws frames."""
    run = "from loss_logging.cli.commands import app; app(['--help'], standalone_mode=False)"
    code = f"import sys; {run}; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in printed.split()}
    assert loaded.isdisjoint({"duckdb", "msgspec", "numpy", "pyarrow", "pydantic", "pygments", "torch", "yaml"})


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
