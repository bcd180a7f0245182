"""loss_logging/reports/file_parts.py: items are told from the rest of a report's file without reading them."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from helpers import HOSTILE, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import read_report
from loss_logging.reports.artifact import ReportError, opened_report, read_without_items, write_report
from loss_logging.reports.file_parts import parts_of_file
from loss_logging.reports.item_texts import item_texts
from loss_logging.reports.items import ITEM_SCHEMA, read_items
from loss_logging.reports.report import DatasetReport, ItemStats, Job, LossReport, Summary

LIKE_OURS = ['"item_stats":{\n', "item_stats", '{"item_stats":{}}', '"}},\n"', "}}}\n", '":{"count":1},\n"', "\n", ""]
TEXTS = st.sampled_from([text.encode("utf-8", "backslashreplace").decode() for text in HOSTILE] + LIKE_OURS) | st.text()
ITEMS = st.dictionaries(TEXTS, TEXTS, max_size=3)
NOTHING = Summary(0, None, None, None, None, None, 0, {})


def stats(caption: str) -> ItemStats:
    return ItemStats(1, 0.5, 0.5, 0.5, 0.0, 0.5, None, None, caption)


def written(path: Path, captions: dict[str, dict[str, str]], **fields: object) -> LossReport:
    """A report of these items, dataset by dataset, as the reporter writes it."""
    report = LossReport(job=Job("job", 1, ""), global_=NOTHING, **fields)  # type: ignore[arg-type]
    datasets = {name: DatasetReport(NOTHING) for name in captions}
    rows = [
        {"dataset": name, "path": item, **msgspec.structs.asdict(stats(caption))}
        for name, items in captions.items()
        for item, caption in items.items()
    ]
    texts = item_texts([pa.RecordBatch.from_pylist(rows, ITEM_SCHEMA)]) if rows else ()
    write_report(path, msgspec.structs.replace(report, datasets=datasets), texts)
    return report


@settings(deadline=None, max_examples=examples(40))
@given(st.dictionaries(TEXTS, ITEMS, max_size=4), TEXTS)
def test_parts_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, captions: dict[str, dict[str, str]], prefix: str
) -> None:
    """Whatever is in names, texts and the configuration: the rest, the items of each dataset, and both together."""
    path = tmp_path_factory.getbasetemp() / "parts_000000001.json"
    report = written(path, captions, config={"prefix": prefix})
    with opened_report(path) as (found, texts):
        assert found.config == report.config
        assert {name: json.loads(text.read(0, len(text))) for name, text in texts.items()} == {
            name: {item: msgspec.to_builtins(stats(caption)) for item, caption in items.items()}
            for name, items in captions.items()
        }
    assert {name: dataset.item_stats for name, dataset in read_report(path).datasets.items()} == {
        name: {item: stats(caption) for item, caption in items.items()} for name, items in captions.items()
    }


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("indent", [None, 1])
def test_other_forms_are_no_lines(tmp_path: Path, sort: bool, indent: int | None) -> None:
    """A file that somebody has formatted, with or without spaces and in any order, is read as JSON, whole."""
    path = tmp_path / "a_000000001.json"
    captions = {"cats": {"1.png": "a cat", "2.png": "}}}"}, "dogs": {}, "fish": {"1.png": "a fish"}}
    for some in (captions, {"dogs": {}}, {"fish": {"1.png": "a fish"}}):
        written(path, some)
        expected, rows = read_report(path), list(read_items(path))
        text = json.dumps(
            json.loads(path.read_bytes()), sort_keys=sort, indent=indent, separators=None if indent else (",", ":")
        )
        path.write_text(text + "\n")
        assert read_report(path) == expected
        assert list(read_items(path)) == rows


def test_a_key_of_a_backend_is_no_dataset(tmp_path: Path) -> None:
    """A configuration may name anything."""
    path = tmp_path / "a_000000001.json"
    config = {"loggers": [{"item_stats": {}}, {"item_stats": {"a": 1}}]}
    written(path, {"cats": {"1.png": "a cat"}}, config=config)
    assert read_report(path).config == read_without_items(path).config == config
    assert read_report(path).datasets["cats"].item_stats == {"1.png": stats("a cat")}


def test_memory_does_not_grow_with_the_items(tmp_path: Path) -> None:
    """The text of all items is in memory at no time, neither for the rest of the report nor for its items."""
    path = tmp_path / "a_000000001.json"
    written(path, {"cats": {f"{i}.png": f"{i} cats, {'red ' * 200}" for i in range(10_000)}, "dogs": {"1.png": "1"}})
    size = path.stat().st_size
    assert size > 9_000_000
    assert list(read_items(path, ["count"]))  # imports are no part of it
    for read in (read_without_items, lambda path: sum(batch.num_rows for batch in read_items(path, ["count"]))):
        tracemalloc.start()
        read(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < size / 2


def test_damage_is_found_by_who_reads_it(tmp_path: Path) -> None:
    """Damage within the items is named when they are read, whoever reads them; the rest can still be looked at."""
    path = tmp_path / "a_000000001.json"
    written(path, {"cats": {f"{i}.png": "a cat" for i in range(10)}, "dogs": {"1.png": "a dog"}})
    path.write_bytes(path.read_bytes().replace(b'"5.png":{"count":1', b'"5.png":{"count":x'))
    assert list(read_without_items(path).datasets) == ["cats", "dogs"]
    for read in (read_report, lambda path: list(read_items(path))):
        with pytest.raises(ReportError, match=path.name):
            read(path)


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    """Nothing waits for what is gone."""
    path = tmp_path / "a_000000001.json"
    written(path, {"cats": {"1.png": "a cat"}})
    with opened_report(path) as (_, texts):
        path.write_bytes(b"")
        with pytest.raises(OSError, match="was cut"):
            list(texts["cats"].lines())


def test_names_across_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever a piece ends, the datasets are found."""
    path = tmp_path / "a_000000001.json"
    written(path, {"cats": {"1.png": "a cat"}, "dogs": {}, "fish": {"1.png": "a fish"}})
    text = path.read_bytes()
    expected = parts_of_file(io.BytesIO(text))
    assert expected is not None
    for size in range(14, 80):
        monkeypatch.setattr("loss_logging.reports.file_parts._PIECE", size)
        found = parts_of_file(io.BytesIO(text))
        assert found is not None
        assert found[0] == expected[0]
        assert [b"".join(one.lines()) for one in found[1]] == [b"".join(one.lines()) for one in expected[1]]
