"""FolderSeen: the findings in a captioned folder, and its page as one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.captioned_file import CaptionedFile
from loss_logging.captions.folder.check import FolderCheck, check_folder
from loss_logging.captions.folder.trainer_settings import TrainerSettings
from loss_logging.captions.ignore import IgnoreList
from loss_logging.errors import LossLoggingError
from loss_logging.evidence.folder import check_pictures
from loss_logging.pages.content import severities_of
from loss_logging.pages.folder_content import folder_sections, items_table
from loss_logging.pages.items import figures_block, items_block
from loss_logging.pages.render import render_folder
from loss_logging.support.extras import is_installed
from loss_logging.support.files import whole_file
from loss_logging.support.progress_bar import progress_bar
from loss_logging.support.thumbnails import Thumbnail, Thumbnails

__all__ = ["FolderSeen", "write_folder_page"]


class FolderSeen:
    """The findings in a folder.

    Args:
        check: the findings of the rules, and of the comparison with images if there was one.
        files: the images with their captions, by path below the folder.
        suggestions: better captions by dataset and path.
        near_duplicates: groups of nearly equal images, by their paths.
    """

    def __init__(
        self,
        check: FolderCheck,
        files: Mapping[str, CaptionedFile],
        suggestions: Mapping[tuple[str, str], str],
        near_duplicates: Sequence[Sequence[str]],
    ) -> None:
        self.check = check
        self.root = Path(check.root)
        self.name = self.root.absolute().name
        self.files = files
        self.suggestions = suggestions
        self.near_duplicates = near_duplicates
        self.table: pa.Table = items_table([(one.dataset, path, one.caption or "") for path, one in files.items()])

    @classmethod
    def of(
        cls,
        folder: Path,
        config: CaptionConfig,
        *,
        trainer: TrainerSettings | None = None,
        ignore: IgnoreList | None = None,
        pictures: bool | None = None,
    ) -> FolderSeen:
        """Check a folder.

        Args:
            folder, config, trainer, ignore: as for `check_folder`.
            pictures: whether to compare captions with their images; None does so if the extra for it is installed.

        Raises:
            LossLoggingError: the folder does not exist, or ``pictures`` is True, and none of its pictures opens.
            MissingExtraError: ``pictures`` is True, and the extra is not installed.
        """
        files: dict[str, CaptionedFile] = {}

        def keep(path: str, file: CaptionedFile, _fingerprint: bytes | None) -> None:
            files.setdefault(path, file)

        check = check_folder(folder, config, trainer=trainer, ignore=ignore, each=keep, progress=True)
        if check.is_empty or pictures is False or (pictures is None and not is_installed("sklearn")):
            return cls(check, files, {}, [])
        try:
            seen = check_pictures(folder, trainer=trainer, progress=True)
        except LossLoggingError as error:
            if pictures:  # somebody has asked for it
                raise
            check.captions.warnings.append(f"Captions were not compared with their pictures: {error}.")
            return cls(check, files, {}, [])
        check.add(seen.reasons)
        check.captions.warnings.extend(seen.notes)
        suggestions = {(dataset, path): text for (path, dataset, _), text in seen.suggestions.items()}
        return cls(check, files, suggestions, seen.near_duplicates)

    def sections(self, pictures: Callable[[str], Thumbnail]) -> dict[str, Any]:
        """What the template shows."""
        return folder_sections(
            self.name,
            self.check,
            pictures,
            total=len(self.files),
            known=lambda path: (self.files[path].dataset, self.files[path].caption or ""),
            suggestions=self.suggestions,
            near_duplicates=self.near_duplicates,
        )


def write_folder_page(seen: FolderSeen, out: Path) -> None:
    """Write the page of a folder as one file that needs no network.

    Raises:
        OSError: the file cannot be written.
    """
    thumbnails = Thumbnails(folder=seen.root)
    thumbnails.next_page()
    pictured = {flag.path for flag in seen.check.captions.flagged[:1_000]}
    for path in progress_bar("pictures", sorted(pictured), unit=" pictures"):
        thumbnails(path)
    flagged = seen.check.captions.flagged
    flags = [[one.dataset, one.path, ", ".join(one.reasons)] for one in flagged]
    rules = severities_of(flagged)
    blocks: dict[str, Any] = {
        "items": items_block(seen.table, seen.table.num_rows) | {"flags": flags, "rules": rules},
        "figures": figures_block(seen.table),
        "histories": {},
        "files": {},
    }
    with whole_file(out, text=True) as file:
        file.write(render_folder(seen.sections(thumbnails), blocks, served=False, editable=False))
