from __future__ import annotations

from loss_logging.captions.folder.problems import PROBLEMS, FolderProblems


def test_every_problem_is_counted_and_few_are_kept() -> None:
    """However many there are, memory does not grow; every kind says how grave it is and what to do."""
    problems = FolderProblems(keep=2)
    for i in range(5):
        problems.add("not_utf8", f"{i}.txt", "is cp1252")
    assert problems.counts["not_utf8"] == 5
    assert [problem.path for problem in problems.kept] == ["0.txt", "1.txt"]
    assert all(advice.endswith(".") for _, advice in PROBLEMS.values())
