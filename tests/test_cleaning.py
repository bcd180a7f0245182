"""benchmarks.cleaning: what it plants, cleans and counts is what it says."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cleaning
from benchmarks.cleaning import AS_THEY_ARE, CORRECT, FIRST, KINDS, PERFECT, RUN, SUGGESTED, Case, load_case

pytest.importorskip("sklearn")


def small(case: Case, count: int) -> Case:
    """The same with fewer pictures to train on, and ten that are held out."""
    return replace(case, rows=case.rows[:count], held=case.held[:10])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_so_many_captions_are_wrong_and_no_picture(name: str, share: float) -> None:
    """A share of all captions differs from the right ones; pictures and what they show are those of any share."""
    case, clean = load_case(name, share, seed=1), load_case(name, 0.0, seed=1)
    assert case.wrong.sum() == int(share * len(case.captions))
    assert not clean.wrong.any()
    assert (case.trained == clean.trained).all()
    assert sorted([*case.rows, *case.held]) == list(range(len(case.captions)))
    assert (case.held == clean.held).all(), "what is measured on does not change with the share"


def test_a_wrong_tag_list_is_that_of_another_digit() -> None:
    """No word of the right caption need be left, and the first one never is."""
    case = load_case("digits-tags", 0.1, seed=0)
    for own, right, wrong in zip(case.captions, case.right, case.wrong, strict=True):
        assert wrong == (own.split(", ")[0] != right.split(", ")[0])


def test_each_way_of_cleaning_trains_on_what_it_says() -> None:
    """Excluded ones are gone, corrected ones are still there; models that see other captions are others."""
    found = cleaning.measure(small(load_case("digits", 0.2, seed=0), 400), steps=8, seed=0)
    pictures = {name: found[name]["pictures"] for name in (AS_THEY_ARE, FIRST, RUN, SUGGESTED, PERFECT, CORRECT)}
    assert pictures[PERFECT] == 400 - found["found"]["wrong"]
    assert pictures[FIRST] == 400 - found["found"][FIRST][0] < 400
    assert pictures[RUN] == 400 - found["found"][RUN][0]
    assert pictures[AS_THEY_ARE] == pictures[SUGGESTED] == pictures[CORRECT] == 400
    assert len({found[name]["loss"] for name in (AS_THEY_ARE, FIRST, SUGGESTED, PERFECT, CORRECT)}) == 5
    assert found["read"] > 0.7


def test_a_share_is_said_only_of_a_gain_beyond_chance() -> None:
    """Of seeds that do not agree there is none, nor of one that lost."""
    assert cleaning.brought_back([0.05, 0.06, 0.07], [0.1, 0.1, 0.1]) == "60% (50..70%)"
    assert cleaning.brought_back([0.05], [0.1]) == "50%"
    for possible in ([0.1, -0.1, 0.1], [-0.1, -0.1, -0.1], [0.01, 0.1, 0.3]):
        assert cleaning.brought_back([0.05, 0.06, 0.07], possible) == "no measurable gain"


def test_what_is_measured_is_not_measured_again(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """A run that was stopped goes on with what its file does not have."""
    one = {"loss": 0.5, "right": 0.5, "pictures": 9}
    counts = {"wrong": 3, FIRST: [2, 2], RUN: [0, 0], SUGGESTED: [2, 1]}
    cell = {"read": 0.9, "found": counts} | dict.fromkeys((AS_THEY_ARE, FIRST, RUN, SUGGESTED, PERFECT, CORRECT), one)
    asked = []

    def measure(case: Case, steps: int, seed: int) -> dict[str, Any]:
        asked.append((len(case.rows), steps, seed))
        return cell

    monkeypatch.setattr(cleaning, "measure", measure)
    file = tmp_path / "cells.jsonl"
    for seeds in (1, 2, 2):
        command = ["cleaning", "--sets", "digits", "--wrong", "0.1", "--seeds", str(seeds), "--cells", str(file)]
        monkeypatch.setattr(sys, "argv", command)
        cleaning.main()
    assert asked == [(1348, 600, 0), (1348, 600, 1)]
    assert [json.loads(line)["seed"] for line in file.read_text().splitlines()] == [0, 1]
    assert "no measurable gain" in capsys.readouterr().out


def test_suggestions_are_right_in_words_or_figures() -> None:
    """A caption that says the digit in the other way says the same."""
    assert cleaning._same("the number three in pen", "the number 3 in pen")
    assert not cleaning._same("the number four in pen", "the number 3 in pen")
