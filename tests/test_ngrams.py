"""The n-gram and tree kernels give scikit-learn's own decision values."""

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from pipeline.doc import code_points
from pipeline.kernels.cues import NEARNESS, NEVER, build_cues, count_cues
from pipeline.kernels.ngrams import MAX_REACH, Linear, count_ngrams, fold_points, hash_ngrams, lay_out, quantise
from pipeline.kernels.regions import decode_lines, learn_moves
from pipeline.kernels.shape import OUTSIDE, join_context, smooth_columns
from pipeline.kernels.trees import BLOCK, Forest, forest_of, move_codes, new_blocks, rows_of_blocks
from pipeline.training.fit import fit_bins

BITS = 14
LINES = [
    "首页 > 本地 > 正文",
    "记者在码头看到，三条渔船已经回港。",
    "责任编辑：宋梨",
    "扫描下方二维码，加入读者群",
    "这条河每年夏天都会涨水，今年涨得更早一些。",
    "a",
    "2031年5月6日 08:30",
    "我以为他不会来，结果他来得比谁都早！",
    "𠮷野家的老板说：“先吃面。”",
    "Copyright 2031 江湾网",
]
TARGET = np.array([1, 0, 1, 1, 0, 1, 1, 0, 0, 1], dtype=bool)


def arrays(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    ends = np.cumsum([len(line) + 1 for line in lines]) - 1
    spans = np.stack([ends - [len(line) for line in lines], ends], axis=1).astype(np.int32)
    return fold_points(code_points("\n".join(lines))), spans


def matrix(points: np.ndarray, spans: np.ndarray, reach: int, order: int = 4) -> csr_matrix:
    indptr, indices, values = hash_ngrams(points, spans, BITS, reach, order)
    return csr_matrix((values, indices, indptr), shape=(len(spans), 2**BITS))


@pytest.mark.parametrize("reach", [4, 100])
@pytest.mark.parametrize("n_outputs", [1, 3, 18])
@pytest.mark.parametrize("order", [3, 4])
def test_scores_are_the_decision_values_of_scikit_learn(reach, n_outputs, order):
    points, spans = arrays(LINES)
    features = matrix(points, spans, reach, order)
    weights = np.random.default_rng(0).normal(size=(2**BITS, n_outputs))
    table, scale = quantise(weights)
    bias = np.linspace(-1, 1, n_outputs, dtype=np.float32)
    scores = Linear(table, scale, bias, order).score(points, spans, reach)
    model = LogisticRegression().fit(features, TARGET)
    model.coef_, model.intercept_ = (table * scale.astype(np.float64)).T, bias.astype(np.float64)
    np.testing.assert_allclose(scores, model.decision_function(features).reshape(-1, n_outputs), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores, features @ weights + bias, atol=0.01)


def test_ngrams_are_those_of_the_text_between_its_marks():
    points, spans = arrays(["天地人天地人天地人天地"])
    indices = hash_ngrams(points, spans, BITS, 100, 4)[1]
    same = hash_ngrams(*arrays(["地人天"]), BITS, 100, 4)[1]  # 地 地人 地人天 地人天$ ...
    assert len(set(indices.tolist())) == 3 + 3 + 3 + 3 + 2 * (1 + 1 + 1)  # a cycle of three, then what holds a mark
    assert set(same.tolist()) & set(indices.tolist()) >= {same[3], same[4], same[5]}


def test_far_from_the_edges_nothing_counts():
    near = arrays(["一二三四五六七" + "甲" * 20 + "八九十百千万亿"])
    far = arrays(["一二三四五六七" + "乙" * 20 + "八九十百千万亿"])
    np.testing.assert_array_equal(hash_ngrams(*near, BITS, 4, 4)[1], hash_ngrams(*far, BITS, 4, 4)[1])
    assert hash_ngrams(*near, BITS, 6, 4)[1].tolist() != hash_ngrams(*far, BITS, 6, 4)[1].tolist()


def test_a_span_scores_the_same_wherever_it_stands():
    table, scale = quantise(np.random.default_rng(1).normal(size=(2**BITS, 2)))
    model = Linear(table, scale, np.zeros(2, np.float32), 4)
    points, spans = arrays(LINES)
    for line, expected in zip(LINES, model.score(points, spans, 6), strict=True):
        np.testing.assert_array_equal(model.score(*arrays([line]), 6)[0], expected)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_long_spans_do_not_overflow(n_outputs):
    points, spans = arrays(["我" * 300_000])
    table = np.full((2**BITS, n_outputs), 32767, np.int16)
    model = Linear(table, np.ones(n_outputs, np.float32), np.zeros(n_outputs, np.float32), 4)
    n = count_ngrams(300_000, MAX_REACH, 4)
    assert model.score(points, spans, MAX_REACH)[0, -1] == pytest.approx(32767 * n**0.5, rel=1e-4)
    with pytest.raises(ValueError, match="from 4 to"):
        model.score(points, spans, MAX_REACH + 1)


def test_an_empty_span_has_its_marks_alone():
    points, spans = arrays(["", "天"])
    table, scale = quantise(np.random.default_rng(2).normal(size=(2**BITS, 1)))
    bias = np.ones(1, np.float32)
    expected = matrix(points, spans, 9) @ (table * scale.astype(np.float64)) + bias
    np.testing.assert_allclose(Linear(table, scale, bias, 4).score(points, spans, 9), expected, rtol=1e-5)


def test_a_table_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="power of two"):
        lay_out(np.zeros((100, 1), np.int16), 8)


