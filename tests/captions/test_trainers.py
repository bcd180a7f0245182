"""What each trainer makes of one folder: every row of the table in docs/trainer_captions.md."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned_folders import PNG, image, kinds, loss_logging, read, write
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.folder.trainer_settings import TrainerSettings, as_settings, settings_from_file
from loss_logging.captions.token_limits import FAMILIES, caption_tokens
from loss_logging.captions.trainers import TRAINERS, Trainer
from loss_logging.cli.commands.as_trained import as_trained
from loss_logging.errors import ConfigError

SKIP, FAILS, NONE = "skip", "fails", "none"
WILDCARDS = TRAINERS["kohya"].with_lines("each")
READERS: dict[str, Trainer] = {"wildcards": WILDCARDS, **TRAINERS}


def trained(folder: Path, trainer: str | TrainerSettings | Trainer) -> dict[str, Any]:
    """Name of the image -> what it is trained with: a text, several, SKIP, FAILS or NONE; what is not read lacks."""
    settings = as_settings(READERS[trainer] if isinstance(trainer, str) else trainer)
    result: dict[str, Any] = {}
    for one in as_trained(folder, settings):
        captions = one["captions"]
        if one["not_trained"] is None:
            result[Path(one["path"]).name] = captions[0] if len(captions) == 1 else captions
        elif "leaves out" in one["not_trained"]:
            result[Path(one["path"]).name] = SKIP
        elif "training ends" in one["not_trained"]:
            result[Path(one["path"]).name] = FAILS
        elif "blank" in one["not_trained"]:
            result[Path(one["path"]).name] = NONE
    return result


def laid_out(folder: Path, files: dict[str, Any], trainer: str) -> Path:
    """The files in a folder of the shape that the trainer reads."""
    write(folder / "10_sks dog" if trainer in ("kohya", "wildcards") else folder, files)
    return folder


ALL = ("kohya", "wildcards", "musubi", "ai-toolkit", "onetrainer", "diffusion-pipe", "simpletuner")

# The text of a .txt, and what it is trained as by each of ALL.
TEXTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "one line": ("a cat\n", ("a cat", "a cat", "a cat", "a cat\n", "a cat", "a cat", "a cat")),
    "lines": (
        "A\n\nB, c",
        ("A", ["A", "B, c"], "A\n\nB, c", "A\n\nB,  c", ["A", "B, c"], "A\n\nB, c", ["A", "B, c"]),
    ),
    "a blank first line": ("\nA\n", ("", "A", "A", "\nA\n", "A", "A", "A")),
    "choices": (
        "a {red|blue} ball",
        ("a {red|blue} ball", ["a red ball", "a blue ball"], *["a {red|blue} ball"] * 5),
    ),
    "keep_tokens_separator": (
        "x, long_hair ||| y",
        (*["x, long_hair ||| y"] * 3, "x,  long_hair ||| y", *["x, long_hair ||| y"] * 3),
    ),
    "blank": (" \n", ("", "", "", " \n", "", "", NONE)),
    "white space": (
        "  a cat \r\n \r\n\tb\r\n",
        (
            "a cat",
            ["a cat", "b"],
            "a cat \n \n\tb",
            "  a cat \n \n\tb\n",
            ["a cat", "b"],
            "a cat \n \n\tb",
            ["a cat", "b"],
        ),
    ),
    "placeholders": (
        "[trigger] on a beach, 1,000 shells",
        (
            *["[trigger] on a beach, 1,000 shells"] * 3,
            " on a beach,  1, 000 shells",
            *["[trigger] on a beach, 1,000 shells"] * 3,
        ),
    ),
}


@pytest.mark.parametrize("number", range(len(ALL)), ids=ALL)
@pytest.mark.parametrize("row", TEXTS)
def test_a_text_beside_an_image(tmp_path: Path, row: str, number: int) -> None:
    """What is in the .txt of an image."""
    text, expected = TEXTS[row]
    folder = laid_out(tmp_path, {"1.png": PNG, "1.txt": text}, ALL[number])
    assert trained(folder, ALL[number]) == {"1.png": expected[number]}


# Files, and by each of ALL what 1.png is trained with. With 2.png and 2.txt beside it, as folders have captions.
FILES: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "only .caption": ({"1.caption": "c"}, ("sks dog", "sks dog", SKIP, "", "", SKIP, FAILS)),
    ".txt and .caption": ({"1.caption": "c", "1.txt": "t"}, ("t",) * 7),
    "nothing": ({}, ("sks dog", "sks dog", SKIP, "", "", SKIP, FAILS)),
    "only .json": ({"1.json": '{"caption": "j"}'}, ("sks dog", "sks dog", SKIP, "", "", SKIP, FAILS)),
    ".TXT": ({"1.TXT": "t"}, ("sks dog", "sks dog", SKIP, "", "", SKIP, FAILS)),
}


@pytest.mark.parametrize("number", range(len(ALL)), ids=ALL)
@pytest.mark.parametrize("row", FILES)
def test_which_file_is_the_caption(tmp_path: Path, row: str, number: int) -> None:
    """Which file is a caption, and what happens without one."""
    files, expected = FILES[row]
    folder = laid_out(tmp_path, {"1.png": PNG, "2.png": PNG, "2.txt": "two"} | files, ALL[number])
    assert trained(folder, ALL[number]) == {"1.png": expected[number], "2.png": "two"}


@pytest.mark.parametrize("number", range(len(ALL)), ids=ALL)
def test_names(tmp_path: Path, number: int) -> None:
    """Dots in a name, a suffix in capitals, and kohya's cropped faces."""
    expected: dict[str, Any] = {"a.v2.png": "dots", "A.PNG": "big", "a_0_0_9_9.png": "small", "a.png": "small"}
    if ALL[number] not in ("kohya", "wildcards"):
        expected["a_0_0_9_9.png"] = [SKIP, "", "", SKIP, FAILS][number - 2]
    files = dict.fromkeys(expected, PNG) | {"a.v2.txt": "dots", "A.txt": "big", "a.txt": "small"}
    assert trained(laid_out(tmp_path, files, ALL[number]), ALL[number]) == expected


