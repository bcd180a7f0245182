"""loss_logging/captions/folder: read, tables, decoding and problems"""

from __future__ import annotations

import codecs
import csv
import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned_folders import PNG, captions, kinds, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging.captions.folder.decoding import BinaryDataError, TextDecoder
from loss_logging.captions.folder.problems import PROBLEMS, FolderProblems
from loss_logging.captions.folder.read import class_tokens
from loss_logging.errors import LossLoggingError

# --- layouts ------------------------------------------------------------------------------------------------------


def test_text_beside_images(tmp_path: Path) -> None:
    """Images and videos of any suffix go with the .txt or .caption of their name; without one, the caption is None."""
    write(
        tmp_path / "cats",
        {
            "1.png": PNG,
            "1.txt": "a cat\n",
            "2.JPEG": PNG,
            "2.caption": "two cats",
            "3.webp": PNG,
            "4.mp4": PNG,
            "4.txt": "a cat\nruns\r\n",
            "x.y.png": PNG,
            "x.y.txt": "",
            ".hidden.png": PNG,
            "latents.safetensors": PNG,
        },
    )
    expected = {"1.png": "a cat", "2.JPEG": "two cats", "3.webp": None, "4.mp4": "a cat\nruns", "x.y.png": ""}
    assert captions(tmp_path / "cats") == expected
    files, _ = read(tmp_path / "cats")
    assert {file.dataset for file in files} == {"cats"}
    assert [Path(file.source).name if file.source else None for file in files] == [
        *("1.txt", "2.caption", None, "4.txt", "x.y.txt")
    ]


def test_nested_folders_are_datasets(tmp_path: Path) -> None:
    """A dataset is a folder, named from the top; folders of digits are shards of the one above."""
    write(
        tmp_path / "all",
        {
            "a.png": PNG,
            "a.txt": "a",
            "cats/b.png": PNG,
            "cats/b.txt": "b",
            "cats/old/c.png": PNG,
            "cats/old/c.txt": "c",
            "cats/00001/d.png": PNG,
            "cats/00001/d.txt": "d",
        },
    )
    files, problems = read(tmp_path / "all")
    assert not problems.kept
    assert {file.caption: file.dataset for file in files} == {"a": "all", "b": "cats", "c": "cats/old", "d": "cats"}


def test_kohya_folders(tmp_path: Path) -> None:
    """Folders named N_tokens are datasets of that name; images beside them, which kohya does not read, are named."""
    write(
        tmp_path / "img",
        {"10_sks dog/1.png": PNG, "10_sks dog/1.txt": "sks dog runs", "1_dog/2.png": PNG, "3.png": PNG, "3.txt": "a"},
    )
    files, problems = read(tmp_path / "img")
    assert {file.dataset: file.caption for file in files} == {"10_sks dog": "sks dog runs", "1_dog": None, "img": "a"}
    assert kinds(problems) == {"not_read": 1, "usual_suffix": 1}
    assert [class_tokens(name) for name in ("10_sks dog", "img/1_dog", "img", "10")] == ["sks dog", "dog", None, None]


def test_kohya_metadata(tmp_path: Path) -> None:
    """meta_cap.json maps file names, with or without suffix, to captions and tags, which kohya joins by a comma."""
    meta = {"1": {"caption": "a cat"}, "sub/2": {"tags": "cat, solo"}, "3.png": {"caption": "c", "tags": "t"}}
    write(tmp_path, {"1.png": PNG, "sub/2.png": PNG, "3.png": PNG, "4.png": PNG, "meta_cap.json": json.dumps(meta)})
    assert captions(tmp_path) == {"1.png": "a cat", "sub/2.png": "cat, solo", "3.png": "c,t", "4.png": None}


def test_json_beside_images(tmp_path: Path) -> None:
    """A .json holds the caption, which no trainer reads there; one of another program is left alone."""
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.json": json.dumps({"caption": "a cat", "caption_short": "cat"}),
            "meta2.png": PNG,
            "meta2.json": json.dumps({"caption": "a dog"}),
            "3.png": PNG,
            "3.json": json.dumps({"rating": 5}),
            "4.png": PNG,
            "4.json": "[1, 2]",
            "settings.json": json.dumps({"caption": "no image of this name"}),
        },
    )
    expected = {"1.png": "a cat", "3.png": None, "4.png": None, "meta2.png": "a dog"}
    assert captions(tmp_path, expected={"no_trainer_reads_json": 2}) == expected


