"""``loss-logging view``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loss_logging.cli.commands.compare import both_reports
from loss_logging.cli.console import JobOption, JsonOption, TrainerOption, print_json
from loss_logging.errors import LossLoggingError
from loss_logging.support.extras import require

if TYPE_CHECKING:
    from loss_logging.captions.trainers import TrainerName
    from loss_logging.pages.served.editor import Editor
    from loss_logging.pages.served.served_page import ServedPage
    from loss_logging.runs.config import TrainConfig

__all__ = ["view"]


def view(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|FOLDER", help="The save_root of a run, one of its reports, or a folder of images."
        ),
    ],
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="Of a run or report: show what changed from there to this one instead."),
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Allow editing captions in their files, and decisions about items.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes any free port.")] = 0,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images; no file outside it is opened. Default: the folder named by the run."),
    ] = None,
    trainer: TrainerOption = None,
    pictures: Annotated[
        bool | None,
        typer.Option(help="For a FOLDER: compare captions with images. Default: if the extra evidence is installed."),
    ] = None,
    memory_limit: Annotated[str, typer.Option(help="Memory limit of queries, such as 512MB.")] = "4GB",
    threads: Annotated[int, typer.Option(min=1, help="Threads for queries.")] = 2,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    job: JobOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the report page over the whole log on this machine only, live during training. Ctrl-C ends it.

    For a folder of captioned images, without any training, it is a gallery of the findings of check-captions.

    \b
    Examples:
      loss-logging view runs/cats --open
      loss-logging view runs/cats --edit
      loss-logging view runs/before --compare runs/after
      loss-logging view photos --edit --trainer kohya
      loss-logging view runs/cats --port 8000 --memory-limit 2GB
    """
    import webbrowser

    from loss_logging.runs.locate import is_run
    from loss_logging.support.pandas_free import leave_pandas_out

    leave_pandas_out()
    require("view", "jinja2", "PIL", "starlette", "uvicorn")
    from loss_logging.pages.served.server import serve, serve_text

    def announce(address: str) -> None:
        if as_json:
            print_json({"job": name, "address": address})
        else:
            typer.echo(f"{name}: {address}")
        sys.stdout.flush()  # the reader of a pipe waits for it
        if open_browser:
            webbrowser.open(address)

    if compare is not None:
        if edit:
            raise typer.BadParameter("--edit is for one run; --compare only shows")
        from loss_logging.pages.comparison import comparison_page

        first, second = both_reports(folder, compare, job)
        name = f"{folder} and {compare}"
        serve_text(comparison_page(first, second, images=images, progress=True), port=port, announce=announce)
    elif is_run(folder):
        if trainer is not None or pictures is not None:
            raise typer.BadParameter("--trainer and --pictures are for a folder of captioned images, and this is a run")
        config = _config(folder, job, images, memory_limit=memory_limit, threads=threads)
        name, images = config.job_name, None if config.images is None else Path(config.images)
        page, editor = _of_run(config, images, edit=edit)
        serve(page, port=port, images=images, editor=editor, announce=announce)
    else:
        if job is not None or images is not None:
            raise typer.BadParameter(f"--job and --images are for a run, and {folder} holds none")
        name, page, editor = _of_folder(folder, trainer, pictures=pictures, edit=edit)
        images = folder if folder.is_dir() else folder.parent
        serve(page, port=port, images=images, editor=editor, announce=announce)


def _config(folder: Path, job: str | None, images: Path | None, **limits: Any) -> TrainConfig:
    """That of the run, with these limits, and these images where they are given."""
    import msgspec

    from loss_logging.runs.config import TrainConfig
    from loss_logging.runs.locate import find_run, place_of

    if place_of(folder).job is None and (step := place_of(folder).step) is not None:
        raise LossLoggingError(f"view shows the whole log; for the page of step {step}: loss-logging html {folder}")
    config = TrainConfig.from_dict(find_run(folder, job).to_dict() | limits)
    return config if images is None else msgspec.structs.replace(config, images=images)


def _of_run(config: TrainConfig, images: Path | None, *, edit: bool) -> tuple[ServedPage, Editor | None]:
    from loss_logging.pages.served.editor import Editor
    from loss_logging.pages.served.kept_decisions import KeptDecisions
    from loss_logging.pages.served.live import LiveRun
    from loss_logging.pages.served.run_captions import RunCaptions
    from loss_logging.pages.served.run_page import RunPage

    run = LiveRun(config, progress=True)
    decisions = KeptDecisions(config.decisions, run, run.recount, run.caption_of)
    run.decided, run.decision_of = decisions.all, decisions.of
    if not edit:
        return RunPage(run), None
    captions = RunCaptions(images)
    return RunPage(run), Editor(captions.find, captions.wrote, captions.writer_of, decisions, run.suggested)


def _of_folder(
    folder: Path, trainer: TrainerName | None, *, pictures: bool | None, edit: bool
) -> tuple[str, ServedPage, Editor | None]:
    from loss_logging.captions.config import CaptionConfig
    from loss_logging.pages.served.folder_page import open_folder

    return open_folder(folder, CaptionConfig(trainer=trainer), pictures=pictures, edit=edit)
