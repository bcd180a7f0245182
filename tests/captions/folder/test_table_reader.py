from __future__ import annotations

import json
from pathlib import Path

import pytest
from captioned_folders import PNG, captions, image, kinds, lines, read, rules, write

from loss_logging.captions.folder.check import check_folder


def test_tables_without_file_names(tmp_path: Path) -> None:
    """Texts that belong to no image are captions where a table is named or meant for captions, and no others."""
    write(tmp_path, {"metadata.jsonl": '{"text": "a cat"}', "log.jsonl": '{"text": "step 1"}'})
    files, _ = read(tmp_path)
    assert [(file.path, file.caption) for file in files] == [(f"{tmp_path}/metadata.jsonl:1", "a cat")]
    assert [file.caption for file in read(tmp_path / "log.jsonl")[0]] == ["step 1"]


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