@pytest.mark.parametrize("column", ["text", "caption", "prompt", "TEXT"])
def test_image_folder_with_json_lines(tmp_path: Path, column: str) -> None:
    """Hugging Face's metadata.jsonl covers its folder and those below; lines are counted from 1."""
    rows = [{"file_name": "1.png", column: "a cat"}, {"file_name": "sub/2.png", column: None}]
    write(
        tmp_path,
        {
            "train/1.png": PNG,
            "train/sub/2.png": PNG,
            "train/3.png": PNG,
            "train/metadata.jsonl": "\n".join(map(json.dumps, rows)),
        },
    )
    assert captions(tmp_path) == {"train/1.png": "a cat", "train/sub/2.png": None, "train/3.png": None}
    files, _ = read(tmp_path)
    assert [(file.dataset, file.line) for file in files] == [("train", 1), ("train", 2), ("train", None)]


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


def test_columns_can_be_named(tmp_path: Path) -> None:
    """Columns of other names are found when they are named, and an error lists what there is when they are not."""
    path = write(tmp_path, {"list.csv": "bild,beschriftung\na.png,a cat\n"}) / "list.csv"
    assert captions(path, path_column="bild", caption_column="Beschriftung") == {"a.png": "a cat"}
    with pytest.raises(LossLoggingError, match="bild, beschriftung"):
        read(path)
    with pytest.raises(LossLoggingError, match="bild, beschriftung"):
        read(path, caption_column="beschriftun")


def test_web_addresses_are_names(tmp_path: Path) -> None:
    """A table of addresses, as LAION's, keeps them as paths and misses no file."""
    path = write(tmp_path, {"laion.jsonl": '{"url": "https://a.example/b.jpg", "TEXT": "a cat"}'})
    files, problems = read(path)
    assert [(file.path, file.caption) for file in files] == [("https://a.example/b.jpg", "a cat")]
    assert not problems.kept


def test_single_files(tmp_path: Path) -> None:
    """An image and its text are the same item, whichever is named."""
    write(tmp_path / "cats", {"1.png": PNG, "1.txt": "a cat", "2.png": PNG, "2.txt": "two", "sub/3.png": PNG})
    for name in ("1.png", "1.txt"):
        files, _ = read(tmp_path / "cats" / name)
        assert [(Path(f.path).name, f.dataset, f.caption) for f in files] == [("1.png", "cats", "a cat")]
    with pytest.raises(LossLoggingError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(LossLoggingError, match=r"allowed: .*\.jsonl"):
        read(write(tmp_path, {"a.exe": b""}) / "a.exe")


def test_captions_alone(tmp_path: Path) -> None:
    """A folder of captions without images is read; among images, a caption without image is named instead."""
    write(tmp_path, {"alone/1.txt": "a cat", "alone/2.txt": "a dog", "images/1.png": PNG, "images/2.txt": "a bird"})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat", "a dog", None]
    assert kinds(problems) == {"no_image": 1}
    assert problems.kept[0].path.endswith("2.txt")


def test_several_captions(tmp_path: Path) -> None:
    """Each of an image's captions is read, and the image is named."""
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.txt": "from txt",
            "1.caption": "from caption",
            "2.png": PNG,
            "2.txt": "from txt",
            "metadata.jsonl": '{"file_name": "2.png", "text": "from the table"}',
        },
    )
    files, problems = read(tmp_path)
    assert sorted((Path(f.path).name, f.caption) for f in files) == [
        *(("1.png", "from caption"), ("1.png", "from txt"), ("2.png", "from the table"), ("2.png", "from txt"))
    ]
    assert kinds(problems) == {"two_captions": 2}


# --- bad input ----------------------------------------------------------------------------------------------------

