"""``loss-logging check-captions``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loss_logging.cli.console import JsonOption, TrainerOption, hint
from loss_logging.support.extras import require

if TYPE_CHECKING:
    from loss_logging.captions.config import CaptionConfig
    from loss_logging.captions.folder.trainer_settings import TrainerSettings
    from loss_logging.captions.ignore import IgnoreList

__all__ = ["check_captions"]


def check_captions(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of captioned images, or a table of captions.")],
    output: Annotated[
        Literal["table", "json", "csv", "github", "sarif"], typer.Option("--format", help="The output format.")
    ] = "table",
    as_json: JsonOption = False,
    fail_on: Annotated[
        Literal["error", "warning", "info", "never"], typer.Option(help="The lowest severity that exits with 1.")
    ] = "error",
    profile: Annotated[
        Literal["auto", "prose", "tags", "instance"] | None,
        typer.Option(help="The kind of captions. Default: guessed for each dataset."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The trained model, for its token limit: sdxl, sd3, flux, qwen-image, ...")
    ] = None,
    trainer: TrainerOption = None,
    trainer_config: Annotated[
        Path | None, typer.Option(help="The trainer's own configuration file of its datasets.")
    ] = None,
    as_trained: Annotated[
        bool, typer.Option("--as-trained", help="Print the captions as the trainer uses them, and check nothing.")
    ] = False,
    lines: Annotated[
        Literal["first", "each", "whole"] | None, typer.Option(help="The lines of a file that are captions.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="A tokenizer.json, or module:function. Default: CLIP's.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON with the keys of CaptionConfig.")] = None,
    ignore: Annotated[
        Path | None, typer.Option(help="A file with lines of a rule and a path. Default: PATH/.captions-ignore.")
    ] = None,
    path_column: Annotated[str | None, typer.Option(help="Column of file names in tables. Default: guessed.")] = None,
    caption_column: Annotated[str | None, typer.Option(help="Column of captions in tables. Default: guessed.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair mojibake, entities, invisible characters and white space.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change, and change nothing.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Also compare captions with their images (extra evidence).")
    ] = False,
    features: Annotated[
        str, typer.Option(help="Features of images for --pictures: pixels, or module:function.")
    ] = "pixels",
    html: Annotated[
        Path | None, typer.Option(help="Write the findings as one HTML file with pictures, and print nothing.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Largest number of examples in the table.")] = 10,
) -> None:
    """Check the captions of a folder or table, without a model or a GPU.

    Exit status: 1 if a finding has the severity of --fail-on or a higher one, 2 if there is nothing to check.

    Reads images with .txt, .caption or .json beside them, metadata.jsonl, CSV, Parquet, and the folders of kohya and
    ai-toolkit.

    \b
    Examples:
      loss-logging check-captions photos
      loss-logging check-captions photos --model sdxl --fail-on warning
      loss-logging check-captions photos --trainer kohya --as-trained
      loss-logging check-captions photos --pictures
      loss-logging check-captions photos --html photos.html
      loss-logging check-captions photos --fix --diff
      loss-logging check-captions captions.csv --format sarif
    """
    from loss_logging.captions.folder.check import check_folder
    from loss_logging.cli.commands.as_trained import print_as_trained, trainer_of
    from loss_logging.cli.commands.caption_check import caption_config, fails, ignore_list, print_check_as

    if as_json and output not in ("table", "json"):
        raise typer.BadParameter(f"--json and --format {output} are both given; choose one")
    rules = caption_config(config, profile=profile, model=model, tokenizer=tokenizer, trainer=trainer)
    settings = trainer_of(path, rules.trainer, trainer_config, lines)
    if as_trained:
        print_as_trained(path, settings, as_json=as_json or output == "json")
        return
    if html is not None:
        _write_page(path, html, rules, settings, ignore_list(ignore, path), pictures=pictures or None)
        return
    check = check_folder(
        path,
        rules,
        trainer=settings,
        ignore=ignore_list(ignore, path),
        path_column=path_column,
        caption_column=caption_column,
        repair="write" if fix and not diff else "show" if fix or diff else None,
        progress=True,
    )
    if pictures and not check.is_empty:
        from loss_logging.evidence.folder import check_pictures

        seen = check_pictures(
            path,
            trainer=settings,
            path_column=path_column,
            caption_column=caption_column,
            features=features,
            progress=True,
        )
        check.add(seen.reasons)
        check.captions.warnings.extend([*seen.notes, *_about_duplicates(seen.near_duplicates)])
    print_check_as(check, "json" if as_json else output, rows)
    if check.is_empty:
        hint(f"{path} holds no captions to check", "red")
        raise typer.Exit(2)
    if fails(check, fail_on):
        raise typer.Exit(1)


def _write_page(
    path: Path,
    out: Path,
    config: CaptionConfig,
    settings: TrainerSettings | None,
    ignore: IgnoreList | None,
    *,
    pictures: bool | None,
) -> None:
    require("view", "jinja2", "PIL")
    from loss_logging.pages.folder_file import FolderSeen, write_folder_page

    seen = FolderSeen.of(path, config, trainer=settings, ignore=ignore, pictures=pictures)
    write_folder_page(seen, out)
    typer.echo(out)


def _about_duplicates(groups: list[list[str]]) -> list[str]:
    if not groups:
        return []
    shown = "; ".join(" and ".join(group[:3]) for group in groups[:3])
    more = f"; and {len(groups) - 3} more groups" if len(groups) > 3 else ""
    return [f"{len(groups)} groups of nearly equal images: {shown}{more}"]
