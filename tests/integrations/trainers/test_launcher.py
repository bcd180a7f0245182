"""integrations/trainers/launcher.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from loss_logging.integrations.trainers.launcher import launch

SCRIPT = """
import sys
class Trainer:
    name = "theirs"
if __name__ == "__main__":
    print(Trainer.name, sys.argv[1:])
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trainer's script; this process is as it was afterwards."""
    for name in ("argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    (tmp_path / "losses.toml").write_text('[loss_logging]\njob_name = "cats"\n', "utf-8")
    (tmp_path / "train.py").write_text(SCRIPT, "utf-8")
    return tmp_path / "train.py"


def test_classes_are_wrapped_before_the_script_begins(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our one option is taken out of its arguments; the end is called when it has ended."""

    def wrap(main: Any, section: Any) -> Any:
        main.Trainer.name = f"{section['loss_logging']['job_name'] if 'loss_logging' in section else section}"
        return lambda: print("ended")

    launch(
        "USAGE",
        "x.py",
        wrap,
        ["--local_rank=0", str(script), "--a", "1", f"--loss_logging_config={script.parent}/losses.toml"],
    )
    said = capsys.readouterr().out
    assert "['--local_rank=0', '--a', '1']" in said
    assert "theirs" not in said
    assert said.endswith("ended\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no script; give the trainer's, such as x.py"),
        (["gone.py"], "gone.py is no file"),
        (["x.py", "--loss_logging_config"], "needs a file, .toml, .yaml or .json"),
        (["x.py", "--loss_logging_confg=a.toml"], "--loss_logging_confg is no option of loss_logging"),
    ],
)
def test_wrong_command_lines(arguments: list[str], message: str) -> None:
    """The usage, and what is wrong, before anything is started."""
    with pytest.raises(SystemExit, match=message) as error:
        launch("USAGE", "x.py", lambda _main, _section: None, arguments)
    assert str(error.value).startswith("usage: USAGE\n")
