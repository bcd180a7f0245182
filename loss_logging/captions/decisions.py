"""Decisions: a person's decisions about images and their captions, in a small file beside the images."""

from __future__ import annotations

import codecs
import math
import os
import posixpath
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock

from loss_logging.errors import ConfigError
from loss_logging.support.warn import warn_once

__all__ = ["DECISIONS_FILE", "SETTLED", "Choice", "Decision", "DecisionFile", "Decisions", "is_caption_in"]

DECISIONS_FILE = ".captions-decisions.jsonl"
"""The file in a folder of images, with the decisions about images in that folder and below it. Its name is hidden, so
that no trainer reads it as a table of captions."""

Choice = Literal["fine", "exclude", "caption", "later", "undone"]

SETTLED: tuple[Choice, ...] = ("fine", "exclude")
"""What is decided so is not shown as wrong again."""

_LOCK_SECONDS = 10.0  # one line takes milliseconds
_MOST_TEXT = 1_000_000  # characters of a caption or a reason; no person writes a longer text


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of the file.

    Args:
        path: the path of the image, relative to the folder of the file, with ``/``; absolute in a run's own file.
        decision: ``"fine"``: nothing is wrong with the caption; ``"exclude"``: leave the image out of the training;
            ``"caption"``: the caption was corrected; ``"later"``: somebody will look at it; ``"undone"``: the earlier
            decision no longer counts.
        caption: the caption that is fine, or the new caption.
        before: for ``"caption"``, the old caption.
        trained: the caption that a run had trained with by then, if it is another text: a trainer may have put a
            trigger word in front.
        rules: for ``"fine"``, the rules that are wrong about the caption; None means all rules.
        who, when, why: optional words; ``when`` is an ISO 8601 time.

    Example:
        >>> Decision(path="cats/1.png", decision="fine").holds_for("a cat")
        True
        >>> Decision(path="cats/1.png", decision="fine", caption="a dog").holds_for("a cat")
        False
    """

    path: str
    decision: Choice
    caption: str | None = None
    before: str | None = None
    trained: str | None = None
    rules: tuple[str, ...] = ()
    who: str | None = None
    when: str | None = None
    why: str | None = None

    def holds_for(self, caption: str | None) -> bool:
        """Whether the decision is about this caption. "fine" and "later" end when the caption changes. A caption that
        was trained with may be one line of the text that a person saw, without the white space around it."""
        if self.decision == "exclude" or None in (self.caption, caption) or is_caption_in(caption, self.caption):
            return True
        return self.decision != "caption" and self._is_trained(caption)

    def on(self, caption: str | None) -> Choice | None:
        """What stands on an item with this caption, on every surface; None for nothing.

        A corrected caption is marked where figures are of what it was, too; a caption that is fine but for some rules
        may still be wrong.

        >>> Decision(path="1.png", decision="caption", caption="a cat", before="a dog").on("a dog")
        'caption'
        """
        if self.decision == "undone" or (self.decision == "fine" and self.rules):
            return None
        if self.decision == "caption" and self._is_trained(caption):
            return "caption"
        if self.decision == "caption" and None not in (self.before, caption) and is_caption_in(caption, self.before):
            return "caption"
        return self.decision if self.holds_for(caption) else None

    def _is_trained(self, caption: str | None) -> bool:
        return None not in (self.trained, caption) and is_caption_in(caption, self.trained)

    def over(self, farther: Decision | None) -> Decision:
        """Of two files' decisions about an image, the one that counts: this one, from the nearer file, unless it only
        undoes what was decided before and the other one came later.

        >>> undone = Decision(path="1.png", decision="undone", when="2026-01-02T00:00:00+00:00")
        >>> undone.over(Decision(path="1.png", decision="exclude", when="2026-01-01T00:00:00+00:00")).decision
        'undone'
        """
        if self.decision != "undone" or farther is None or farther._time() <= self._time():
            return self
        return farther

    def _time(self) -> float:
        """Seconds of ``when``; without a time that can be read, before all others."""
        try:
            when = datetime.fromisoformat((self.when or "").replace("Z", "+00:00"))
        except ValueError:
            return -math.inf
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


class DecisionFile:
    """An append-only file of decisions; for each path the last line counts.

    The format suits git: each line is one decision, a merge may keep the lines of both sides (``merge=union``), and
    duplicate lines do no harm. An invalid line is skipped, with a warning that names it.

    Args:
        path: the path of the file; the file need not exist.

    Example:
        >>> import tempfile
        >>> file = DecisionFile(Path(tempfile.mkdtemp()) / DECISIONS_FILE)
        >>> file.append(Decision(path="1.png", decision="exclude", why="blurred"))
        >>> DecisionFile(file.path).of("1.png").why
        'blurred'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, int, int] | None = None  # state of the file when it was read
        self._decisions: dict[str, Decision] = {}
        self._corrected: dict[tuple[str, str | None], str | None] = {}

    def __iter__(self) -> Iterator[Decision]:
        """The last decision about each path, except for undone decisions."""
        return (one for one in self.last() if one.decision != "undone")

    def last(self) -> list[Decision]:
        """The last decision about each path, including undone decisions."""
        self._reread()
        return list(self._decisions.values())

    def of(self, path: str) -> Decision | None:
        """The decision about an image; None if there is none or it was undone."""
        found = self.last_of(path)
        return None if found is None or found.decision == "undone" else found

    def last_of(self, path: str) -> Decision | None:
        """The last decision about an image, including an undone one; None if there is none."""
        self._reread()
        return self._decisions.get(path)

    def before(self, path: str, caption: str | None) -> str | None:
        """What an image's caption was before it was corrected to ``caption``; None if no line says so."""
        self._reread()
        return self._corrected.get((path, caption))

    def append(self, *decisions: Decision) -> None:
        """Add all of the decisions, or none if it raises. Several processes may call this at once.

        Raises:
            ConfigError: a path leaves the folder, or a text is too long.
            OSError: the file cannot be written; it stays as it was.
        """
        for decision in decisions:
            _check(decision)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        lines = b"".join(
            msgspec.json.encode(msgspec.structs.replace(one, when=one.when or now)) + b"\n" for one in decisions
        )
        with self.path.open("ab"):  # a folder that takes no file says so at once; the lock would wait for it
            pass
        lock = FileLock(self.path.with_name(f".{self.path.name.lstrip('.')}.lock"), timeout=_LOCK_SECONDS)
        with lock, self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                _write_all(file, b"\n" + lines if _lacks_line_end(self.path, size) else lines)
                os.fsync(file.fileno())
            except OSError:  # a full disk may hold a part of the line
                os.ftruncate(file.fileno(), size)
                raise

    def _reread(self) -> None:
        try:
            state = self.path.stat()
        except OSError:  # no such file, or a folder that this user may not enter
            self._read, self._decisions, self._corrected = None, {}, {}
            return
        seen = (state.st_ino, state.st_size, state.st_mtime_ns)
        if seen == self._read:
            return
        decisions: dict[str, Decision] = {}
        corrected: dict[tuple[str, str | None], str | None] = {}
        decode = msgspec.json.Decoder(Decision).decode
        for number, line in enumerate(self.path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines(), 1):
            if not line.strip():
                continue
            try:
                decision = decode(line)
                _check(decision)
            except (msgspec.DecodeError, ConfigError, UnicodeDecodeError) as error:
                warn_once(
                    f"{self.path}:{number}", f"line {number} of {self.path} is no decision and is skipped: {error}"
                )
                continue
            if (name := posixpath.normpath(decision.path)) != decision.path:  # somebody has written ./1.png
                decision = msgspec.structs.replace(decision, path=name)
            decisions.pop(decision.path, None)
            decisions[decision.path] = decision
            if decision.decision == "caption" and decision.before is not None:
                corrected[decision.path, decision.caption] = decision.before
        self._read, self._decisions, self._corrected = seen, decisions, corrected


