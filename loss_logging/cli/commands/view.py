"""``loss-logging view``"""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from loss_logging.cli.console import JobOption, JsonOption, print_json
from loss_logging.errors import LossLoggingError
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.locate import place_of
from loss_logging.support.extras import require

__all__ = ["view"]


def view(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The save_root of a run, or one of its reports.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes any free one.")] = 0,
    images: Annotated[Path | None, typer.Option(help="Folder of the images; nothing outside it is opened.")] = None,
    memory_limit: Annotated[str, typer.Option(help="Most memory for queries, such as 512MB.")] = "4GB",
    threads: Annotated[int, typer.Option(min=1, help="Threads for queries.")] = 2,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the report page over the whole log, on this machine only, live while training writes. Ctrl-C ends it.

    \b
    Examples:
      loss-logging view runs/cats --open
      loss-logging view runs/cats --port 8000 --memory-limit 2GB
    """
    require("view", "jinja2", "PIL", "starlette", "uvicorn")
    from loss_logging.pages.served.live import LiveRun
    from loss_logging.pages.served.server import serve
    from loss_logging.runs.locate import find_run

    def announce(address: str) -> None:
        if as_json:
            print_json({"job": config.job_name, "address": address})
        else:
            typer.echo(f"{config.job_name}: {address}")
        sys.stdout.flush()  # who reads a pipe waits for it
        if open_browser:
            webbrowser.open(address)

    if place_of(folder).job is None and (step := place_of(folder).step) is not None:
        raise LossLoggingError(f"view shows the whole log; for the page of step {step}: loss-logging html {folder}")
    config = TrainConfig.from_dict(find_run(folder, job).to_dict() | {"memory_limit": memory_limit, "threads": threads})
    serve(LiveRun(config, progress=True), port=port, images=images, announce=announce)
