"""What folders of real use hold: tables of something else, several captions of one image, masks, archives."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from captioned_folders import PNG, captions, image, kinds, loss_logging, read, write
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loss_logging.captions.checker import CaptionChecker
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import FolderCheck, check_folder
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.webdataset import read_shard
from loss_logging.cli.tables.check import print_repairs


def rules(check: FolderCheck) -> Counter[str]:
    """How often each rule or problem is found."""
    return Counter(finding.rule for finding in check.findings())


def lines(*rows: dict[str, Any]) -> str:
    """JSON lines."""
    return "\n".join(map(json.dumps, rows))


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
    assert "holds nothing to check" in done.stderr
    (message,) = (one["message"] for one in json.loads(done.stdout)["findings"] if one["rule"] == "nothing_read")
    for suffix in {Path(name).suffix for name in files} - {""}:
        assert f"{sum(name.endswith(suffix) for name in files)} {suffix}" in message


def test_archives_and_strange_images_are_named(tmp_path: Path) -> None:
    """What lies beside images and is not read is named and counted."""
    write(
        tmp_path, {"1.png": PNG, "1.txt": "a cat on a sofa", "more.tar": b"", "2.jfif": PNG, "3.CR2": PNG, "x.zip": b""}
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat on a sofa"]
    assert kinds(problems) == {"archive": 2, "unknown_suffix": 2}
    assert problems.unread == {".tar": 1, ".zip": 1, ".jfif": 1, ".cr2": 1}


def test_the_table_of_an_archive(tmp_path: Path) -> None:
    """What img2dataset writes is checked by the table beside the tar file; the tar file counts as read."""
    write(tmp_path, {"00000.tar": b"", "00000.csv": "key,url,caption\n000000000,https://a.example/b.jpg,a cat\n"})
    files, problems = read(tmp_path)
    assert [(file.path, file.caption) for file in files] == [(f"{tmp_path}/00000.tar/000000000", "a cat")]
    assert not problems.kept


# --- names in a tar file ------------------------------------------------------------------------------------------


def tar(path: Path, files: dict[str, bytes | str]) -> Path:
    """A tar file of these."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def archived(path: Path) -> dict[str, Any]:
    """Name in the tar file -> caption, or why it is left out."""
    images = list(read_shard(path, path.parent))
    return {image.path.partition("/")[2]: image.left_out if image.data is None else image.caption for image in images}


def test_names_with_dots_in_a_tar_file(tmp_path: Path) -> None:
    """Where nothing up to the first dot is an image, names end at the last dot; captions go with their own name."""
    files: dict[str, bytes | str] = {
        "scan 0.0.png": PNG,
        "scan 0.0.txt": "nought",
        "scan 0.1.PNG": PNG,
        "scan 0.1.txt": "one",
    }
    files |= {"b.left.jpg": PNG, "b.right.jpg": PNG, "b.txt": "both", "c.v2.webp": PNG, "c.v2.json": '{"caption": "c"}'}
    assert archived(tar(tmp_path / "0.tar", files)) == {
        "scan 0.0.png": "nought",
        "scan 0.1.PNG": "one",
        "b.left.jpg": "both",
        "b.right.jpg": "both",
        "c.v2.webp": "c",
    }


def test_nothing_in_a_tar_file_is_skipped_in_silence(tmp_path: Path) -> None:
    """What is no image of its own is given with the reason; an unknown suffix is left to Pillow."""
    files: dict[str, bytes | str] = {
        "1.png": PNG,
        "1.seg.png": PNG,
        "1.txt": "a cat",
        "2.txt": "no image",
        "3.jfif": PNG,
    }
    files |= {"4.png": PNG, "4.b.png": PNG, "4.txt": "four", "4.b.txt": "four b", "5.npy": b"xx", "5.json": "{}"}
    assert archived(tar(tmp_path / "0.tar", files)) == {
        "1.png": "a cat",
        "1.seg.png": "goes with 'png' of its sample",
        "2.txt": "there is no image of this name",
        "3.jfif": None,
        "4.png": "four",
        "4.b.png": "four b",
        "5.npy": None,
    }


# --- several captions ---------------------------------------------------------------------------------------------

