from __future__ import annotations

import pyarrow as pa
from built_pages import EMPTY, no_picture
from hypothesis import given
from hypothesis import strategies as st

from loss_logging import TrainConfig
from loss_logging.pages.items import worst_items
from loss_logging.pages.render import render
from loss_logging.reports.report import DatasetReport, Job, LossReport, PairedItems

CONFIG = TrainConfig(job_name="job", save_root="runs", loggers=[])


@given(
    st.lists(st.tuples(st.none() | st.floats(-1, 1), st.none() | st.floats(-1, 1)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 7),
)
def test_worst_items(figures: list[tuple[float | None, float | None]], most: int, batch: int) -> None:
    """At most so many items, each once, the wanted ones and the top of each ranking among them."""
    table = pa.table(
        {
            "dataset": ["d"] * len(figures),
            "path": [str(i) for i in range(len(figures))],
            "hard": pa.array([hard for hard, _ in figures], pa.float64()),
            "average_loss": pa.array([loss for _, loss in figures], pa.float64()),
        }
    )
    found, total = worst_items(table.to_batches(max_chunksize=batch), most, keep=["0"])
    paths = found["path"].to_pylist()
    assert total == len(figures)
    assert len(paths) == len(set(paths)) == min(most, len(figures))
    assert "0" in paths
    if most >= 3:
        for i in (0, 1):
            values = [figure[i] for figure in figures if figure[i] is not None]
            shown = [figures[int(path)][i] for path in paths if figures[int(path)][i] is not None]
            assert max(values, default=None) == max(shown, default=None)


def test_undecided_items_are_not_among_the_worst() -> None:
    """A caption_mismatch of fewer than 4 pairs ranks nowhere, however high it is."""
    table = pa.table(
        {
            "dataset": ["d"] * 9,
            "path": list("abcdefghi"),
            "caption_mismatch": [9.0, *[0.1] * 8],
            "n_paired": [3, *[4] * 8],
        }
    )
    found, _ = worst_items(table.to_batches(), 8)
    assert found["path"].to_pylist() == list("bcdefghi")


def test_undecided_items_are_counted() -> None:
    """The page says for how many items it is not known whether their caption hurts."""
    datasets = {name: DatasetReport(EMPTY, PairedItems(5, 2, 1, 0.0, 0.1)) for name in "ab"}
    report = LossReport(job=Job("job", 1, ""), global_=EMPTY, datasets=datasets)
    page = render([report], no_picture, [], {}, config=CONFIG, total=0, items_shown=0, served=False)
    assert "Decided for 10 items; undecided for 4, which have fewer than 4 pairs, and for 2 without any." in page