class Decisions:
    """The decisions about the items of a folder or a run, wherever the images are.

    The decision about an image is in the file of its folder or of a folder above it; the nearest file counts. What is
    undone there hides what files farther away say, unless that was decided later. The files above the folder that a
    link leads to count after those above the link. For an image in a tar, its folder is the folder of the tar. A new
    decision goes to the nearest existing file, else to a new file in the image's folder; if that folder is
    missing or not writable, to the run's own file.

    Args:
        base: the folder that relative paths of items start from; the working directory when None.
        own: the file of the run, for images whose folder is not writable.
        home: the folder whose file takes new decisions about images below it, unless a nearer file exists; the image's
            own folder when None.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "cats").mkdir()
        >>> decisions = Decisions(base=folder)
        >>> decisions.decide("cats/1.png", "fine", caption="a cat")
        >>> decisions.ignores("short", "cats/1.png", "a cat"), decisions.ignores("short", "cats/1.png", "a dog")
        (True, False)
    """

    def __init__(self, base: Path | None = None, own: Path | None = None, home: Path | None = None) -> None:
        self._base = (base or Path.cwd()).absolute()
        self._home = None if home is None else home.absolute()
        self._own = None if own is None else DecisionFile(own)
        self._files: dict[Path, DecisionFile] = {}
        self._real_folders: dict[Path, Path] = {}

    def of(self, path: str) -> Decision | None:
        """The decision about an item; None if there is none."""
        image = self._image(path)
        if image is None:
            return None
        found: Decision | None = None
        for file, name in self._lines_about(image):
            one = file.last_of(name)
            found = one if found is None else found.over(one)
            if found is not None and found.decision != "undone":
                return found
        return None

    def before(self, path: str, caption: str | None) -> str | None:
        """What an item's caption was before it was corrected to ``caption``; None if no decision says so."""
        image = self._image(path)
        lines = [] if image is None else self._lines_about(image)
        return next((text for file, name in lines if (text := file.before(name, caption)) is not None), None)

    def ignores(self, rule: str, path: str, caption: str | None = None) -> bool:
        """Whether to hide a rule's reason on a caption: a person accepted the caption, or excluded the image."""
        found = self.of(path)
        if found is None or not found.holds_for(caption):
            return False
        return found.decision == "exclude" or (found.decision == "fine" and (not found.rules or rule in found.rules))

    def among(self, folders: Iterable[str], *, undone: bool = False) -> dict[str, Decision]:
        """The decisions about images in some folders and below them, by path. Each image has several keys: its absolute
        path, that relative to the base, and that in each of the folders as it is given, such as ``./cats/1.png``.

        Args:
            folders: of images.
            undone: include undone decisions.
        """
        given = {text: image.parent for text in folders if (image := self._image(f"{text or '.'}/any")) is not None}
        found: dict[Path, Decision] = {}
        if self._own is not None:
            found = {Path(one.path): one for one in self._own.last()}
        for folder in sorted(self._above(given), key=lambda one: -len(one.parts)):  # the nearest counts
            for one in self._file(folder).last():
                _take(found, folder / one.path, one)
        spelled: dict[Path, list[str]] = {}
        linked: dict[Path, set[Path]] = {}
        for text, folder in given.items() if found else ():
            spelled.setdefault(folder, []).append(text if text[-1:] in ("/", "") else f"{text}/")
            if (real := self._real(folder)) != folder:
                linked.setdefault(real, set()).add(folder)
        for image in [*found] if linked else ():
            for folder in linked.get(image.parent, ()):
                _take(found, folder / image.name, found[image])
        found = {image: one for image, one in found.items() if undone or one.decision != "undone"}
        named = {image.as_posix(): one for image, one in found.items()}
        inside = [image for image in found if image.is_relative_to(self._base)]
        named |= {image.relative_to(self._base).as_posix(): found[image] for image in inside}
        return named | {
            f"{text}{image.name}": found[image] for image in found for text in spelled.get(image.parent, ())
        }

    def are_about(self, folders: Iterable[str]) -> bool:
        """Whether there is any decision about images in some folders."""
        if self._own is not None and any(True for _ in self._own):
            return True
        return any(True for folder in self._above(folders) for _ in self._file(folder))

    def excludes(self, path: str) -> bool:
        """Whether a person excluded an image from the training."""
        found = self.of(path)
        return found is not None and found.decision == "exclude"

    def decide(
        self,
        path: str,
        decision: Choice,
        *,
        caption: str | None = None,
        before: str | None = None,
        trained: str | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> None:
        """Write a decision about an item; the arguments are the fields of `Decision`.

        Raises:
            ConfigError: ``path`` is not the path of an image.
            OSError: neither the folder of the image nor the run's own file is writable.
        """
        image = self._image(path)
        if image is None:
            raise ConfigError(f"path: got {path!r}; allowed: the path of an image")

        def line(name: str) -> Decision:
            return Decision(
                path=name, decision=decision, caption=caption, before=before, trained=trained, who=who, why=why
            )

        home = self._home if self._home is not None and self._home in image.parents else _folder_of(image)
        folder = next((one for one in image.parents if (one / DECISIONS_FILE).is_file()), home)
        if self._own is not None and self._own.last_of(image.as_posix()) is not None:
            self._own.append(line(image.as_posix()))
            return
        try:
            self._file(folder).append(line(image.relative_to(folder).as_posix()))
        except OSError:
            if self._own is None:
                raise
            self._own.append(line(image.as_posix()))

    def _lines_about(self, image: Path) -> Iterator[tuple[DecisionFile, str]]:
        """The files that may say something about an image, the nearest first, and the image's name in each."""
        if self._own is not None:
            yield self._own, image.as_posix()
        for one in dict.fromkeys((image, self._real(image.parent) / image.name)):
            for folder in one.parents:
                yield self._file(folder), one.relative_to(folder).as_posix()

    def _real(self, folder: Path) -> Path:
        """Where a folder really is, if a link leads to it."""
        if folder not in self._real_folders:  # asked for every image
            self._real_folders[folder] = Path(os.path.realpath(folder))
        return self._real_folders[folder]

    def _above(self, folders: Iterable[str]) -> set[Path]:
        """Some folders, and all folders above them."""
        images = (self._image(f"{folder or '.'}/any") for folder in folders)
        given = {image.parent for image in images if image is not None}
        return {above for folder in given for one in (folder, self._real(folder)) for above in (one, *one.parents)}

    def _image(self, path: str) -> Path | None:
        """The file of an item's image; None if it is no file on this machine."""
        if "://" in path or "\0" in path or not path:
            return None
        return Path(os.path.normpath(self._base / path))

    def _file(self, folder: Path) -> DecisionFile:
        if folder not in self._files:
            self._files[folder] = DecisionFile(folder / DECISIONS_FILE)
        return self._files[folder]


def _take(found: dict[Path, Decision], image: Path, farther: Decision) -> None:
    """Note a decision about an image, of a file farther away than those before."""
    nearer = found.get(image)
    found[image] = farther if nearer is None else nearer.over(farther)


def is_caption_in(caption: str | None, text: str | None) -> bool:
    """Whether a caption is what a file holds, or one of its lines, apart from white space around it."""
    if caption == text:
        return True
    wanted, whole = ((one or "").strip().replace("\r\n", "\n") for one in (caption, text))
    return wanted == whole or (bool(wanted) and wanted in map(str.strip, whole.split("\n")))


def _folder_of(image: Path) -> Path:
    """The folder that holds an image, or that holds the tar of the image."""
    return next((one.parent for one in image.parents if one.is_file()), image.parent)


def _check(decision: Decision) -> None:
    if not decision.path or "\0" in decision.path or ".." in decision.path.split("/"):
        raise ConfigError(f"path: got {decision.path!r}; allowed: a path in the folder of the file, without '..'")
    for name in ("caption", "before", "trained", "who", "why"):
        if len(getattr(decision, name) or "") > _MOST_TEXT:
            raise ConfigError(f"{name}: got {len(getattr(decision, name)):,} characters; allowed: {_MOST_TEXT:,}")


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _lacks_line_end(path: Path, size: int) -> bool:
    """Whether the last line has no line end; some editors leave it out."""
    if not size:
        return False
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) != b"\n"