TEXT = "Une fenêtre – là, à côté d’un café crème"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8 with a byte order mark"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16-le with"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be with"),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "utf-32-le with"),
        (TEXT.encode("utf-16-le"), "utf-16-le,"),
        (TEXT.encode("utf-16-be"), "utf-16-be,"),
        (TEXT.encode("cp1252"), "cp1252,"),
    ],
)
def test_other_encodings(tmp_path: Path, data: bytes, encoding: str) -> None:
    """A caption in another encoding is read, and its encoding named."""
    write(tmp_path, {"1.png": PNG, "1.txt": data, "2.png": PNG, "2.txt": TEXT})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [TEXT, TEXT]
    assert kinds(problems) == {"not_utf8": 1}
    assert encoding in problems.kept[0].message
    assert problems.kept[0].path == str(tmp_path / "1.txt")


def test_a_folder_tells_more_than_a_caption() -> None:
    """One Cyrillic word fits many code pages; after a few captions of the folder the right one is known."""
    texts = ["кот", "кошка сидит на диване", "девушка в красном платье стоит у окна", "собака бежит по снегу", "кот"]
    decoder = TextDecoder()
    assert [decoder.decode(text.encode("koi8_r")).text for text in texts][-1] == "кот"


def test_binary_files_named_txt(tmp_path: Path) -> None:
    """An image, zeros or noise named .txt is named, and is no caption; a stray control character is still text."""
    noise = random.Random(1)
    write(
        tmp_path,
        {
            "1.png": PNG,
            "1.txt": PNG,
            "2.png": PNG,
            "2.txt": bytes(5_000),
            "3.png": PNG,
            "3.txt": noise.randbytes(100_000),
            "4.png": PNG,
            "4.txt": "a cat\0 on a sofa",
        },
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None, None, None, "a cat\0 on a sofa"]
    assert all(file.source for file in files)
    assert kinds(problems) == {"binary": 3}


def test_damaged_text_is_still_read(tmp_path: Path) -> None:
    """Text with a byte that fits nowhere keeps the rest, with a replacement character."""
    write(tmp_path, {"1.png": PNG, "1.txt": "猫が座っている、ソファの上に".encode() + b"\xff" + "猫".encode()})
    files, problems = read(tmp_path)
    assert files[0].caption == "猫が座っている、ソファの上に\ufffd猫"
    assert kinds(problems) == {"undecodable": 1}


def test_huge_captions(tmp_path: Path) -> None:
    """Of a caption of 10 MB the first part is read, also where that ends inside a character."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a" + "ö" * 5_000_000, "2.png": PNG, "2.txt": "a cat"})
    files, problems = read(tmp_path)
    assert files[0].caption == "a" + "ö" * (2**19 - 1)
    assert files[1].caption == "a cat"
    assert kinds(problems) == {"too_large": 1}


def test_link_loops(tmp_path: Path) -> None:
    """A link to a folder above is named and not followed; one to another place is read; a dead one is named."""
    write(tmp_path / "top", {"cats/1.png": PNG, "cats/1.txt": "a cat"})
    write(tmp_path / "elsewhere", {"2.png": PNG, "2.txt": "a dog"})
    (tmp_path / "top" / "cats" / "again").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "dogs").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "dead.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "top" / "self").symlink_to(tmp_path / "top" / "self")
    files, problems = read(tmp_path / "top")
    assert [(file.dataset, file.caption) for file in files] == [("cats", "a cat"), ("dogs", "a dog")]
    assert kinds(problems) == {"link_loop": 1, "unreadable": 2}


def test_special_files_are_left_alone(tmp_path: Path) -> None:
    """A pipe named .txt, which would block its reader for ever, is not opened."""
    write(tmp_path, {"1.png": PNG})
    os.mkfifo(tmp_path / "1.txt")
    result: list[Any] = []
    reading = threading.Thread(target=lambda: result.append(read(tmp_path)), daemon=True)
    reading.start()
    reading.join(10)
    assert result[0][0][0].caption is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are a matter of POSIX")
def test_unreadable_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be read is named; the rest is read."""
    write(tmp_path, {"a/1.png": PNG, "a/1.txt": "no", "b/2.png": PNG, "b/2.txt": "no", "c/3.png": PNG, "c/3.txt": "c"})
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").chmod(0)
    (tmp_path / "b" / "2.txt").chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65_534)
    try:
        files, problems = read(Path())
    finally:
        os.seteuid(user)
        (tmp_path / "a").chmod(0o700)
    assert [(file.path, file.caption) for file in files] == [("./b/2.png", None), ("./c/3.png", "c")]
    assert kinds(problems) == {"unreadable": 2}


