"""Small datasets that were written to measure the rules that need more than one caption, or a user's word: each item says
which rules should object to it at the severity of a warning (`near_duplicate`, which never warns: at all)."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.dataset_checker import CheckedCaptions, DatasetChecker

from .good import GOOD
from .held_out import HELD_OUT

__all__ = ["DATASETS", "NEVER_WARNS", "Dataset", "Item", "found", "results"]

NEVER_WARNS = "near_duplicate"


class Item(NamedTuple):
    """A caption, the rules that should object, and what its image shows, where that matters."""

    caption: str
    rules: frozenset[str] = frozenset()
    image: str | None = None


class Dataset(NamedTuple):
    """Items, the user's settings, and the rules that should object to the dataset as a whole."""

    name: str
    items: list[Item]
    config: CaptionConfig = CaptionConfig()
    rules: frozenset[str] = frozenset()


def _fine(captions: list[str]) -> list[Item]:
    return [Item(caption) for caption in captions if "\n" not in caption]


def _bad(rule: str, captions: list[str]) -> list[Item]:
    return [Item(caption, frozenset({rule})) for caption in captions]


def _config(**settings: Any) -> CaptionConfig:
    return CaptionConfig(**settings)


ENGLISH = [*HELD_OUT["en"], *(caption for caption in GOOD["en"] if len(caption.split()) > 5)]
PAD = "the light is soft, the background is blurred and the colours are muted"
LONG = f"In the foreground stands a wooden table with a bowl of ripe figs, a bread knife and a folded napkin; {PAD}, "
LONGER = LONG + (
    "behind it an open door leads to a yard where two children kick a ball against a wall, while a woman in a green "
    "apron hangs sheets on a line and an old dog sleeps in the shade of a fig tree beside a rusty wheelbarrow"
)
LONG_ZH = "前景是一张木桌,桌上放着一碗成熟的无花果、一把面包刀和一块叠好的餐巾,光线柔和,背景模糊"
LONG_JA = "手前には木のテーブルがあり、熟したいちじくの入った鉢とパン切りナイフと畳んだナプキンが置かれ、奥では子どもが遊んでいる"

ALIKE = ("near_duplicate",)  # where long captions are made of one another

TRIGGER = [
    Dataset(
        "trigger in prose",
        [
            *_fine([f"ohwx man, {caption[0].lower()}{caption[1:]}" for caption in HELD_OUT["en"]]),
            *_fine(
                ["a photo of ohwx man on a ferry", "on a bench sits ohwx man with a newspaper", "Ohwx man at the gym"]
            ),
            *_bad(
                "trigger", ["a man reads in a hammock", "portrait of a man, black background", "he waves from a train"]
            ),
            *_bad(
                "trigger",
                ["ohxw man with a hat", "a photo of owhx man in a car", "ohwz man at a desk", "ohw man asleep"],
            ),
            *_bad("trigger", ["ohwx mann in the snow", "ohwxx man with a dog", "the woman beside ohhwx man laughs"]),
            Item(LONGER + ", ohwx man", frozenset({"trigger", "truncated"})),
            Item(f"{LONGER} and beyond all of this stands ohwx man", frozenset({"trigger", "truncated"})),
            Item("ohwx man. " + LONGER, frozenset({"truncated"})),
        ],
        _config(default_trigger="ohwx man", model="sdxl", rules={"disabled": ALIKE}),
    ),
    Dataset(
        "trigger in tags",
        [
            *_fine([f"kirasty, {tags}" for tags in GOOD["tags"] if "kirasty" not in tags]),
            *_fine(["1girl, kirasty, solo, smile", "solo, 1boy, hat, kirasty"]),
            *_bad("trigger", ["1girl, solo, long hair, beach", "1boy, hat, tree", "scenery, no humans, sky"]),
            *_bad("trigger", ["kirastyy, 1girl, hat", "kriasty, 1boy, sitting, cafe", "kirsty, solo, night"]),
        ],
        _config(default_trigger="kirasty"),
    ),
    Dataset(
        "trigger in Chinese",
        [
            *_fine([f"小雪猫,{caption}" for caption in HELD_OUT["zh"]]),
            *_bad("trigger", ["一只白猫趴在沙发上睡觉", "窗台上的猫看着外面的雨", "猫在花园里追蝴蝶"]),
        ],
        _config(default_trigger="小雪猫"),
    ),
]