@pytest.mark.parametrize(
    ("length", "reach", "order", "expected"),
    [
        (0, 9, 4, 1),
        (1, 9, 4, 4),
        (2, 9, 4, 8),
        (3, 9, 4, 12),
        (100, 5, 4, 40),
        (10, 5, 4, 40),
        (1, 9, 3, 4),
        (9, 9, 3, 28),
    ],
)
def test_number_of_ngrams(length, reach, order, expected):
    points, spans = arrays(["天" * length])
    assert count_ngrams(length, reach, order) == expected
    assert len(hash_ngrams(points, spans, BITS, reach, order)[1]) == expected


def test_folding_keeps_what_means_the_same_together():
    folded = fold_points(code_points("ＡＢc９\u3000中"))
    assert "".join(map(chr, folded)) == "abc0 中"


@pytest.mark.parametrize("depth", [1, 3, 4])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_forest_gives_the_decision_values_of_scikit_learn(n_classes, depth):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(700, 8)).astype(np.float32)
    features[:, 3] = np.round(features[:, 3])
    target = (features[:, 0] * features[:, 1] > 0).astype(int) + (n_classes > 2) * (features[:, 3] > 0)
    bins = fit_bins(features)
    blocks = bins.code(features)
    codes = rows_of_blocks(blocks, len(features))
    models = [
        HistGradientBoostingClassifier(max_iter=20, max_depth=depth, min_samples_leaf=5, random_state=seed).fit(
            codes, target
        )
        for seed in range(2)
    ]
    forest = forest_of(*models)
    again = Forest.from_arrays(forest.arrays("x"), "x")
    expected = sum(model.decision_function(codes) for model in models).reshape(len(features), -1) / 2
    np.testing.assert_allclose(again.decide(blocks, len(features)), expected, rtol=1e-3, atol=1e-3)
    one = forest.decide(bins.code(features[517:518]), 1)
    np.testing.assert_array_equal(forest.decide(blocks, len(features))[517:518], one)


def test_a_tree_that_is_too_deep_is_refused():
    features = np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32)
    codes = rows_of_blocks(fit_bins(features).code(features), 700)
    model = HistGradientBoostingClassifier(max_iter=2, max_depth=6, min_samples_leaf=5).fit(
        codes, features.prod(axis=1) > 0
    )
    with pytest.raises(ValueError, match="max_depth=4"):
        forest_of(model)


def test_bins_keep_order_and_what_is_outside_apart():
    values = np.r_[np.full(5, OUTSIDE), np.random.default_rng(0).normal(size=3000)].astype(np.float32)[:, None]
    bins = fit_bins(values)
    codes = rows_of_blocks(bins.code(values), len(values))[:, 0]
    assert (codes[:5] == 0).all()
    assert (codes[5:] > 0).all()
    order = np.argsort(values[5:, 0])
    assert (np.diff(codes[5:][order]) >= 0).all()
    assert len(np.unique(codes)) > 100
    flags = np.array([[0.0], [1.0], [1.0]], np.float32)
    assert rows_of_blocks(fit_bins(flags).code(flags), 3).ravel().tolist() == [1, 2, 2]


