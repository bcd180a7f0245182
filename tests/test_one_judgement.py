"""The same captions are judged the same: in training, by check-captions, and by flag_bad_captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from captions.corpus import CORPUS
from captions.corpus.datasets import DATASETS
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from loss_logging import LossLogger, flag_bad_captions, read_report
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.reason import FlaggedCaption


class Captioned(NamedTuple):
    dataset: str
    name: str
    caption: str

    @property
    def path(self) -> str:
        return f"{self.dataset}/{self.name}.png"


class Judgement(NamedTuple):
    """What is compared: by path the severity and the reasons, how many items each rule objects to, and what the
    captions of each dataset are and what is said of them as a whole."""

    flagged: dict[str, tuple[str, list[str], list[str]]]
    summary: dict[str, int]
    datasets: dict[str, tuple[str | None, set[str]]] | None = None


def judged(flagged: Sequence[FlaggedCaption]) -> dict[str, tuple[str, list[str], list[str]]]:
    return {one.path: (one.severity, one.reasons, [reason.message for reason in one.details]) for one in flagged}


def in_training(tmp_path: Path, items: Sequence[Captioned], config: CaptionConfig) -> Judgement:
    columns = {
        "paths": [item.path for item in items],
        "datasets": [item.dataset for item in items],
        "captions": [item.caption for item in items],
    }
    options: dict[str, Any] = {"loggers": [], "reporter": "inline", "max_table_rows": 10_000}
    with LossLogger(job_name="run", save_root=tmp_path / "run", captions=config, **options) as losses:
        losses.log_batch(1, [0.5] * len(items), **columns)
        path = losses.save_step(1).result()
    assert path is not None
    report = read_report(path)
    datasets = {
        name: (one.captions.profile, {reason.rule for reason in one.captions.reasons})
        for name, one in report.datasets.items()
        if one.captions is not None
    }
    return Judgement(judged(report.flagged), report.flagged_summary, datasets)


def in_a_folder(tmp_path: Path, items: Sequence[Captioned], config: CaptionConfig) -> Judgement:
    for item in items:
        path = tmp_path / "folder" / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with (path.parent / "metadata.jsonl").open("a") as file:
            print(json.dumps({"file_name": path.name, "text": item.caption}), file=file)
    captions = check_folder(tmp_path / "folder", config).captions
    datasets = {name: (one.profile, {reason.rule for reason in one.reasons}) for name, one in captions.datasets.items()}
    return Judgement(judged(captions.flagged), captions.summary, datasets)


def of_records(items: Sequence[Captioned], config: CaptionConfig) -> Judgement:
    records = [{"path": i.path, "dataset": i.dataset, "caption": i.caption, "loss": 0.5} for i in items]
    result = flag_bad_captions(records, config, top_n=len(items))
    return Judgement(judged(result.flagged), result.summary)


def assert_one_judgement(tmp_path: Path, items: Sequence[Captioned], config: CaptionConfig) -> Judgement:
    training, folder, records = (
        in_training(tmp_path, items, config),
        in_a_folder(tmp_path, items, config),
        of_records(items, config),
    )
    assert training == folder
    assert training[:2] == records[:2]
    return training


def captioned(dataset: str, captions: Sequence[str]) -> list[Captioned]:
    """A log escapes lone surrogates."""
    texts = [caption.encode("utf-8", "backslashreplace").decode() for caption in captions]
    return [Captioned(dataset, f"{i:05}", text) for i, text in enumerate(texts)]


def test_the_corpus(tmp_path: Path) -> None:
    """Each language of the corpus as a dataset: the same flags, severities, sentences, profiles and counts."""
    languages = sorted({case.language for case in CORPUS})
    items = [
        item
        for name in languages
        for item in captioned(name, [case.caption for case in CORPUS if case.language == name])
    ]
    judgement = assert_one_judgement(tmp_path, items, CaptionConfig())
    assert len(judgement.flagged) > 200


@pytest.mark.parametrize(
    "dataset",
    [dataset if i % 3 == 0 else pytest.param(dataset, marks=pytest.mark.long) for i, dataset in enumerate(DATASETS)],
    ids=lambda dataset: dataset.name,
)
def test_datasets_with_settings(dataset: Any, tmp_path: Path) -> None:
    """What is found with the words and limits of the user, too."""
    items = captioned(dataset.name, [item.caption for item in dataset.items])
    assert_one_judgement(tmp_path, items, dataset.config)


def test_a_dataset_that_turns_out_to_be_something_else(tmp_path: Path) -> None:
    """Its first five hundred captions do not settle what the others are: all count."""
    prose = [f"a person number {i} walks along a quiet river in the evening" for i in range(520)]
    tags = [f"{i} shells, beach, sea, sand" for i in range(2_400)]
    short = ["1girl", "beach", "sand, sea"]
    items = captioned("mixed", [*short, *prose, *tags])
    assert assert_one_judgement(tmp_path, items, CaptionConfig()).datasets == {"mixed": ("tags", set())}


CAPTIONS = st.sampled_from(
    ["", "nan", "sks dog", "a cat on a sofa", "A cat on a sofa.", "cat cat cat cat", "a <unk> cat", "1girl, solo, hat"]
)


@given(captions=st.lists(st.tuples(st.sampled_from(["d", "e"]), CAPTIONS), min_size=1, max_size=12))
@settings(max_examples=examples(15), deadline=None)
def test_any_captions(captions: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the captions are."""
    items = [Captioned(dataset, f"{i:02}", caption) for i, (dataset, caption) in enumerate(captions)]
    assert_one_judgement(tmp_path_factory.mktemp("judged"), items, CaptionConfig())