LENGTHS = [
    Dataset(
        "short among sentences",
        [*_fine(ENGLISH), *_bad("short", ["dog", "red car", "a woman", "Sunset", "two cats", "old house", "portrait"])],
    ),
    Dataset("short in German", [*_fine(HELD_OUT["de"]), *_bad("short", ["Hund", "rotes Auto"])]),
    Dataset("short in Chinese", [*_fine(HELD_OUT["zh"]), *_bad("short", ["猫", "汽车", "女孩"])]),
    Dataset("titles", _fine(["Mona Lisa", "Guernica", "The Night Watch", "The Kiss", "Impression, Sunrise", "Nighthawks"])),
    Dataset("instance prompts", _fine(["sks dog", "sks", "sks dog", "sks", "sks dog", "a sks", "sks puppy"] * 3)),
    Dataset(
        "long for its user",
        [*_fine(ENGLISH), *_bad("long", [LONGER, LONG + LONGER, f"{LONGER}. {PAD}, and there is more"])],
        _config(max_words=40, rules={"disabled": ALIKE}),
    ),
    Dataset(
        "truncated by CLIP",
        [
            *_fine([*ENGLISH, LONG]),
            *_bad("truncated", [LONGER, LONG + "beside it " + PAD + " behind which " + LONGER]),
            *_bad("truncated", [", ".join(f"{colour} {thing}" for colour in ("red", "blue", "green", "white", "black")
                                          for thing in ("hair ribbon", "pleated skirt", "neckerchief", "umbrella", "shoes"))]),
        ],
        _config(model="sd15", rules={"disabled": ALIKE}),
    ),
    Dataset(
        "truncated Chinese",
        [*_fine([*HELD_OUT["zh"], LONG_ZH[:20]]), *_bad("truncated", [LONG_ZH + "，远处有雪山和湖泊，天空中飞过一群白色的海鸥"])],
        _config(model="sdxl"),
    ),
    Dataset(
        "truncated Japanese",
        [*_fine(HELD_OUT["ja"]), *_bad("truncated", [LONG_JA + "、空には夕焼け雲が広がっている"])],
        _config(model="sdxl"),
    ),
    Dataset("not truncated by T5", _fine([*ENGLISH, LONGER]), _config(model="flux")),
    Dataset("not truncated by T5 in Chinese", _fine([*HELD_OUT["zh"], LONG_ZH]), _config(model="flux")),
    Dataset(
        "only the first line is read",
        [*_fine(ENGLISH), *_bad("truncated", [f"{HELD_OUT['en'][0]}\n{HELD_OUT['en'][1]}", "A kite over a lake\nmore of it"])],
        _config(reading={"first_line_only": True}),
    ),
]  # fmt: skip

TWINS = [
    "A brown dog jumps over the low wall of the garden.",
    "a brown dog  jumps over the low wall of the garden",
    "the harbour at dawn, seen from the deck of a small ferry",
    "the harbour at dawn, seen from the deck of a small ferry",
]
NEAR = [
    "a man with a red hat and a long grey coat walks along the quay past seven moored boats in the fog",
    "a man with a red hat and a long grey coat walks along the quay past eight moored boats in the fog",
    "Two nurses in blue scrubs share a sandwich on the steps of the hospital while an ambulance pulls up behind them",
    "Two nurses in blue scrubs share a sandwich on the steps of the hospital while an ambulance backs up behind them",
]
TAG_LIST = "1girl, solo, long hair, blue dress, hat, beach, sunset, smile, barefoot, sandcastle"

