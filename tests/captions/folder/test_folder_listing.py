from __future__ import annotations

from pathlib import Path

from captioned_folders import PNG, captions, kinds, read, write


def test_archives_and_strange_images_are_named(tmp_path: Path) -> None:
    """What lies beside images and is not read is named and counted."""
    write(
        tmp_path, {"1.png": PNG, "1.txt": "a cat on a sofa", "more.tar": b"", "2.jfif": PNG, "3.CR2": PNG, "x.zip": b""}
    )
    files, problems = read(tmp_path)
    assert [file.caption for file in files] == ["a cat on a sofa"]
    assert kinds(problems) == {"archive": 2, "unknown_suffix": 2}
    assert problems.unread == {".tar": 1, ".zip": 1, ".jfif": 1, ".cr2": 1}


def test_masks_controls_and_previews(tmp_path: Path) -> None:
    """They are left out and counted; an image with a caption is one whatever its name or folder."""
    others = [
        "1-masklabel.png",
        "1-condlabel.png",
        "2_mask.PNG",
        "1_thumb.jpg",
        "_controls/1.png",
        "masks/x/1.png",
        "thumbnails/1.jpg",
    ]
    own = {"1.png": "one", "2.PNG": "two", "cat_mask.png": "a mask of a cat", "control/5.png": "a control room"}
    texts = {f"{name.rpartition('.')[0]}.txt": text for name, text in own.items()}
    write(tmp_path, dict.fromkeys([*others, *own], PNG) | texts | {"3_mask.png": PNG})
    files, problems = read(tmp_path)
    assert {Path(file.path).relative_to(tmp_path).as_posix(): file.caption for file in files} == own | {
        "3_mask.png": None
    }
    assert set(kinds(problems)) == {"left_out"}
    counted = [problem.message.split()[0].replace("an", "1") for problem in problems.kept]
    assert sum(map(int, counted)) == len(others)


def test_a_folder_of_masks_by_itself(tmp_path: Path) -> None:
    """What is asked for by name is read."""
    write(tmp_path / "masks", {"1.png": PNG})
    assert captions(tmp_path / "masks") == {"1.png": None}
