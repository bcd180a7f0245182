from __future__ import annotations

from checked import checked, photos, reasons

from loss_logging.captions.dataset_checker import DatasetChecker


def test_equal_captions_of_several_images() -> None:
    """Long ones are a warning, short ones an info; white space and case do not matter."""
    long = "a brown dog jumps over the low wall of the garden"
    result = checked([*photos(30), long, f"  {long.upper()} ", "a black cat", "a black cat"])
    assert reasons(result, "duplicate") == {
        "30.png": "warning",
        "31.png": "warning",
        "32.png": "info",
        "33.png": "info",
    }


def test_class_captions_are_told_of_once() -> None:
    """Captions by class, and instance prompts, repeat on purpose."""
    result = checked(["a handwritten four on paper", "a handwritten five on paper", "a handwritten six on paper"] * 20)
    assert result.flagged == []
    assert [reason.rule for reason in result.datasets["d"].reasons] == ["duplicate", "common_token"]
    assert checked(["a photo of sks dog"] * 20).datasets["d"].reasons == []


def test_several_captions_of_one_image_are_no_duplicates() -> None:
    """The same text for one path twice is one caption; for another path it is a repeat that names the twin."""
    for paths, repeats in ((["a.png", "a.png"], set()), (["a.png", "b.png"], {"a.png", "b.png"})):
        checker = DatasetChecker()
        for path, caption in zip(
            [*paths, *map(str, range(9))], ["a brown dog jumps over the low wall"] * 2 + photos(9), strict=True
        ):
            checker.add(path, "d", caption)
        assert set(reasons(checker.finish(), "duplicate")) == repeats