def test_very_deep_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders nested deeper than a path can be long end in a named problem, not in an error."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat"})
    monkeypatch.chdir(tmp_path)
    for _ in range(50):
        Path("d" * 100).mkdir()
        os.chdir("d" * 100)
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat"]
    assert kinds(problems) == {"unreadable": 1}


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


def test_tables_without_captions(tmp_path: Path) -> None:
    """Only a table that is meant for captions must have some; a log or list of something else is left alone."""
    write(tmp_path, {"1.png": PNG, "metadata.csv": "file_name,size\n1.png,5\n", "log.csv": "step,loss\n1,0.5\n"})
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == [None]
    assert kinds(problems) == {"no_columns": 1}
    assert "file_name, size" in problems.kept[0].message


def test_tables_without_file_names(tmp_path: Path) -> None:
    """Texts that belong to no image are captions where a table is named or meant for captions, and no others."""
    write(tmp_path, {"metadata.jsonl": '{"text": "a cat"}', "log.jsonl": '{"text": "step 1"}'})
    files, _ = read(tmp_path)
    assert [(file.path, file.caption) for file in files] == [(f"{tmp_path}/metadata.jsonl:1", "a cat")]
    assert [file.caption for file in read(tmp_path / "log.jsonl")[0]] == ["step 1"]


def test_absolute_names(tmp_path: Path) -> None:
    """A table may name files by their whole path, as kohya's do."""
    path = write(tmp_path / "images", {"1.png": PNG}) / "1.png"
    write(tmp_path / "tables", {"meta_cap.json": json.dumps({str(path): {"caption": "a cat"}})})
    files, problems = read(tmp_path / "tables")
    assert [(file.path, file.caption) for file in files] == [(str(path), "a cat")]
    assert not problems.kept


def test_strange_names(tmp_path: Path) -> None:
    """Names that are no UTF-8, and names in tables that no file can have, are just names."""
    bad = os.fsdecode(b"\xff\xfe.png")
    (tmp_path / bad).write_bytes(PNG)
    (tmp_path / os.fsdecode(b"\xff\xfe.txt")).write_text("a cat", encoding="utf-8")
    write(
        tmp_path, {"metadata.jsonl": '{"file_name": "nul\\u0000.png", "text": "nul"}\n{"file_name": "", "text": "e"}'}
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["nul", "e", "a cat"]
    assert kinds(problems) == {"no_image": 1}


def test_every_problem_is_counted_and_few_are_kept() -> None:
    """However many there are, memory does not grow; every kind says how grave it is and what to do."""
    problems = FolderProblems(keep=2)
    for i in range(5):
        problems.add("not_utf8", f"{i}.txt", "is cp1252")
    assert problems.counts["not_utf8"] == 5
    assert [problem.path for problem in problems.kept] == ["0.txt", "1.txt"]
    assert all(advice.endswith(".") for _, advice in PROBLEMS.values())


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text[0] != "\ufeff"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_unicode_encodings_round_trip(text: str, encoding: str) -> None:
    """Whatever the text, each of the Unicode encodings is read as what was written."""
    decoded = TextDecoder().decode(text.encode(encoding))
    assert decoded.text == text
    assert decoded.plain == (encoding == "utf-8")


WESTERN = [
    "une",
    "fenêtre",
    "là",
    "près",
    "café",
    "crème",
    "ein",
    "Mädchen",
    "mit",
    "grünem",
    "Straße",
    "niño",
    "montaña",
    "São",
]


@given(st.lists(st.sampled_from(WESTERN), min_size=4))
def test_western_texts_round_trip(words: list[str]) -> None:
    """Western European captions in the code page of Windows are read as what was written."""
    text = " ".join(words)
    assert TextDecoder().decode(text.encode("cp1252")).text == text


@given(st.binary())
def test_decoding_never_fails_otherwise(data: bytes) -> None:
    """Any bytes are text or binary, whole or cut."""
    for cut in (False, True):
        try:
            assert isinstance(TextDecoder().decode(data, cut=cut).text, str)
        except BinaryDataError:
            assert data


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
