"""Fitting what the build of pages adds: labelled lines found in pages, weights that keep their signs."""

import json
from pathlib import Path

import numpy as np

from pipeline.clean import CleanConfig, make_clean
from pipeline.kernels.boxes import FEATURES
from pipeline.training.blocks import (
    BODY,
    BOILERPLATE,
    BOUNDS,
    UNCLEAR,
    UNKNOWN,
    Lines,
    fit_weights,
    match_lines,
    read_html_pages,
)


def test_labelled_lines_are_found_in_pages(tmp_path: Path) -> None:
    lines = [("首页", "boilerplate"), ("渔港封了三天，没有船出海。", "body"), ("船主们在等风停下来。", "body")]
    row = {"id": "a", "site": "s", "split": "train", "lines": [{"text": t, "label": label} for t, label in lines]}
    (tmp_path / "docs.jsonl").write_text("\n".join(json.dumps({**row, "id": name}) for name in "ba"), "utf-8")
    (tmp_path / "html").mkdir()
    page = "".join(f"<p>{text}</p>" for text in ("首页", "体育", lines[1][0], "插进来的一行", lines[2][0], "页脚"))
    (tmp_path / "html" / "a.html").write_text(f"<meta charset=utf-8>{page}", "utf-8")
    (found,) = read_html_pages(tmp_path, make_clean(CleanConfig()))
    assert found.id == "a"
    assert found.label.tolist() == [BOILERPLATE, UNKNOWN, BODY, UNCLEAR, BODY, UNKNOWN]


def test_a_repeated_line_and_a_piece_are_matched() -> None:
    assert match_lines(["首页", "正文的一个长句子", "首页"], ["首页", "这里是正文的一个长句子，后面还有"]).tolist() == [
        0,
        1,
        0,
    ]


def test_weights_keep_their_signs_and_find_what_tells_lines_apart() -> None:
    rng = np.random.default_rng(0)
    label = np.where(rng.random(400) < 0.5, BODY, BOILERPLATE)
    features = rng.random((400, len(FEATURES)))
    features[:, FEATURES.index("box_share")] = label == BODY
    features[:, FEATURES.index("linked_list")] = label == BODY  # the wrong way round
    lines = Lines(features, np.zeros(400), label, np.repeat("s", 400), np.zeros(400, dtype=np.int64))
    weights = dict(zip(FEATURES, fit_weights(lines, np.ones(400, dtype=bool)), strict=True))
    assert weights["box_share"] < -2
    assert weights["linked_list"] == 0
    assert weights["flat_link"] == BOUNDS["flat_link"][0]