FOLDERS = {
    "kohya": {"a.png"},
    "musubi": {"top.png"},
    "ai-toolkit": {"a.png", "b.png", "off.png", "note.png", "top.png"},
    "onetrainer": {"top.png"},
    "diffusion-pipe": {"top.png"},
    "simpletuner": {"a.png", "b.png", "off.png", "note.png", "top.png"},
}


@pytest.mark.parametrize("trainer", FOLDERS)
def test_folders(tmp_path: Path, trainer: str) -> None:
    """Folders inside, folders without a number or with 0, images beside numbered folders: what is read, what not."""
    paths = ["10_sks dog/a", "10_sks dog/inner/b", "0_off/off", "notes/note", "top"]
    write(tmp_path, {f"{path}.png": PNG for path in paths} | {f"{path}.txt": "a cat on a sofa" for path in paths})
    assert set(trained(tmp_path, trainer)) == FOLDERS[trainer]
    check = check_folder(tmp_path, CaptionConfig(trainer=trainer))  # type: ignore[arg-type]
    assert check.captions.captions == len(FOLDERS[trainer])
    left = [finding.message for finding in check.findings() if finding.rule == "not_trained"]
    assert sum(int(message.split()[0].replace("An", "1")) for message in left) == 5 - len(FOLDERS[trainer])


def test_subfolders_of_onetrainer(tmp_path: Path) -> None:
    """With include_subdirectories it reads what is inside, too."""
    write(tmp_path, {"inner/1.png": PNG, "inner/1.txt": "a cat"})
    concepts = write(tmp_path, {"c.json": json.dumps([{"path": str(tmp_path), "include_subdirectories": True}])})
    assert trained(tmp_path, settings_from_file(concepts / "c.json")) == {"1.png": "a cat"}


