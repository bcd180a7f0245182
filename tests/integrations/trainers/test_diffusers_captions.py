from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.integrations.trainers.diffusers_captions import CaptionCache, rows_of


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), max_size=12), st.integers(0, 100))
def test_caption_cache(batches: list[list[str]], max_bytes: int) -> None:
    """Whatever is kept, each caption gets its own encoding, and no more memory is used than allowed."""
    cache = CaptionCache(
        lambda captions: rows_of(
            {"embeds": torch.tensor([[float(ord(c))] * 3 for c in captions]), "one": torch.ones(len(captions))}
        ),
        max_bytes,
    )
    for captions in batches:
        encoded = cache(captions, torch.device("cpu"))
        assert encoded["embeds"].tolist() == [[ord(c)] * 3 for c in captions]
        assert encoded["one"].shape == (len(captions),)
        assert sum(t.untyped_storage().nbytes() for row in cache._kept.values() for t in row.values()) <= max_bytes