LISTS = {
    "metadata.jsonl": lines({"file_name": "1.png", "text": ["a cat", "a pet"]}, {"file_name": "2.png", "text": []}),
    "captions.json": json.dumps({"1.png": ["a cat", "a pet"], "2.png": []}),
    "1.json": json.dumps({"caption": ["a cat", "a pet"]}),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_captions(tmp_path: Path, name: str) -> None:
    """Each text of a list is a caption of the image; an empty list is none."""
    write(tmp_path, {"1.png": PNG, "2.png": PNG, name: LISTS[name]})
    files, problems = read(tmp_path)
    assert [(Path(file.path).name, file.caption) for file in files] == [
        ("1.png", "a cat"),
        ("1.png", "a pet"),
        ("2.png", None),
    ]
    assert kinds(problems) == ({"no_trainer_reads_json": 1} if name == "1.json" else {})


@pytest.mark.parametrize("text", [[["a"]], [1], {"a": 1}])
def test_a_list_of_something_else(tmp_path: Path, text: Any) -> None:
    """A list of what is no text is named, once."""
    write(tmp_path, {"metadata.jsonl": lines({"file_name": "1.png", "text": text}), "1.png": PNG})
    assert kinds(read(tmp_path)[1]) == {"broken_line": 1}


ONE_CAPTION_TWICE = [
    {"1.txt": "a brown dog jumps over the low wall", "1.json": '{"caption": "a brown dog jumps over the low wall"}'},
    {
        "meta_cap.json": '{"1": {"caption": "a brown dog jumps over the low wall"}}',
        "meta_lat.json": '{"1": {"caption": "a brown dog jumps over the low wall", "train_resolution": [64, 64]}}',
    },
    {"1.txt": "a brown dog jumps over the low wall", "1.caption": "a brown dog jumps over the low wall\n"},
    {
        "1.txt": "a brown dog jumps over the low wall",
        "metadata.csv": "file_name,text\n1.png,a brown dog jumps over the low wall\n",
    },
]


@pytest.mark.parametrize("files", ONE_CAPTION_TWICE)
def test_an_item_is_no_duplicate_of_itself(tmp_path: Path, files: dict[str, str]) -> None:
    """One caption in two files is one caption, and its image one item, under the name of its file."""
    write(tmp_path, files | {"1.png": image()})
    assert captions(tmp_path) == {"1.png": "a brown dog jumps over the low wall"}
    assert len(read(tmp_path)[0]) == 1
    assert not rules(check_folder(tmp_path))


def test_captions_of_one_image_may_be_alike(tmp_path: Path) -> None:
    """Several captions of one image are neither duplicates nor near duplicates of one another."""
    texts = [f"a brown dog jumps over the low wall of the old {what} garden today" for what in ("big", "big,", "wide")]
    write(tmp_path, {"1.png": image(), "metadata.jsonl": lines({"file_name": "1.png", "text": texts})})
    assert not rules(check_folder(tmp_path))


def test_two_tables_that_differ(tmp_path: Path) -> None:
    """Two captions in two tables are both read, and their image is named."""
    tables = {f"meta_{name}.json": json.dumps({"1": {"caption": f"a {name}"}}) for name in ("cap", "lat")}
    files, problems = read(write(tmp_path, tables | {"1.png": PNG}))
    assert [file.caption for file in files] == ["a cap", "a lat"]
    assert kinds(problems) == {"two_captions": 1}


# --- what is a table ----------------------------------------------------------------------------------------------

INFO = {
    "builder_name": "imagefolder",
    "citation": "",
    "description": "Cats and dogs.",
    "features": {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}},
    "splits": {"train": {"name": "train", "num_bytes": 5}},
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_info.json", INFO),
        ("dataset_infos.json", {"default": INFO}),
        ("captions.json", {"data": [{"file_name": "1.png", "caption": "a cat"}]}),
        ("captions.json", {"1": "a", "model": "blip", "time": 3}),
        ("meta.json", {"caption": "of the whole", "version": [1, 2]}),
        ("dataset.json", [1, 2, 3]),
        ("settings.json", {"caption": {"text": "x"}}),
    ],
)
def test_json_of_something_else(tmp_path: Path, name: str, content: Any) -> None:
    """JSON that captions no image is no table, beside one that does."""
    write(
        tmp_path,
        {"1.png": PNG, name: json.dumps(content), "metadata.jsonl": lines({"file_name": "1.png", "text": "a cat"})},
    )
    if name == "captions.json" and "1" in content:
        (tmp_path / "1.png").rename(tmp_path / "x.png")
        (tmp_path / "metadata.jsonl").write_text(lines({"file_name": "x.png", "text": "a cat"}), "utf-8")
    assert list(captions(tmp_path).values()) == ["a cat"]