def test_masks_and_controls(tmp_path: Path) -> None:
    """OneTrainer's masks and ai-toolkit's control images are no images of their own."""
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat", "1-masklabel.png": PNG, "_controls/1.png": PNG})
    assert trained(tmp_path, "onetrainer") == {"1.png": "a cat"}
    assert trained(tmp_path, "ai-toolkit") == {"1.png": "a cat", "1-masklabel.png": ""}
    write(tmp_path, {"10_cat/1-masklabel.png": PNG})
    assert trained(tmp_path, "kohya") == {"1-masklabel.png": "cat"}


def test_file_names_as_captions(tmp_path: Path) -> None:
    """SimpleTuner's strategy where nothing is captioned, and OneTrainer's source, take the image's name."""
    write(tmp_path, {"01_plain.png": PNG})
    assert trained(tmp_path, "simpletuner") == {"01_plain.png": "01 plain"}
    write(tmp_path, {"c.json": json.dumps([{"path": str(tmp_path), "text": {"prompt_source": "filename"}}])})
    assert trained(tmp_path, settings_from_file(tmp_path / "c.json")) == {"01_plain.png": "01_plain"}
    assert not [f for f in check_folder(tmp_path, CaptionConfig(trainer="simpletuner")).findings() if f.rule == "empty"]


# --- tables ---------------------------------------------------------------------------------------------------------


def test_metadata_of_kohya(tmp_path: Path) -> None:
    """Caption and tags are joined by a comma; tags alone are the caption, but with wildcards nothing is."""
    meta = {
        "1": {"caption": "a goat", "tags": "horns, grass"},
        "2": {"caption": None, "tags": "goat, 1animal"},
        "3": {"tags": "goat"},
        "4": {"caption": "a\nb", "tags": "t"},
        "5": {"caption": "alone"},
    }
    write(tmp_path, {f"{name}.png": PNG for name in meta} | {"meta_lat.json": json.dumps(meta)})
    first = {"1.png": "a goat,horns, grass", "2.png": "goat, 1animal", "3.png": "goat", "4.png": "a", "5.png": "alone"}
    assert trained(tmp_path, "kohya") == first
    expected = first | {"2.png": "", "3.png": "", "4.png": ["a,t", "b,t"]}
    assert trained(tmp_path, "wildcards") == expected
    files, problems = read(tmp_path)
    assert {Path(file.path).name: file.caption for file in files}["2.png"] == "goat, 1animal"
    assert not problems.kept


def test_tables_beside_files(tmp_path: Path) -> None:
    """Kohya takes the files of its folders, and not a table above them; a row without a caption is one of none."""
    write(tmp_path, {"10_dog/1.png": PNG, "10_dog/1.txt": "file", "10_dog/2.png": PNG})
    write(tmp_path, {"meta_cap.json": json.dumps({"10_dog/1": {"caption": "table"}})})
    assert trained(tmp_path, "kohya") == {"1.png": "file", "2.png": "dog"}
    folder = write(tmp_path / "other", {"1.png": PNG, "m.json": json.dumps({"1.png": {"caption": None}})})
    assert trained(folder, "kohya") == {"1.png": ""}


def test_tables_of_other_trainers(tmp_path: Path) -> None:
    """musubi's JSONL, ai-toolkit's JSON, diffusion-pipe's captions.json with lists, SimpleTuner's Parquet."""
    names = ["1.png", "2.png"]
    for trainer in ("musubi", "ai-toolkit", "diffusion-pipe", "simpletuner"):
        write(tmp_path / trainer, dict.fromkeys(names, PNG))
    rows = [{"image_path_0": str(tmp_path / "musubi" / name), "caption": f" {name} "} for name in names]
    write(tmp_path, {"musubi/data.jsonl": "\n".join(map(json.dumps, rows))})
    assert trained(tmp_path / "musubi", "musubi") == {"1.png": " 1.png ", "2.png": " 2.png "}
    data = {str(tmp_path / "ai-toolkit" / name): {"caption": f"an owl, number {name[0]}"} for name in names}
    write(tmp_path, {"ai-toolkit/data.json": json.dumps(data)})
    expected = {name: f"an owl,  number {name[0]}" for name in names}
    assert trained(tmp_path / "ai-toolkit", "ai-toolkit") == expected
    assert trained(tmp_path / "ai-toolkit" / "data.json", "ai-toolkit") == expected
    write(tmp_path, {"diffusion-pipe/captions.json": json.dumps({"1.png": ["a", "b"]}), "diffusion-pipe/1.txt": "c"})
    assert trained(tmp_path / "diffusion-pipe", "diffusion-pipe") == {"1.png": ["a", "b"], "2.png": SKIP}
    table = pa.table({"id": ["1", "2"], "caption": ["a", ""], "fallback_caption": ["x", "y"]})
    pq.write_table(table, tmp_path / "simpletuner" / "t.parquet")
    assert trained(tmp_path / "simpletuner", "simpletuner") == {"1.png": "a", "2.png": "y"}
    assert {file.caption for file in read(tmp_path / "simpletuner")[0]} == {"a", "y"}


