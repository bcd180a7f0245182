from __future__ import annotations

from checked import checked, photos, reasons


def test_near_twins_are_an_info() -> None:
    """Captions that differ in a word, and no others."""
    one = "a man with a red hat and a long grey coat walks along the quay past seven moored boats in the fog"
    result = checked([*photos(300), one, one.replace("seven", "eight")])
    assert reasons(result, "near_duplicate") == {"300.png": "info", "301.png": "info"}


def test_one_text_for_most_images_is_told_of_once() -> None:
    """Captions made from a template are one note about the dataset, not one for each image."""
    result = checked(
        f"a man with a red hat and a long grey coat walks along the old quay number {i} in the fog" for i in range(12)
    )
    assert [reason.rule for reason in result.datasets["d"].reasons if reason.rule == "near_duplicate"] == [
        "near_duplicate"
    ]
    assert reasons(result, "near_duplicate") == {}
