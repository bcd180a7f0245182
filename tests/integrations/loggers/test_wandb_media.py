from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.loggers.wandb_media import coarsen
from loss_logging.reports.report import Histogram


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
