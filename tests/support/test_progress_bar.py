"""loss_logging.support.progress_bar"""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
from loss_logging.support.progress_bar import progress_bar
bar = progress_bar("pictures", total=2, shown={shown})
bar.delay = 0
bar.update(1)
bar.refresh()
"""


@pytest.mark.parametrize("shown", [True, False])
def test_a_notebook_shows_progress_below_its_running_cell(shown: bool) -> None:
    """A kernel's standard error is no terminal, but somebody looks at it."""
    nbclient = pytest.importorskip("nbclient", reason="pip install nbclient ipykernel")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE.format(shown=shown))])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    text = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    assert ("pictures" in text) == shown


def test_a_pipe_shows_none() -> None:
    """What another program reads has no bars in it."""
    done = subprocess.run([sys.executable, "-c", CODE.format(shown=True)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
