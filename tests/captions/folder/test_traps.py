"""What folders of real use hold: tables of something else, several captions of one image, masks, archives."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from captioned_folders import PNG, image, read, rules, write
from command import loss_logging
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.cli.tables.check import print_repairs

# --- nothing to check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files", [{}, {"0.tar": b"x", "1.tar": b"x"}, {"a.safetensors": b"x", "b.py": b"x"}, {"sub/.keep": b""}]
)
def test_nothing_to_check_is_a_failure(tmp_path: Path, files: dict[str, bytes]) -> None:
    """An empty folder, one of archives or of something else says what it holds, and exits with 2 in any case."""
    write(tmp_path, files)
    for options in ((), ("--fail-on", "never")):
        assert loss_logging("check-captions", tmp_path, *options).returncode == 2
    done = loss_logging("check-captions", tmp_path, "--json")
    assert done.returncode == 2
    assert "holds no captions to check" in done.stderr
    (message,) = (one["message"] for one in json.loads(done.stdout)["findings"] if one["rule"] == "nothing_read")
    for suffix in {Path(name).suffix for name in files} - {""}:
        assert f"{sum(name.endswith(suffix) for name in files)} {suffix}" in message


def test_the_table_of_an_archive(tmp_path: Path) -> None:
    """What img2dataset writes is checked by the table beside the tar file; the tar file counts as read."""
    write(tmp_path, {"00000.tar": b"", "00000.csv": "key,url,caption\n000000000,https://a.example/b.jpg,a cat\n"})
    files, problems = read(tmp_path)
    assert [(file.path, file.caption) for file in files] == [(f"{tmp_path}/00000.tar/000000000", "a cat")]
    assert not problems.kept


# --- names in a tar file ------------------------------------------------------------------------------------------


# --- several captions ---------------------------------------------------------------------------------------------


# --- what is a table ----------------------------------------------------------------------------------------------


# --- names in tables ----------------------------------------------------------------------------------------------


# --- images that go with others -----------------------------------------------------------------------------------


# --- what captions look like --------------------------------------------------------------------------------------


def test_tags_without_blanks(tmp_path: Path) -> None:
    """Tags joined by a comma alone are tags, and what is wrong with them is found."""
    texts = [f"1girl,solo,long_hair,dress{i},outdoors" for i in range(4)] + ["1girl,solo,2girls,smile"]
    files = {f"{i}.txt": text for i, text in enumerate(texts)} | {f"{i}.png": image() for i in range(5)}
    check = check_folder(write(tmp_path / "d", files))
    assert check.captions.datasets["d"].profile == "tags"
    assert "tags" in rules(check)


@given(
    st.lists(st.sampled_from(["1girl", "solo", "long hair", "red_dress", "looking at viewer"]), min_size=3, max_size=12)
)
def test_commas_say_the_same_with_and_without_blanks(tags: list[str]) -> None:
    """A list of tags has as many words, and is found to be the same, however its commas are written."""
    from loss_logging.captions.caption import count_words, guess_style

    spaced, bare = ", ".join(tags), ",".join(tags)
    assert count_words(spaced) == count_words(bare)
    assert guess_style(spaced, count_words(spaced)) == guess_style(bare, count_words(bare))


def test_one_caption_a_line_is_no_loop() -> None:
    """Several captions of an image, a line each, are alike by nature; a loop in one of them is still found."""
    captions_ = [f"a photo of a {what} dog on the beach in the evening" for what in ("brown", "small", "wet", "happy")]
    assert CaptionChecker().check("\n".join(captions_), "d") is None
    looping = "a dog on a beach on a beach on a beach on a beach on a beach on a beach on a beach"
    verdict = CaptionChecker().check("\n".join([*captions_, looping]), "d")
    assert verdict is not None
    assert "repeated" in verdict.rules
    assert (verdict := CaptionChecker(CaptionConfig()).check("\n".join(["a dog on a beach"] * 9), "d")) is not None
    assert "repeated" in verdict.rules


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a cat\r\non a  sofa\r\n", ["- a cat\\r", "- on a  sofa\\r", "+ a cat", "+ on a sofa"]),
        (
            b"a cat\r\non a sofa\r\nin the sun\r\n",
            ["- a cat\\r", "- on a sofa\\r", "- in the sun\\r", "+ a cat", "+ on a sofa", "+ in the sun"],
        ),
        (b"a cat\ron a sofa", ["- a cat\\ron a sofa", "+ a cat", "+ on a sofa"]),
        ("a cat\u2028 &amp; a dog".encode(), ["- a cat\\u2028 &amp; a dog", "+ a cat\\u2028 & a dog"]),
        (b"a" * 600 + b" cat &amp; dog", [f"- …{'a' * 54} cat &amp; dog", f"+ …{'a' * 54} cat & dog"]),
        (b"\xef\xbb\xbfa cat", ["- \\ufeffa cat", "+ a cat"]),
    ],
)
def test_a_diff_shows_what_changes(tmp_path: Path, before: bytes, after: list[str]) -> None:
    """Line ends, what is invisible, and a change far into a long line are seen."""
    write(tmp_path, {"1.txt": before})
    check = check_folder(tmp_path, repair="show")
    assert check.repairer is not None
    out = io.StringIO()
    print_repairs(check.repairer.repairs, Console(file=out, width=700))
    assert out.getvalue().splitlines()[1:] == after


def test_reading_is_lazy(tmp_path: Path) -> None:
    """The first file is there before the last folder is listed."""
    write(tmp_path, {"a/1.png": PNG, "a/1.txt": "one", "b/2.png": PNG, "b/2.txt": "two"})
    files = iter(read_captioned_folder(tmp_path))
    next(files)
    (tmp_path / "b" / "2.txt").write_text("three", "utf-8")
    assert next(files).caption == "three"
