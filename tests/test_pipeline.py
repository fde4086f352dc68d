from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import zhcorpus

import pipeline
from pipeline.config import Config
from pipeline.doc import Doc
from pipeline.interchange import doc_from_json
from pipeline.pipe import Pipeline
from pipeline.readers import READERS, read_piece
from pipeline.readers.sources import list_input
from pipeline.run import RunOptions, run_corpus

RAW = ROOT / "corpus" / "raw"
GOLDEN = ROOT / "tests" / "golden" / "sentences.jsonl"
GOLDEN_INPUT = [RAW / f"{name}*" for name in ("01", "03", "05", "06", "08", "10", "12", "14", "16", "18", "19", "21")]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nlp() -> Pipeline:
    return pipeline.load()


def raw_docs() -> Iterator[Doc]:
    for piece in list_input([str(RAW)], tuple(READERS)).files:
        for item in read_piece(piece):
            assert isinstance(item, Doc)
            yield item


@pytest.fixture(scope="module")
def annotated(nlp: Pipeline) -> list[Doc]:
    return list(nlp.pipe(raw_docs()))


def test_golden_run(tmp_path: Path) -> None:
    """A dozen documents through all stages, compared row for row; ZHCORPUS_UPDATE_GOLDEN=1 writes them anew."""
    run_corpus(RunOptions([str(path) for path in GOLDEN_INPUT], tmp_path / "out", Config(), "jsonl", 1))
    columns = ("doc_id", "sent", "start", "end", "role", "label", "kind", "tokens", "upos", "ents")
    rows = [json.loads(line) for line in (tmp_path / "out" / "sentences-00000.jsonl").read_text("utf-8").splitlines()]
    found = "".join(json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n" for row in rows)
    if os.environ.get("ZHCORPUS_UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(found, encoding="utf-8")
    assert len({row["doc_id"] for row in rows}) == 12
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_layers_run_parallel_and_keep_their_promises(annotated: list[Doc]) -> None:
    for doc in annotated:
        n_sents = len(doc.sents)
        assert len(doc.role) == len(doc.label) == len(doc.kind) == len(doc.probs) == n_sents
        assert len(doc.upos) == len(doc.xpos) == len(doc.tokens)
        for role, label, kind, probs in zip(doc.role, doc.label, doc.kind, doc.probs, strict=True):
            assert (role == "boilerplate") == (label == "boilerplate") == (kind is not None)
            assert (label is None) == (role in ("title", "heading", "caption", "code"))
            assert np.isnan(probs).all() if label is None else abs(float(probs.sum()) - 1) < 0.001
        starts, ends = set(doc.tokens[:, 0].tolist()), set(doc.tokens[:, 1].tolist())
        assert all(start in starts and end in ends for start, end in doc.ents.tolist())


def test_tokens_rebuild_every_sentence(annotated: list[Doc]) -> None:
    for doc in annotated:
        words = iter(doc.tokens.tolist())
        for start, end in doc.sents.tolist():
            rebuilt = ""
            while len(rebuilt) < len("".join(doc.text[start:end].split())):
                first, last = next(words)
                assert start <= first < last <= end
                rebuilt += doc.text[first:last]
            assert rebuilt == "".join(doc.text[start:end].split())


def test_a_document_is_labelled_alike_alone_and_in_a_batch(nlp: Pipeline, annotated: list[Doc]) -> None:
    for doc in annotated[::3]:
        alone = nlp(Doc.from_text(doc.source, doc.id, **{k: v for k, v in doc.meta.items() if k not in ("repairs",)}))
        assert alone.role == doc.role
        assert alone.label == doc.label
        np.testing.assert_array_equal(alone.probs, doc.probs)
        np.testing.assert_array_equal(alone.tokens, doc.tokens)


def test_python_run_and_chained_stages_agree(annotated: list[Doc], tmp_path: Path) -> None:
    run_corpus(RunOptions([str(RAW)], tmp_path / "out", Config(), n_workers=1))
    rows = pq.read_table(tmp_path / "out" / "sentences-00000.parquet").to_pylist()
    source: Path | str = RAW
    for i, name in enumerate(("clean", "segment", "tag", "classify"), 1):
        target = f"{i}.jsonl"
        assert zhcorpus(name, tmp_path / source, tmp_path / target).returncode == 0
        source = target
    chained = [doc_from_json(line) for line in (tmp_path / "4.jsonl").read_bytes().splitlines()]
    for docs in (annotated, chained):
        found = [
            (doc.id, *layers) for doc in docs for layers in zip(doc.sentence_texts(), doc.label, doc.kind, strict=True)
        ]
        assert found == [(row["doc_id"], row["text"], row["label"], row["kind"]) for row in rows]
        words = [doc.text[start:end] for doc in docs for start, end in doc.tokens.tolist()]
        assert words == [word for row in rows for word in row["tokens"]]


def test_the_readme_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@settings(max_examples=40)
@given(st.lists(st.text(max_size=40), max_size=12).map("\n".join))
def test_any_text_is_annotated(nlp: Pipeline, text: str) -> None:
    doc = nlp(text)
    assert len(doc.role) == len(doc.sents)
    assert len(doc.upos) == len(doc.tokens)


KINDS = ["copyright", "repost_terms", "follow_cta", "author_bio", "author_bio", "nav_prev_next", "nav_prev_next"]
N_BODY = 45


@pytest.fixture
def sample(shared: Path) -> list[str]:
    """The lines of the spun article: 45 of the body, 7 of its foot."""
    source = (shared / "samples" / "kanchai-spun.txt").read_text(encoding="utf-8")
    return [line for line in source.splitlines() if line.strip()]


def kinds_of_lines(nlp: Pipeline, lines: list[str]) -> list[set[Any]]:
    """The kinds of each line's sentences; None is what is no boilerplate."""
    doc = nlp("\n".join(lines))
    kinds: list[set[Any]] = [set() for _ in lines]
    for (start, _), kind in zip(doc.sents.tolist(), doc.kind, strict=True):
        kinds[doc.text.count("\n", 0, start)].add(kind)
    return kinds


def test_the_spun_sample_is_read_right(sample: list[str], nlp: Pipeline) -> None:
    assert kinds_of_lines(nlp, sample) == [{None}] * N_BODY + [{kind} for kind in KINDS]


def test_the_spun_sample_without_its_foot_is_all_body(sample: list[str], nlp: Pipeline) -> None:
    assert kinds_of_lines(nlp, sample[:N_BODY]) == [{None}] * N_BODY


def test_the_spun_samples_foot_is_found_above_its_body(sample: list[str], nlp: Pipeline) -> None:
    kinds = kinds_of_lines(nlp, sample[N_BODY:] + sample[:N_BODY])
    assert kinds[len(KINDS) :] == [{None}] * N_BODY
    assert all(None not in kind for kind in kinds[: len(KINDS)])
