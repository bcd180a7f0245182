from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned_folders import PNG, captions, kinds, lines, read, write
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".csv", "\t")])
def test_csv(tmp_path: Path, suffix: str, delimiter: str) -> None:
    """Columns are found by their names, the delimiter by the header; quoted captions may hold anything."""
    path = tmp_path / f"list{suffix}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "Image_Path", "Caption"])
        writer.writerow([1, "a.png", 'a "cat",\nsitting; or\tnot'])
        writer.writerow([2, "b.png", "猫"])
    for place in (tmp_path, path):
        files, problems = read(place)
        assert [(Path(f.path).name, f.caption, f.line) for f in files] == [
            ("a.png", 'a "cat",\nsitting; or\tnot', 2),
            ("b.png", "猫", 4),
        ]
        assert kinds(problems) == ({"no_image": 2} if place is tmp_path else {})


def test_parquet(tmp_path: Path) -> None:
    """A table of file names, and Hugging Face's struct of bytes and path, of which only the path is read."""
    pq.write_table(pa.table({"image_path": ["a.png", "b.png"], "text": ["a", None]}), tmp_path / "names.parquet")
    image = pa.array([{"bytes": PNG, "path": "c.png"}, {"bytes": PNG, "path": None}])
    pq.write_table(pa.table({"image": image, "text": ["c", "d"]}), tmp_path / "hub.parquet")
    names, _ = read(tmp_path / "names.parquet")
    assert [(Path(f.path).name, f.caption, f.line) for f in names] == [("a.png", "a", 1), ("b.png", None, 2)]
    hub, _ = read(tmp_path / "hub.parquet")
    assert [(Path(f.path).name, f.caption) for f in hub] == [("c.png", "c"), ("hub.parquet:2", "d")]
    assert {file.dataset for file in hub} == {"hub"}
    (tmp_path / "names.parquet").unlink()
    assert read(tmp_path)[1].kept == []  # the images are in the table


def test_broken_json_lines(tmp_path: Path) -> None:
    """Lines that are no JSON, no object, or have no text where text belongs are named; the rest is read."""
    lines = [
        b'{"file_name": "1.png", "text": "one"}',
        b'{"file_name": "2.png", "text": "two"',
        b"",
        b"[1, 2]",
        b'{"file_name": "5.png", "text": 5}',
        b'{"file_name": 6, "text": "six"}',
        b'{"file_name": "7.png", "text": "' + "été".encode("latin-1") + b'"}',
        PNG[:50].replace(b"\n", b""),
        b'{"file_name": "9.png"}',
        b'{"file_name": "10.png", "text": "ten", "score": NaN}',
        b'{"file_name": "11.png", "text": ' + 100_000 * b"[" + b"}",
        b'{"file_name": "12.png", "text": "half \\ud800"}',
    ]
    path = write(tmp_path, {"captions.jsonl": b"\n".join(lines)}) / "captions.jsonl"
    files, problems = read(path)
    assert [(file.line, file.caption) for file in files] == [
        (1, "one"),
        (7, "été"),
        (9, None),
        (10, "ten"),
        (12, "half \ud800"),
    ]
    assert sorted((p.line or 0, p.kind) for p in problems.kept) == [
        *((2, "broken_line"), (4, "broken_line"), (5, "broken_line"), (6, "broken_line")),
        *((7, "not_utf8"), (8, "broken_line"), (11, "broken_line")),
    ]


def test_broken_csv(tmp_path: Path) -> None:
    """A quote that is never closed costs its own line, and so does a caption with commas that is not quoted."""
    lines = ["file_name,text", "1.png,one", '2.png,"two', "3.png,three", "4.png,four, and more", '5.png,"five"']
    for more in (0, 1_000):  # with many lines the end of the file is not what tells
        rest = [f"{i}.png,caption {i}" for i in range(6, 6 + more)]
        path = write(tmp_path, {"list.csv": "\r\n".join(lines + rest)}) / "list.csv"
        files, problems = read(path)
        assert [file.line for file in files] == [2, 4, 6, *range(7, 7 + more)]
        assert [(p.kind, p.line) for p in problems.kept] == [("broken_line", 3), ("broken_line", 5)]


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet", "metadata.json"])
def test_binary_tables(tmp_path: Path, name: str) -> None:
    """A table that is none is named, and the images count as not captioned."""
    write(tmp_path, {"1.png": PNG, name: PNG})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None]
    assert kinds(problems) == {"binary": 1}


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_in_other_encodings(tmp_path: Path, name: str, encoding: str) -> None:
    """Tables in other encodings are read, and named; Parquet has only one."""
    rows = {"file_name": ["1.png", "2.png"], "text": ["Un café crème", "Une fenêtre ouverte"]}
    if name.endswith("jsonl"):
        text = "\n".join(
            json.dumps({"file_name": a, "text": b}, ensure_ascii=False) for a, b in zip(*rows.values(), strict=True)
        )
    else:
        text = "file_name,text\n" + "\n".join(map(",".join, zip(*rows.values(), strict=True)))
    write(tmp_path, {"1.png": PNG, "2.png": PNG, name: text.encode(encoding)})
    if name.endswith("parquet"):
        pq.write_table(pa.table(rows), tmp_path / name)
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == rows["text"]
    assert kinds(problems) == ({} if name.endswith("parquet") else {"not_utf8": 1})


@pytest.mark.parametrize(
    "name", ["metadata.jsonl", "metadata.csv", "metadata.tsv", "metadata.json", "metadata.parquet"]
)
@settings(deadline=None)
@given(data=st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-16")), st.text().map(str.encode)))
def test_any_bytes_may_be_a_table(tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes) -> None:
    """Whatever is in a table, nothing is raised, and the image beside it is there."""
    folder = write(tmp_path_factory.mktemp("table"), {"1.png": PNG, "1.txt": "a cat", name: data})
    files, _ = read(folder)
    assert "a cat" in [file.caption for file in files]


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
