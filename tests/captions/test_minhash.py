from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loss_logging.captions.minhash import MinHash, most_alike

LISTS = st.lists(st.lists(st.text(st.characters(codec=None), max_size=3), min_size=2, max_size=9), min_size=1)


@given(LISTS)
def test_lists_that_are_hashed_together_are_hashed_as_alone(lists: list[list[str]]) -> None:
    """Neither pairs nor signatures reach over the end of a list; half surrogate pairs are tokens too."""
    hashing = MinHash(8)
    pairs = hashing.pairs(lists)
    alone = [hashing.pairs([tokens]) for tokens in lists]
    assert [own.tolist() for own in np.split(pairs.hashes, pairs.starts[1:])] == [one.hashes.tolist() for one in alone]
    assert (hashing.signatures(pairs) == np.concatenate([hashing.signatures(one) for one in alone])).all()


def test_signatures_agree_in_the_share_of_common_pairs() -> None:
    """Over 400 pairs of lists, the mean share of equal rows is the Jaccard index of their pairs to within 0.01."""
    chance, hashing = np.random.default_rng(0), MinHash(40)
    one = [[str(number) for number in chance.integers(0, 1000, 20)] for _ in range(400)]
    other = [[*tokens[: (cut := chance.integers(10, 20))], *map(str, chance.random(20 - cut))] for tokens in one]
    shares = []
    for left, right in zip(one, other, strict=True):
        a, b = (set(pairwise(tokens)) for tokens in (left, right))
        shares.append(len(a & b) / len(a | b))
    agree = (hashing.signatures(hashing.pairs(one)) == hashing.signatures(hashing.pairs(other))).mean()
    assert abs(agree - np.mean(shares)) < 0.01


def test_hashes_are_the_same_in_each_process() -> None:
    """The same captions have the same twins tomorrow: nothing hangs on the seed of Python's own hashes."""
    code = "from loss_logging.captions.minhash import MinHash; print(MinHash(4).pairs([['a', 'b']]).hashes[0])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == MinHash(4).pairs([["a", "b"]]).hashes[0]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2), st.lists(st.sampled_from("abcdefgh"), min_size=2))
def test_no_two_lists_are_more_alike_than_their_sketches_say(one: list[str], other: list[str]) -> None:
    """The Jaccard index of their pairs of neighbours is at most what `most_alike` gives, whatever repeats."""
    pairs = MinHash(1).pairs([one, other])
    first, second = pairs.sketches()
    sets = [set(pairwise(tokens)) for tokens in (one, other)]
    share = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert most_alike(first[None], second[None], pairs.sizes()[:1]) >= share