COMPARED = [
    Dataset("duplicates", [*_fine([*ENGLISH, "a cat on a sofa", "a cat on a sofa", "Two dogs in snow", "two dogs in snow."]), *_bad("duplicate", TWINS)]),
    Dataset("duplicates in Japanese", [*_fine(HELD_OUT["ja"]), *_bad("duplicate", ["雨の日の駅で傘を差す学生"] * 2)]),
    Dataset(
        "duplicate tags in any order",
        [*_fine(GOOD["tags"]), *_bad("duplicate", [TAG_LIST, ", ".join(reversed(TAG_LIST.split(", ")))])],
    ),
    Dataset("captions by class", _fine(["a photo of a handwritten four", "a photo of a handwritten nine"] * 15)),
    Dataset("near duplicates", [*_fine(ENGLISH), *_bad("near_duplicate", NEAR)]),
    Dataset("variants on purpose", _fine([f"{caption}, wide angle" for caption in ENGLISH])),
    *(
        Dataset(
            f"{name} among English",
            [*_fine(ENGLISH), *_bad("language", captions)],
        )
        for name, captions in {
            "German": [HELD_OUT["de"][0], HELD_OUT["de"][1], HELD_OUT["de"][4]],
            "French": [HELD_OUT["fr"][0], HELD_OUT["fr"][1], HELD_OUT["fr"][2]],
            "Spanish": [HELD_OUT["es"][0], HELD_OUT["es"][2], HELD_OUT["es"][8]],
            "Russian": [HELD_OUT["ru"][0], HELD_OUT["ru"][1], HELD_OUT["ru"][3]],
            "Chinese": [HELD_OUT["zh"][0], HELD_OUT["zh"][1], HELD_OUT["zh"][2]],
            "Japanese": [HELD_OUT["ja"][0], HELD_OUT["ja"][1], HELD_OUT["ja"][3]],
            "Korean": [HELD_OUT["ko"][0], HELD_OUT["ko"][1], HELD_OUT["ko"][3]],
        }.items()
    ),
    *(
        Dataset(
            f"English among {name}",
            [*_fine(captions * 3), *_bad("language", HELD_OUT["en"][:1])],
            _config(rules={"disabled": ("duplicate",)}),
        )
        for name, captions in {
            "Chinese": [*HELD_OUT["zh"], *GOOD["zh"]],
            "Japanese": [*HELD_OUT["ja"], *GOOD["ja"], "東京駅前広場夜景"],
            "Russian": HELD_OUT["ru"],
            "Arabic": HELD_OUT["ar"],
        }.items()
    ),
    Dataset(
        "Japanese among Chinese",
        [*_fine([*HELD_OUT["zh"], *GOOD["zh"]] * 2), *_bad("language", HELD_OUT["ja"][:1])],
        _config(rules={"disabled": ("duplicate",)}),
    ),
    Dataset("two languages on purpose", _fine([*HELD_OUT["de"], *HELD_OUT["fr"]])),
    Dataset(
        "one image, two captions",
        [
            *(Item(caption, image=f"image {i}") for i, caption in enumerate(ENGLISH)),
            Item("a heron stands in the reeds", frozenset({"conflict"}), "heron"),
            Item("an old bicycle leans against a fence", frozenset({"conflict"}), "heron"),
            Item("a tram in the fog", image="tram"),
            Item("A tram  in the fog.", image="tram"),
            Item("三匹の猫が眠る縁側", frozenset({"conflict", "language"}), "cats"),
            Item("a plate of figs on a wooden table", frozenset({"conflict"}), "cats"),
        ],
    ),
    Dataset(
        "a token fuses with the trigger",
        _fine([f"ohwx, {caption}, white background" for caption in ENGLISH]),
        _config(default_trigger="ohwx"),
        frozenset({"common_token"}),
    ),
    Dataset(
        "a tag fuses with the trigger",
        _fine([f"kirasty, simple background, {tags}" for tags in GOOD["tags"]]),
        _config(default_trigger="kirasty", profiles={"a tag fuses with the trigger": "tags"}),
        frozenset({"common_token"}),
    ),
    Dataset(
        "a token fuses with the trigger in German",
        _fine([f"zwx Hund, {caption} Im Studio aufgenommen." for caption in HELD_OUT["de"] + HELD_OUT["de"][:6]]),
        _config(default_trigger="zwx Hund", rules={"disabled": ("duplicate",)}),
        frozenset({"common_token"}),
    ),
    Dataset(
        "nothing fuses with the trigger", _fine([f"ohwx, {caption}" for caption in ENGLISH]), _config(default_trigger="ohwx")
    ),
]  # fmt: skip

DATASETS = [*TRIGGER, *LENGTHS, *COMPARED]


@cache
def results() -> list[CheckedCaptions]:
    """What is found in each of the datasets."""
    checked = []
    for dataset in DATASETS:
        checker = DatasetChecker(dataset.config)
        for i, item in enumerate(dataset.items):
            checker.add(str(i), dataset.name, item.caption, item.image)
        checked.append(checker.finish())
    return checked


def found(dataset: Dataset, result: CheckedCaptions) -> set[tuple[str, str]]:
    """Where each rule objects in a dataset: the index of an item or "", and the rule."""
    about = [("", reason) for reason in result.datasets[dataset.name].reasons]
    items = [(flagged.path, reason) for flagged in result.flagged for reason in flagged.details]
    return {
        (where, reason.rule)
        for where, reason in about + items
        if reason.severity != "info" or (where and reason.rule == NEVER_WARNS)
    }