def test_decoding_prefers_regions():
    bounds = np.array([0, 3], np.int64)
    scores = np.log(np.array([[0.9, 0.1], [0.45, 0.55], [0.9, 0.1]], np.float32))
    alone = decode_lines(scores, bounds, np.zeros((3, 3), np.float32))
    assert alone.tolist() == [0, 1, 0]
    moves = np.full((3, 3), -1, np.float32)
    moves[0, 0] = moves[1, 1] = 0
    assert decode_lines(scores, bounds, moves).tolist() == [0, 0, 0]


def test_learnt_moves_favour_what_was_seen():
    roles = np.array([0, 0, 0, 1, 1, 1], np.int16)
    moves = learn_moves(roles, np.array([0, 6], np.int64), 2, 1.0)
    assert moves[0, 0] > moves[0, 1] > moves[1, 0]


def test_a_role_apart_takes_all_others_alike():
    roles = np.array([0, 0, 0, 0, 1, 2, 2, 2], np.int16)
    bounds = np.array([0, 8], np.int64)
    moves = learn_moves(roles, bounds, 3, 1.0, apart=2)
    assert moves[0, 2] == moves[1, 2]
    assert moves[2, 0] == moves[2, 1] < moves[2, 2]
    np.testing.assert_array_equal(moves[:2, :2], learn_moves(roles, bounds, 3, 1.0)[:2, :2])


def test_neighbours_stop_at_the_document():
    values = np.array([[1], [2], [3]], np.float32)
    bounds = np.array([0, 2, 3], np.int64)
    out = np.empty((3, 2), np.float32)
    smooth_columns(values, bounds, np.ones(1), OUTSIDE, out)
    assert out.tolist() == [[OUTSIDE, 2], [1, OUTSIDE], [OUTSIDE, OUTSIDE]]


@pytest.mark.parametrize("n_rows", [1, BLOCK, 3 * BLOCK + 5])
def test_codes_move_within_the_document(n_rows):
    rng = np.random.default_rng(0)
    bounds = np.unique(np.r_[0, rng.integers(0, n_rows, n_rows // 9), n_rows]).astype(np.int64)
    offsets = (-4, -1, 1, 4)
    blocks = new_blocks(n_rows, 2 + len(offsets))
    blocks[:, 1] = rng.integers(1, 255, (len(blocks), BLOCK))
    move_codes(blocks, np.array([(1, offset) for offset in offsets]), bounds, 2)
    rows = rows_of_blocks(blocks, n_rows)
    for first, last in itertools.pairwise(bounds.tolist()):
        for i in range(first, last):
            expected = [rows[i + offset, 1] if first <= i + offset < last else 0 for offset in offsets]
            assert rows[i, 2:].tolist() == expected


def test_context_adds_up_within_the_page():
    values = np.array([[1, 10, 100, 4], [2, 20, 200, 6], [3, 30, 300, 7]], np.float32)
    out = np.empty(3, np.float32)
    join_context(values, np.array([0, 2, 3], np.int64), out)
    assert out.tolist() == [1 + 200 + 5, 2 + 10 + 5, 3 + 7]


def test_the_longest_cue_counts_and_is_used_up():
    keys, codes, parts = build_cues({"say": ["说", "说明书"], "know": ["明"]})
    points, spans = arrays(["他说明天来", "看说明书", "无"])
    out = np.empty((3, 4), np.float32)
    count_cues(points, spans, keys, codes, parts, 2, out)
    never = NEARNESS[NEVER]
    expected = [[1, 1, NEARNESS[1], NEARNESS[2]], [1, 0, NEARNESS[1], never], [0, 0, never, never]]
    assert out.tolist() == expected


@pytest.mark.parametrize("groups", [{"a": ["四个字词"]}, {"a": ["来"], "b": ["来"]}])
def test_bad_cue_lists_are_refused(groups):
    with pytest.raises(ValueError, match="cue"):
        build_cues(groups)
