from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loss_logging import LossLogger, TrainConfig
from loss_logging.errors import ConfigError


@pytest.mark.parametrize("name", ["no.such.module:load", "test_pictures:no_such_function", "test_pictures:PIXELS"])
def test_a_wrong_load_image_is_said_at_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is not there raises when the logger is made, not in the middle of training."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "train.py", raising=False)
    with pytest.raises(ConfigError, match=name):
        LossLogger(job_name="j", save_root=tmp_path, loggers=[], pictures={"load": name})
    with pytest.raises(ConfigError, match=r"package\.module:function"):
        TrainConfig(job_name="j", save_root=tmp_path, pictures={"load": "load"})


def test_a_function_of_the_script_is_refused(tmp_path: Path) -> None:
    """A script is not imported a second time for its pictures.load, which would run it again."""
    script = tmp_path / "train.py"
    script.write_text(
        "from loss_logging.trackers.pictures import load_image_function\n"
        "def load(path, dataset): return None\n"
        "for name in ('train:load', '__main__:load'):\n"
        "    try: load_image_function(name)\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout.count("is in the script that runs") == 2, done.stderr