def test_lists_of_diffusers(tmp_path: Path) -> None:
    """Of a list one text is drawn; of several columns its scripts take "text", or the second; no files beside."""
    rows = [{"file_name": "1.png", "text": ["a", "b"], "caption": "c"}]
    write(tmp_path, {"1.png": PNG, "1.txt": "t", "2.png": PNG, "metadata.jsonl": json.dumps(rows[0])})
    assert trained(tmp_path, "diffusers") == {"1.png": ["a", "b"], "2.png": SKIP}
    write(tmp_path, {"metadata.jsonl": json.dumps({"file_name": "1.png", "label": "l", "caption": "c"})})
    assert trained(tmp_path, "diffusers")["1.png"] == "l"


def test_several_columns_of_captions(tmp_path: Path) -> None:
    """Which one is taken is said, once a table."""
    rows = [{"file_name": f"{i}.png", "text": "a", "caption": "b"} for i in range(3)]
    write(tmp_path, {f"{i}.png": PNG for i in range(3)} | {"metadata.jsonl": "\n".join(map(json.dumps, rows))})
    files, problems = read(tmp_path)
    assert {file.caption for file in files} == {"b"}
    assert kinds(problems) == {"several_columns": 1}
    assert not read(tmp_path, caption_column="text")[1].kept


def test_ids_that_are_of_no_image(tmp_path: Path) -> None:
    """A table of texts with numbers is none of captions."""
    rows = "\n".join(json.dumps({"id": i, "text": "question"}) for i in range(40))
    write(tmp_path, {"1.png": PNG, "1.txt": "a cat", "qa.jsonl": rows.replace('"id": 1,', '"id": 99,')})
    assert [file.caption for file in read(tmp_path)[0]] == ["a cat"]


