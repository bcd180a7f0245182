"""How each trainer reads the caption of an image: one table, one row per trainer.

Source: the trainer's own code, run on one folder at the commit in the row on 2026-11-28 (for diffusers, the code was
read). ``docs/trainer_captions.md`` shows the results, and a test compares each row with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, product
from typing import Literal

import msgspec

__all__ = ["TRAINERS", "Lines", "Trainer", "TrainerName", "Without"]

TrainerName = Literal["kohya", "musubi", "ai-toolkit", "onetrainer", "diffusion-pipe", "simpletuner", "diffusers"]

Lines = Literal["first", "each", "whole"]

Without = Literal["skipped", "empty", "class_tokens", "fails", "file_name"]

MOST_VARIANTS = 16
"""The most variants that are listed for a choice such as ``{red|blue}``."""

_CHOICE = re.compile(r"\{([^}]+)\}")
_ESCAPES = {"{{": "\ue000", "}}": "\ue001"}  # kohya's escapes for literal braces
_PLACEHOLDERS = ("[trigger]", "[name]")


class Trainer(msgspec.Struct, frozen=True, kw_only=True):
    r"""How a trainer reads a folder. The trainer's configuration sets the fields from ``prefix`` on.

    Args:
        name: the name of the trainer.
        version: the commit that this row describes.
        suffixes: suffixes of caption files beside an image; the first one that exists in a folder counts.
        usual_suffix: the suffix that it reads by default.
        lines: the lines of a caption file that it trains on: the first, each (drawn at random, or in turn), or all of
            them as one text.
        lines_of_tables: the same for captions in tables.
        strips: whether it removes white space at both ends of a file's caption, or of each line.
        without: the use of an image without a caption. "class_tokens" are the words in the folder's name,
            "file_name" is the name of the image, "fails" ends the training.
        without_any: the same in a folder without any caption.
        tables: patterns for the names of the tables that it reads instead of files beside images.
        tables_first: True if it always prefers these tables, False if its configuration has to name them.
        second_column: whether captions are in a table's column "text", else in its second column.
        folders: the folders that it reads: "all", the "top" folder alone, or folders "numbered" as in ``10_sks dog``,
            without the folders inside them.
        left_out: endings of the names, before the suffix, of masks and control images, which it does not train on.
        left_out_folders: names of folders of such images.
        joins_tags: whether it appends a table's tags to the caption.
        crops: whether an image ``a_0_0_9_9.png`` has the caption of ``a``.
        empty_file_fails: whether a caption file of 0 bytes ends the training.
        comma: the text that replaces a comma.
        file_name_blank: the text that replaces ``_`` in a file name that is used as a caption.
        resolves: the prompt syntax that it resolves in a caption; see ``CaptionReading.syntax``.
        resolves_in_each: the same if its configuration makes each line a caption.
        affixes_once: True if prefix and suffix go around all lines of a file together, False if around each line.
        prefix, suffix: texts before and after each caption.
        trigger: the text that replaces ``[trigger]`` and ``[name]``, and that starts a caption without it.
        default_caption: the caption of images with a blank caption or none.
        concept_captions: captions for every image, one of which is drawn.
        class_tokens: the caption of images without a caption, in any folder.
        shuffled: whether tags are shuffled.
        separator: the text between the tags that stay in place and the tags that are shuffled; without shuffling, it
            stays in the caption.

    Example:
        >>> TRAINERS["kohya"].texts("a cat on a sofa\nN/A"), TRAINERS["onetrainer"].texts("a cat\n\na dog")
        (['a cat on a sofa'], ['a cat', 'a dog'])
        >>> TRAINERS["ai-toolkit"].texts("x, 1,000 shells")
        ['x,  1, 000 shells']
    """

    name: TrainerName
    version: str
    suffixes: tuple[str, ...] = (".txt",)
    usual_suffix: str = ".txt"
    lines: Lines = "whole"
    lines_of_tables: Lines = "whole"
    strips: bool = True
    without: Without = "empty"
    without_any: Without | None = None
    tables: tuple[str, ...] = ()
    tables_first: bool = False
    second_column: bool = False
    folders: Literal["all", "top", "numbered"] = "all"
    left_out: tuple[str, ...] = ()
    left_out_folders: tuple[str, ...] = ()
    joins_tags: bool = False
    crops: bool = False
    empty_file_fails: bool = False
    comma: str = ","
    file_name_blank: str = "_"
    resolves: tuple[str, ...] = ()
    resolves_in_each: tuple[str, ...] = ()
    affixes_once: bool = False
    prefix: str = ""
    suffix: str = ""
    trigger: str | None = None
    default_caption: str | None = None
    concept_captions: tuple[str, ...] = ()
    class_tokens: str | None = None
    shuffled: bool = False
    separator: str | None = None

    def with_lines(self, lines: Lines) -> Trainer:
        """The trainer with another setting of ``lines``.

        >>> TRAINERS["kohya"].with_lines("each").texts("a {red|blue} ball")
        ['a red ball', 'a blue ball']
        """
        more = self.resolves_in_each if lines == "each" else ()
        tables = lines if self.lines_of_tables != "whole" else "whole"
        resolves = tuple(dict.fromkeys(self.resolves + more))
        return msgspec.structs.replace(self, lines=lines, lines_of_tables=tables, resolves=resolves)

    def pieces(self, text: str) -> list[tuple[int | None, str]]:
        r"""The captions in the text of a file, each with its line from 1, or None if the whole file is one caption.

        A blank file has none.

        >>> TRAINERS["simpletuner"].pieces("a cat\n\na dog"), TRAINERS["kohya"].pieces("\na cat")
        ([(1, 'a cat'), (3, 'a dog')], [(1, '')])
        """
        return _pieces(text, self.lines, self.strips)

    def pieces_of_row(self, caption: str | None, tags: str | None) -> list[str]:
        """The captions of a table row; tags are appended to each caption.

        >>> TRAINERS["kohya"].pieces_of_row("a goat", "horns, grass"), TRAINERS["kohya"].pieces_of_row(None, "horns")
        (['a goat,horns, grass'], ['horns'])
        """
        lines = [piece for _, piece in _pieces(caption or "", self.lines_of_tables, strips=False)]
        if not tags or not self.joins_tags:
            return lines or [""]
        if self.lines_of_tables == "each":
            tags = tags.replace("\n", ",")
            return [f"{line},{tags}" for line in lines] or [""]  # tags alone are no caption
        return [
            piece for _, piece in _pieces(",".join(filter(None, (caption, tags))), self.lines_of_tables, strips=False)
        ]

    def texts(self, text: str) -> list[str]:
        """The texts that the trainer uses for a caption file with the content ``text``; of several it draws one."""
        pieces = [piece for _, piece in self.pieces(text)] or [""]
        return list(dict.fromkeys(one for variants in self.variants_of(pieces) for one in variants))

    def variants_of(self, pieces: Sequence[str]) -> list[list[str]]:
        """The `variants` of each caption of an image, in the same order."""
        last = len(pieces) - 1
        once = self.affixes_once
        return [
            self.variants(
                piece,
                prefix=self.prefix if not once or number == 0 else "",
                suffix=self.suffix if not once or number == last else "",
            )
            for number, piece in enumerate(pieces)
        ]

    def variants(self, caption: str, *, prefix: str | None = None, suffix: str | None = None) -> list[str]:
        """The texts that the trainer may use for a caption, up to `MOST_VARIANTS`.

        ``prefix`` and ``suffix`` replace the trainer's own if they are given.
        """
        if not caption.strip() and self.default_caption is not None:
            caption = self.default_caption
        text = f"{self.prefix if prefix is None else prefix}{caption}{self.suffix if suffix is None else suffix}"
        chosen = self._chosen(text) if "choices" in self.resolves else [text]
        return [self._ordered(self._with_trigger(one.replace(",", self.comma))) for one in chosen]

    def _chosen(self, text: str) -> list[str]:
        for braces, stand_in in _ESCAPES.items():
            text = text.replace(braces, stand_in)
        parts = _CHOICE.split(text)
        options = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
        texts = ["".join(one) for one in islice(product(*options), MOST_VARIANTS)]
        for braces, stand_in in _ESCAPES.items():
            texts = [one.replace(stand_in, braces[0]) for one in texts]
        return texts

    def _with_trigger(self, text: str) -> str:
        if "trigger" not in self.resolves:
            return text
        for placeholder in _PLACEHOLDERS:
            text = text.replace(placeholder, self.trigger or "")
        return text if not self.trigger or self.trigger in text else f"{self.trigger} {text}"

    def _ordered(self, text: str) -> str:
        """The tags in the order of the file, joined as the trainer joins shuffled tags."""
        if not self.shuffled:
            return text
        parts = text.split(self.separator, 2) if self.separator else [text]
        return ", ".join(tag for part in parts for tag in map(str.strip, part.split(",")) if tag)


def _pieces(text: str, lines: Lines, strips: bool) -> list[tuple[int | None, str]]:
    if lines == "whole":
        blank = text.count("\n", 0, len(text) - len(text.lstrip())) if strips else 0
        return [(blank + 1 if blank else None, text.strip() if strips else text)]
    found = [line.strip() if strips else line for line in text.split("\n")]
    if lines == "first":
        return [(1, found[0])]
    return [(number, line) for number, line in enumerate(found, 1) if line.strip()]


TRAINERS: dict[str, Trainer] = {
    trainer.name: trainer
    for trainer in (
        Trainer(
            name="kohya",
            version="sd-scripts 48d368f",
            suffixes=(".txt", ".caption"),
            usual_suffix=".caption",
            lines="first",
            lines_of_tables="first",
            without="class_tokens",
            tables=("*.json",),
            folders="numbered",
            joins_tags=True,
            affixes_once=True,
            crops=True,
            empty_file_fails=True,
            resolves_in_each=("choices",),  # both are its enable_wildcard
        ),
        Trainer(
            name="musubi",
            version="musubi-tuner 30c658c",
            without="skipped",
            tables=("*.jsonl",),
            folders="top",
        ),
        Trainer(
            name="ai-toolkit",
            version="ai-toolkit 27a03a9 (0.12.26)",
            strips=False,
            tables=("*.json",),
            left_out_folders=("_controls",),
            comma=", ",
            resolves=("trigger", "names"),
        ),
        Trainer(
            name="onetrainer",
            version="OneTrainer 23df383, mgds 3a6994a",
            lines="each",
            folders="top",
            left_out=("-masklabel", "-condlabel"),
        ),
        Trainer(
            name="diffusion-pipe",
            version="diffusion-pipe 8f83dbf",
            without="skipped",
            tables=("captions.json",),
            tables_first=True,
            folders="top",
        ),
        Trainer(
            name="simpletuner",
            version="SimpleTuner bc8e6ab",
            lines="each",
            without="fails",
            without_any="file_name",
            tables=("*.parquet", "*.csv"),
            file_name_blank=" ",
        ),
        Trainer(
            name="diffusers",
            version="diffusers 0.42.1, datasets 5.2",
            suffixes=(),
            strips=False,
            without="skipped",
            without_any="fails",
            tables=("metadata.jsonl", "metadata.csv", "metadata.parquet"),
            tables_first=True,
            second_column=True,
        ),
    )
}
"""By name."""