def test_json_that_is_broken(tmp_path: Path) -> None:
    """Only of a file that is named as a table is it said that it is no JSON."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat", "tsconfig.json": "{ // no", "captions.json": "{"})
    assert [problem.path for problem in read(tmp_path)[1].kept] == [str(tmp_path / "captions.json")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.json", json.dumps({"data": [{"file": "1.png"}]})),
        ("list.csv", "bild,beschriftung\n1.png,a cat\n"),
        ("list.jsonl", lines({"bild": "1.png", "beschriftung": "a cat"})),
    ],
)
def test_a_table_that_is_not_understood_is_named(tmp_path: Path, name: str, content: str) -> None:
    """Where images have no caption, a table that speaks of images and has none that is known is named."""
    write(tmp_path, {"sub/1.png": PNG, name: content, "log.csv": "step,loss\n1,0.5\n"})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None]
    assert [(problem.kind, Path(problem.path).name) for problem in problems.kept] == [("not_understood", name)]
    write(tmp_path, {"sub/1.txt": "a cat"})
    assert captions(tmp_path) == {"sub/1.png": "a cat"}


def test_any_json_that_captions_images(tmp_path: Path) -> None:
    """A JSON object of file names is a table, whatever its name."""
    write(tmp_path, {"1.png": PNG, "my list.json": json.dumps({str(tmp_path / "1.png"): {"caption": "an owl"}})})
    assert captions(tmp_path) == {"1.png": "an owl"}


@pytest.mark.parametrize("first", ["sep=;", "sep=;\r", '"sep=;"', "SEP=;"])
def test_a_csv_of_excel(tmp_path: Path, first: str) -> None:
    """A first line that names the delimiter does so, and is no header."""
    write(tmp_path, {"list.csv": f"{first}\nfile_name;text\n1.png;a cat, asleep\n", "1.png": PNG})
    files, problems = read(tmp_path)
    assert [(file.caption, file.line) for file in files] == [("a cat, asleep", 3)]
    assert not problems.kept


# --- names in tables ----------------------------------------------------------------------------------------------


def test_columns_of_other_images(tmp_path: Path) -> None:
    """imagefolder's columns of several images: one names the image, the others are left out and counted."""
    row = {"image_file_name": "images/1.png", "control_file_name": "control/1.png", "text": "a cat"}
    write(tmp_path, {"metadata.jsonl": lines(row), "images/1.png": PNG, "control/1.png": PNG, "images/2.png": PNG})
    files, problems = read(tmp_path)
    assert {Path(file.path).relative_to(tmp_path).as_posix(): file.caption for file in files} == {
        "images/1.png": "a cat",
        "images/2.png": None,
    }
    assert kinds(problems) == {"left_out": 1}


@pytest.mark.parametrize(
    "column", ["file_name", "image_file_name", "target_file_name", "picture_file_name", "image_path_0"]
)
def test_columns_of_file_names(tmp_path: Path, column: str) -> None:
    """Names of columns as imagefolder and musubi have them."""
    write(tmp_path, {"metadata.jsonl": lines({column: "1.png", "caption": "a cat"}), "1.png": PNG})
    assert captions(tmp_path) == {"1.png": "a cat"}


@pytest.mark.parametrize("named", ["absolute", "working folder", "checked folder", "table"])
@pytest.mark.parametrize("checked", ["absolute", "relative", "here", "above"])
def test_names_relative_to_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, checked: str) -> None:
    """Whatever a table's names are relative to, and however the folder is given, each image is one item of its name."""
    folder = write(tmp_path / "data" / "set", {"sub/1.png": PNG, "2.png": PNG})
    prefix = {"absolute": f"{folder}/sub/", "working folder": "data/set/sub/", "checked folder": "sub/", "table": ""}[
        named
    ]
    write(folder, {"sub/list.jsonl": lines({"file_name": f"{prefix}1.png", "text": "a cat"})})
    monkeypatch.chdir(folder if checked == "here" else tmp_path)
    if checked == "here" and named == "working folder":
        pytest.skip("what is relative to another working folder is not found")
    path = {"absolute": folder, "relative": Path("data/set"), "here": Path(), "above": Path("data/../data/set")}[
        checked
    ]
    files, problems = read(path)
    shown = os.path.normpath(path)
    got = sorted((os.path.relpath(file.path, shown), file.caption) for file in files)
    assert got == [("2.png", None), ("sub/1.png", "a cat")]
    assert not problems.kept
    assert rules(check_folder(path))["empty"] == 1


def test_names_through_a_link(tmp_path: Path) -> None:
    """An absolute name through a link is the same image."""
    folder = write(tmp_path / "real", {"1.png": PNG})
    (tmp_path / "link").symlink_to(folder)
    write(folder, {"metadata.jsonl": lines({"file_name": f"{tmp_path}/link/1.png", "text": "a cat"})})
    for place in (folder, tmp_path / "link"):
        assert captions(place) == {"1.png": "a cat"}


# --- images that go with others -----------------------------------------------------------------------------------


def test_masks_controls_and_previews(tmp_path: Path) -> None:
    """They are left out and counted; an image with a caption is one whatever its name or folder."""
    others = [
        "1-masklabel.png",
        "1-condlabel.png",
        "2_mask.PNG",
        "1_thumb.jpg",
        "_controls/1.png",
        "masks/x/1.png",
        "thumbnails/1.jpg",
    ]
    own = {"1.png": "one", "2.PNG": "two", "cat_mask.png": "a mask of a cat", "control/5.png": "a control room"}
    texts = {f"{name.rpartition('.')[0]}.txt": text for name, text in own.items()}
    write(tmp_path, dict.fromkeys([*others, *own], PNG) | texts | {"3_mask.png": PNG})
    files, problems = read(tmp_path)
    assert {Path(file.path).relative_to(tmp_path).as_posix(): file.caption for file in files} == own | {
        "3_mask.png": None
    }
    assert set(kinds(problems)) == {"left_out"}
    counted = [problem.message.split()[0].replace("an", "1") for problem in problems.kept]
    assert sum(map(int, counted)) == len(others)


def test_a_folder_of_masks_by_itself(tmp_path: Path) -> None:
    """What is asked for by name is read."""
    write(tmp_path / "masks", {"1.png": PNG})
    assert captions(tmp_path / "masks") == {"1.png": None}


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
