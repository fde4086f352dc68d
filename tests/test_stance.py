"""The sentence classifier's kernels against plain Python."""

import numpy as np
import pytest

from pipeline.kernels.dense import LIMIT, Net
from pipeline.kernels.ngrams import PLACED, Linear, hash_ngrams

REACH = 20


@pytest.fixture
def sums() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    ends = np.cumsum([1, 2, 3, 7, 8, 9, 10, 39, 40, 41, 90])
    spans = np.stack([np.r_[0, ends[:-1]], ends], axis=1).astype(np.int32)
    points = rng.integers(0x4E00, 0x4E10, ends[-1]).astype(np.uint32)
    return points, spans, rng.integers(-32767, 32767, (2**10, 6)).astype(np.int16)


@pytest.mark.parametrize("order", [3, 4])
def test_whole_sums_are_those_of_score(sums, order):
    points, spans, table = sums
    ngrams = Linear(table, np.full(6, 1e-4, np.float32), np.ones(6, np.float32), order)
    scores = ngrams.score_placed(points, spans, REACH, 3)
    assert scores.shape == (len(spans), 6 + 3 * len(PLACED))
    np.testing.assert_array_equal(scores[:, :6], ngrams.score(points, spans, REACH))


@pytest.mark.parametrize("order", [3, 4])
def test_parts_are_those_of_the_places(sums, order):
    points, spans, table = sums
    alone = Linear(table[:, :1], np.ones(1, np.float32), np.zeros(1, np.float32), order)
    scores = alone.score_placed(points, spans, REACH, 1)
    for (start, end), told in zip(spans.tolist(), scores[:, 1:].tolist(), strict=True):
        rows = iter(hash_ngrams(points, np.array([[start, end]], np.int32), 10, REACH, order)[1].tolist())
        n, places = end - start, []
        for i in range(-1, n + 1):
            if i < REACH or i >= n - REACH:
                n_here = min(order, n + 1 - i) - (i < 0 or i >= n)
                places.append(sum(int(table[next(rows), 0]) for _ in range(n_here)))
        root = (order * n + 2) ** 0.5
        above, below = sum(p for p in places if p > 0) / root, sum(p for p in places if p < 0) / root
        expected = (max(*places, 0), min(*places, 0), above, below, sum(places[:9]), sum(places[-9:]))
        np.testing.assert_allclose(told, expected, rtol=1e-5)


def test_net_is_what_it_says():
    rng = np.random.default_rng(1)
    mean, inverse, hidden_bias, output, bias = (rng.standard_normal(n).astype(np.float32) for n in (5, 5, 8, 8, 1))
    net = Net(mean, inverse, rng.standard_normal((5, 8)).astype(np.float32), hidden_bias, output, bias)
    features = (3 * rng.standard_normal((20, 5))).astype(np.float32)
    units = np.clip((features - mean) * inverse, -LIMIT, LIMIT) @ net.hidden + hidden_bias
    np.testing.assert_allclose(net.decide(features), np.maximum(units, 0) @ output + bias, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(net.decide(features[3:4]), net.decide(features)[3:4])
    again = Net.from_arrays(net.arrays("x"), "x")
    np.testing.assert_array_equal(again.decide(features), net.decide(features))
    with pytest.raises(ValueError, match="takes 5"):
        net.decide(features[:, :4])
