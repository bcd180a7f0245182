from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.loggers.wandb_media import coarsen, media
from loss_logging.reports.report import DatasetReport, Histogram, Job, LossReport, Summary, TimestepCurve


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.integers(1, 64))
def test_coarsening_keeps_every_count(counts: list[int], max_bins: int) -> None:
    """Joined bins number at most max_bins, hold the same records and span the same range, on edges of the finer one."""
    edges = [float(edge) for edge in range(len(counts) + 1)]
    coarse = coarsen(Histogram(edges, counts), max_bins)
    assert len(coarse.counts) == len(coarse.edges) - 1 <= max_bins
    assert sum(coarse.counts) == sum(counts)
    assert (coarse.edges[0], coarse.edges[-1]) == (edges[0], edges[-1])
    for left, right, count in zip(coarse.edges, coarse.edges[1:], coarse.counts, strict=False):
        assert count == sum(counts[int(left) : int(right)])


def test_a_dataset_without_a_finite_loss_has_no_curve() -> None:
    """A bar of height 0 would say that its loss is 0."""
    summary = Summary(2, None, None, None, None, None, 2, {}, loss_by_timestep=TimestepCurve([0.0, 1.0], [0], [None]))
    report = LossReport(job=Job("job", 1, ""), global_=summary, datasets={"nan": DatasetReport(summary)})
    assert media(report) == {}