JPG = [f"{i}.png" for i in range(3)]
TRAPS: dict[str, tuple[list[str], dict[str, list[str]], int]] = {  # images; tables and whom they name; problems
    "none": (JPG, {"metadata.jsonl": JPG}, 0),
    "none, with names alike": (["contest.png", "A_TEST.png", "latest_x.png"], {"metadata.jsonl": ["contest.png"]}, 0),
    "in its split": (["train/1.png", "train/2.png"], {"train/metadata.jsonl": ["1.png", "2.png"]}, 0),
    "above train/": (["train/1.png", "train/2.png"], {"metadata.jsonl": ["train/1.png", "train/2.png"]}, 1),
    "a file named as a split": ([*JPG, "a_test.png"], {"metadata.jsonl": [*JPG, "a_test.png"]}, 2),
    "with a digit": ([*JPG, "test1.png"], {"metadata.jsonl": JPG}, 2),
    "a folder inside": ([*JPG, "sub/dev/9.png"], {"metadata.jsonl": JPG}, 2),
    "in capitals": (JPG, {"Metadata.jsonl": JPG}, 1),
    "two kinds": (JPG, {"metadata.jsonl": JPG[:1], "metadata.csv": JPG[1:]}, 1),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_of_imagefolder(tmp_path: Path, trap: str) -> None:
    """What load_dataset of datasets 5.2.0 leaves out: tables outside splits, all but splits, capitals, two kinds."""
    images, tables, count = TRAPS[trap]
    write(tmp_path, dict.fromkeys(images, PNG))
    for name, named in tables.items():
        csv = "\n".join(["file_name,text", *(f"{image},a cat" for image in named)])
        rows = "\n".join(json.dumps({"file_name": image, "text": "a cat"}) for image in named)
        write(tmp_path, {name: csv if name.endswith("csv") else rows})
    assert kinds(read(tmp_path)[1]).get("metadata_not_read", 0) == count
    assert kinds(read(tmp_path, trainer="diffusers")[1]).get("metadata_not_read", 0) == count
    assert "metadata_not_read" not in kinds(read(tmp_path, trainer="kohya")[1])


def test_a_name_in_another_case(tmp_path: Path) -> None:
    """An image that a table names in another case is not there on Linux; which one is meant is said."""
    write(tmp_path, {"A.PNG": PNG, "metadata.jsonl": json.dumps({"file_name": "a.png", "text": "a cat"})})
    (problem,) = (one for one in read(tmp_path)[1].kept if one.kind == "no_image")
    assert problem.message == "there is no a.png, but A.PNG"


# --- what is said without a trainer -----------------------------------------------------------------------------------


def found(folder: Path, **config: Any) -> Counter[str]:
    """Rule or problem -> how often it is found."""
    return Counter(finding.rule for finding in check_folder(folder, CaptionConfig(**config)).findings())


def test_lines_in_a_folder_of_kohya(tmp_path: Path) -> None:
    """In N_name the first line is the caption; that others are lost is said, and a blank first line is an error."""
    folder = tmp_path / "10_sks dog"
    write(
        folder,
        {"1.png": image(), "1.txt": "a cat asleep on a red sofa\nN/A", "2.png": image(), "2.txt": "\na dog runs"},
    )
    write(folder, {"3.png": image(), "3.txt": "a horse on a green hill\n"})
    for path in (tmp_path, folder):
        assert found(path)["lines_lost"] == 2
        assert found(path)["empty"] == 1
    line = "a small brown dog runs along the wet beach in the evening while the sun goes down behind a far hill"
    write(folder, {"2.txt": "\n".join([line] * 4)})
    assert found(folder) == {"lines_lost": 2, "usual_suffix": 1}


def test_several_lines_elsewhere(tmp_path: Path) -> None:
    """Where trainers differ, that is said once; with a trainer each line is judged by itself, at its place."""
    texts = {
        f"{i}.txt": f"a cat asleep on a red sofa {i}\n{['none', 'null', 'nan'][i]}\na dog runs along the wet beach {i}"
        for i in range(3)
    }
    write(tmp_path, texts | {f"{i}.png": image() for i in range(3)})
    (note,) = check_folder(tmp_path).problems.notes
    assert "several lines" in note
    assert not found(tmp_path)
    check = check_folder(tmp_path, CaptionConfig(trainer="onetrainer"))
    places = {(f.rule, Path(f.source).name, f.line) for f in check.findings()}
    assert places == {("empty", f"{i}.txt", 2) for i in range(3)}
    assert check.captions.captions == 9


def test_what_no_trainer_reads(tmp_path: Path) -> None:
    """A caption in .json beside an image, or in a .TXT, is checked, and that no trainer reads it is said."""
    write(
        tmp_path,
        {"1.png": image(), "1.json": '{"caption": "a cat on a sofa"}', "2.png": image(), "2.TXT": "a dog runs fast"},
    )
    assert found(tmp_path) == {"no_trainer_reads_json": 1, "suffix_in_capitals": 1}


def test_class_tokens_are_of_kohya(tmp_path: Path) -> None:
    """Where another trainer has nothing, that is an error in a folder of kohya's shape, too."""
    write(tmp_path / "10_sks dog", {"1.png": image(), "2.png": image(), "2.txt": "a dog runs on a beach"})
    assert found(tmp_path, trainer="kohya") == {"class_tokens": 1, "usual_suffix": 1, "short": 1}
    assert found(tmp_path, trainer="ai-toolkit") == {"empty": 1}


def test_kohya_wants_to_be_told_of_txt(tmp_path: Path) -> None:
    """Its own suffix is .caption; that folders of .txt need an option is said, once."""
    write(
        tmp_path / "10_dog",
        {"1.png": image(), "1.txt": "a dog runs fast", "2.png": image(), "2.txt": "a dog sits down"},
    )
    assert found(tmp_path, trainer="kohya") == {"usual_suffix": 1}
    assert found(tmp_path)["usual_suffix"] == 1
    write(tmp_path / "10_dog", {"1.txt": ""})
    assert found(tmp_path, trainer="kohya")["empty_file"] == 1


def test_placeholders_that_a_trainer_resolves(tmp_path: Path) -> None:
    """What the trainer resolves is no left-over."""
    write(tmp_path, {"1.png": image(), "1.txt": "[trigger] runs on a beach"})
    assert found(tmp_path)["template"] == 1
    assert found(tmp_path, trainer="ai-toolkit") == {}
    assert found(tmp_path, trainer="kohya")["template"] == 1


def test_a_separator_that_stays_in_the_text(tmp_path: Path) -> None:
    """Kohya's ||| is trained on unless tags are shuffled there; ai-toolkit's commas are said once."""
    write(tmp_path, {f"{i}.png": image() for i in range(2)} | {"0.txt": "sks, dog ||| park, day, sun"})
    write(tmp_path, {"1.txt": "sks, cat, 1,000 shells, sea"})
    for trainer in (None, "kohya", "musubi"):
        assert found(tmp_path, trainer=trainer)["template"] == 1
    assert found(tmp_path, reading={"syntax": ["separator"]})["template"] == 0
    (note,) = check_folder(tmp_path, CaptionConfig(trainer="ai-toolkit")).problems.notes
    assert "sks,  dog" in note
    settings = settings_from_file(write(tmp_path, {"k.toml": SHUFFLED}) / "k.toml")
    assert "template" not in {f.rule for f in check_folder(tmp_path, trainer=settings).findings()}


# --- configuration files ----------------------------------------------------------------------------------------------

KOHYA = """
[general]
enable_wildcard = true
caption_extension = ".txt"
[[datasets]]
  keep_tokens_separator = "|||"
  [[datasets.subsets]]
  image_dir = "dogs"
  class_tokens = "sks dog"
  caption_prefix = "photo,"
  [[datasets.subsets]]
  image_dir = "cats"
  shuffle_caption = true
  enable_wildcard = false
"""
SHUFFLED = """
[[datasets]]
  keep_tokens_separator = "|||"
  shuffle_caption = true
  caption_extension = ".txt"
  [[datasets.subsets]]
  image_dir = "."
"""
MUSUBI = """
[general]
caption_extension = ".caption"
[[datasets]]
image_directory = "dogs"
"""
AI_TOOLKIT = """
job: extension
config:
  process:
    - type: sd_trainer
      trigger_word: p3r5on
      datasets:
        - folder_path: dogs
          default_caption: a dog
"""
DIFFUSION_PIPE = """
skip_empty_caption = false
caption_prefix = "p: "
[[directory]]
path = "dogs"
"""
SIMPLETUNER = [
    {"id": "x", "type": "local", "instance_data_dir": "dogs", "caption_strategy": "textfile", "instance_prompt": "sks"}
    | {"prepend_instance_prompt": True, "disable_multiline_split": True},
    {"id": "text", "dataset_type": "text_embeds", "type": "local"},
]
ONETRAINER = [{"path": "dogs", "text": {"prompt_source": "concept", "prompt_path": "prompts.txt"}, "enabled": True}]

CONFIGURATIONS: dict[str, tuple[str, str, Any, Any]] = {  # file, content; what 1.png and 2.png are trained with
    "kohya": ("data.toml", KOHYA, ["photo, a red ball, 1", "photo, a blue ball, 1"], "photo, sks dog"),
    "musubi": ("data.toml", MUSUBI, "caption", SKIP),
    "ai-toolkit": ("train.yaml", AI_TOOLKIT, "p3r5on a {red|blue} ball,  1\nmore", "p3r5on a dog"),
    "diffusion-pipe": ("data.toml", DIFFUSION_PIPE, "p: a {red|blue} ball, 1\nmore", "p: "),
    "simpletuner": ("multidatabackend.json", json.dumps(SIMPLETUNER), "sks a {red|blue} ball, 1\nmore", FAILS),
    "onetrainer": ("concepts.json", json.dumps(ONETRAINER), ["one", "two"], ["one", "two"]),
}


@pytest.mark.parametrize("trainer", CONFIGURATIONS)
def test_configuration_files(tmp_path: Path, trainer: str) -> None:
    """Each trainer's own file is known by what it holds, and its settings are those of the folders that it names."""
    name, content, first, second = CONFIGURATIONS[trainer]
    files: dict[str, Any] = {name: content, "prompts.txt": "one\n\ntwo\n", "dogs/1.png": PNG, "dogs/2.png": PNG}
    write(tmp_path, files | {"dogs/1.txt": "a {red|blue} ball, 1\nmore", "dogs/1.caption": "caption"})
    settings = settings_from_file(tmp_path / name)
    assert settings.trainer.name == trainer
    if trainer == "kohya":
        first = [*first, "more"]
    assert trained(tmp_path / "dogs", settings) == {"1.png": first, "2.png": second}
    with pytest.raises(ConfigError, match=rf"is a configuration of {trainer}, and trainer is 'diffusers'"):
        settings_from_file(tmp_path / name, "diffusers")


def test_folders_of_one_configuration_differ(tmp_path: Path) -> None:
    """Each folder has its own settings; shuffled tags lose the separator, which stays in the text elsewhere."""
    text = "sks, x ||| long hair, y"
    files = {f"{name}/1.{end}": text if end == "txt" else PNG for name in ("dogs", "cats") for end in ("png", "txt")}
    settings = settings_from_file(write(tmp_path, files | {"data.toml": KOHYA}) / "data.toml")
    assert trained(tmp_path / "cats", settings) == {"1.png": "sks, x, long hair, y"}
    assert trained(tmp_path / "dogs", settings) == {"1.png": f"photo, {text}"}
    write(tmp_path, {"dogs/inner/2.png": PNG, "others/3.png": PNG, "4.png": PNG})
    reasons = {Path(one["path"]).name: one["not_trained"] for one in as_trained(tmp_path, settings)}
    assert reasons == {
        "1.png": None,
        "2.png": "kohya reads no folders inside another",
        "3.png": "kohya's configuration does not name its folder",
        "4.png": "kohya's configuration does not name its folder",
    }


def test_a_folder_of_kohya_whose_name_is_a_number(tmp_path: Path) -> None:
    """It has no words for what has no caption; as a name in a configuration, train_data_dir is such a folder's."""
    write(
        tmp_path, {"data/10/1.png": PNG, "data/2_/2.png": PNG, "data/a/3.png": PNG, "t.toml": 'train_data_dir = "data"'}
    )
    for settings in ("kohya", settings_from_file(tmp_path / "t.toml")):
        assert trained(tmp_path / "data", settings) == {"1.png": "", "2.png": ""}
    assert trained(tmp_path, settings_from_file(tmp_path / "t.toml")) == {"1.png": "", "2.png": ""}


@pytest.mark.parametrize(
    ("name", "content"), [("a.toml", "x = 1"), ("a.yaml", "a: b"), ("a.json", "[1]"), ("a.json", "{")]
)
def test_files_that_are_no_configuration(tmp_path: Path, name: str, content: str) -> None:
    """Another file is named, with what is allowed."""
    with pytest.raises(ConfigError, match=name):
        settings_from_file(write(tmp_path, {name: content}) / name)


KEYS = [
    *(
        "datasets",
        "subsets",
        "general",
        "image_dir",
        "metadata_file",
        "caption_prefix",
        "enable_wildcard",
        "train_data_dir",
    ),
    *(
        "caption_extension",
        "shuffle_caption",
        "class_tokens",
        "image_directory",
        "image_jsonl_file",
        "config",
        "process",
    ),
    *("folder_path", "dataset_path", "trigger_word", "default_caption", "caption_ext", "directory", "path", "dataset"),
    *(
        "model",
        "skip_empty_caption",
        "instance_data_dir",
        "caption_strategy",
        "instance_prompt",
        "dataset_type",
        "text",
    ),
    *("prompt_source", "prompt_path", "include_subdirectories", "enabled", "concepts", "concept_file_name"),
    *("prepend_instance_prompt", "keep_tokens_separator"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.sampled_from(["", "a", "textfile", "instanceprompt", "concept", "x\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)


@hypothesis_settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_any_configuration_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    """Whatever a file holds, what comes is settings that can be used, or a sentence."""
    write(tmp_path, {"a.json": json.dumps(content), "a/1.png": PNG, "a/1.txt": "a, b"})
    try:
        found_ = settings_from_file(tmp_path / "a.json")
    except (ConfigError, OSError):
        return
    assert isinstance(trained(tmp_path, found_), dict)


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "trainer_captions.md").read_text("utf-8")


def test_the_page_has_the_limits_of_every_family() -> None:
    """The table of tokens is that of the code."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")
    ]
    by_name = {row[0]: row[1:] for row in rows}
    for name, family in FAMILIES.items():
        others = ", ".join(f"{trainer} {caption_tokens(name, trainer):,}" for trainer in family.trainers)
        tokens = f"{'about ' if family.template else ''}{caption_tokens(name):,}"
        assert by_name[name] == [family.encoder, tokens, others or "-"]


def test_the_page_names_the_commits() -> None:
    """What was run, as the code says."""
    for trainer in TRAINERS.values():
        for version in trainer.version.replace("diffusers ", "").split(", "):
            assert version.removeprefix("datasets ") in " ".join(PAGE.split()), version


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    """The example is what the command prints."""
    folder = tmp_path / "photos"
    write(
        folder,
        {"10_sks dog/1.png": PNG, "10_sks dog/1.txt": "a dog asleep on a red sofa\nN/A", "10_sks dog/2.png": PNG},
    )
    write(folder, {"notes/3.png": PNG})
    done = loss_logging("check-captions", "photos", "--trainer", "kohya", "--as-trained", cwd=tmp_path)
    assert done.stdout in PAGE


# --- the command ------------------------------------------------------------------------------------------------------


def test_as_trained(tmp_path: Path) -> None:
    """It prints what each image is trained with; a folder of kohya's shape needs no trainer, others do."""
    write(tmp_path, {"10_dog/1.png": PNG, "10_dog/1.txt": "a cat\nmore", "10_dog/2.png": PNG, "x/3.png": PNG})
    done = loss_logging("check-captions", tmp_path, "--as-trained")
    assert done.stdout.splitlines() == [
        '10_dog/1.png: "a cat"',
        '10_dog/2.png: "dog"',
        "x/3.png: (kohya reads only folders named N_name, not those inside)",
    ]
    done = loss_logging("check-captions", tmp_path, "--as-trained", "--trainer", "ai-toolkit", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["captions"] for row in rows] == [["a cat\nmore"], [""], [""]]
    done = loss_logging("check-captions", tmp_path / "x", "--as-trained")
    assert done.returncode == 2
    assert "--trainer" in done.stderr
    write(tmp_path, {"data.toml": KOHYA.replace('"dogs"', '"10_dog"')})
    config = ("--trainer-config", tmp_path / "data.toml")
    done = loss_logging("check-captions", tmp_path / "10_dog", "--as-trained", *config)
    assert done.stdout.splitlines() == ['1.png: "photo, a cat" | "more"', '2.png: "photo, sks dog"']
    done = loss_logging("check-captions", tmp_path, "--as-trained", "--lines", "each")
    assert done.stdout.splitlines()[0] == '10_dog/1.png: "a cat" | "more"'
    assert loss_logging("check-captions", tmp_path / "x", "--lines", "each").returncode == 2
    done = loss_logging("check-captions", tmp_path, "--trainer", "onetrainr")
    assert done.returncode == 2
