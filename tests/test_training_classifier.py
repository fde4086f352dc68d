"""Fitting on a few pages made by hand, and the altered copies that fitting uses."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.classify import annotate, load_classifier
from pipeline.doc import Doc
from pipeline.training.augment import alphabet_of, glue_page, relay_page, rows_of, spin_page, thin_page
from pipeline.training.classifier import fit_classifier, save_classifier
from pipeline.training.fit import assign_folds
from pipeline.training.labelled import LabelledDataError, Page, page_of

CUT = re.compile(r"[^。！？\n]+[。！？]*")


def clean(docs: list[Doc]) -> list[Doc]:
    """A stand-in for the clean stage: cuts sentences, repairs nothing."""
    return [replace(doc, sents=np.array([m.span() for m in CUT.finditer(doc.text)], np.int32)) for doc in docs]


def page(number: int) -> Page:
    town, boat = "山海湖江林桥"[number % 6], "甲乙丙丁"[number % 4]
    claim, opinion = f"{boat}船在{town}边停了{number + 2}天。", f"我觉得{town}边的人应该更小心！"
    rows = [
        {"text": f"首页 > {town}城", "label": "boilerplate", "kind": "share_nav"},
        {"text": f"{boat}船停在{town}边", "label": "title"},
        {
            "text": claim + opinion,
            "label": "body",
            "sents": [{"text": claim, "label": "claim"}, {"text": opinion, "label": "opinion"}],
        },
        {"text": f"船长说他在{town}边住了{number + 9}年，每天早上都去看水。", "label": "body"},
        {"text": "后来呢", "label": "body", "sub": "heading"},
        {"text": f"第{number}天，水退了，{boat}船又下了水，岸上的人都来看。", "label": "body"},
        {"text": f"责任编辑：宋{town}", "label": "boilerplate", "kind": "credit"},
        {"text": f"© 203{number % 10} {town}城网", "label": "boilerplate", "kind": "copyright"},
    ]
    return page_of({"id": f"p{number}", "publisher": f"{town}城网", "lines": rows})


PAGES = [page(number) for number in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "classifier"
    save_classifier(fit_classifier(PAGES, clean, seed=0), out, {"n_pages": len(PAGES)})
    return out


def test_a_saved_model_tells_footer_from_text(folder):
    classifier = load_classifier(folder)
    held = page(30)
    doc = annotate(classifier, clean([held.doc()]))[0]
    assert doc.role is not None
    roles = doc.role.tolist()
    assert roles[0] == roles[-1] == roles[-2] == "boilerplate"
    assert roles[3] == roles[4] == "body"


def test_fitting_twice_gives_the_same_labels(folder):
    first = annotate(load_classifier(folder), clean([page(31).doc()]))[0]
    again = annotate(fit_classifier(PAGES, clean, seed=0), clean([page(31).doc()]))[0]
    np.testing.assert_array_equal(first.probs, again.probs)


def test_one_publisher_is_not_enough():
    with pytest.raises(LabelledDataError, match="two publishers"):
        fit_classifier(PAGES[:1], clean, seed=0)


def test_folds_keep_sites_together_and_even():
    folds = assign_folds(list("aabbccdd"), [10, 10, 5, 5, 7, 3, 1, 1])
    assert set(folds) == set("abcd")
    assert len(set(folds.values())) == 4


def test_spinning_keeps_length_labels_and_punctuation():
    rng = np.random.default_rng(0)
    spun = spin_page(PAGES[0], rng, alphabet_of(PAGES), 0.5)
    assert len(spun.source) == len(PAGES[0].source)
    assert spun.source != PAGES[0].source
    assert [line.role for line in spun.lines] == [line.role for line in PAGES[0].lines]
    assert [sent.label for sent in spun.lines[2].sents] == ["claim", "opinion"]
    assert spun.source.count("。") == PAGES[0].source.count("。")


def test_glueing_moves_a_footer_into_the_line_before():
    glued = glue_page(PAGES[0], np.random.default_rng(0), share=1.0)
    assert len(glued.lines) == len(PAGES[0].lines) - 1
    last_body = next(line for line in reversed(glued.lines) if line.role == "body")
    assert last_body.sents[-1].label == "boilerplate"
    assert last_body.sents[-1].kind == "credit"


def test_relaying_breaks_text_into_clauses_without_losing_characters():
    relaid = relay_page(PAGES[0], np.random.default_rng(3))
    assert len(relaid.lines) > len(PAGES[0].lines)
    strip = str.maketrans("", "", "，。！\n")
    assert relaid.source.translate(strip) == PAGES[0].source.translate(strip)
    footers = [row for row in rows_of(relaid) if row["label"] == "boilerplate"]
    assert footers == [row for row in rows_of(PAGES[0]) if row["label"] == "boilerplate"]


def test_thinning_keeps_all_boilerplate():
    rows = rows_of(PAGES[0])
    long = page_of({"id": "x", "publisher": "y", "lines": rows[:4] + rows[2:6] + rows[2:6] + rows[6:]})
    thin = thin_page(long, np.random.default_rng(0))
    assert sum(line.role == "boilerplate" for line in thin.lines) == 3
    assert 1 <= sum(line.role in ("body", "heading") for line in thin.lines) <= 4
