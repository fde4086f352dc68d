from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline.clean
import pipeline.run
import pipeline.run.first
import pipeline.run.shards
from pipeline.config import Config, load_config
from pipeline.doc import Doc
from pipeline.errors import ConfigError
from pipeline.passes import DuplicatesConfig
from pipeline.passes.duplicates import N_BEFORE, band_pairs, find_kept
from pipeline.passes.scan import open_scans, scan_pieces, sign_sources
from pipeline.readers.sources import Piece, list_input
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.engines import Run
from pipeline.run.first import run_shards
from pipeline.run.shards import Shard, plan_shards
from pipeline.run.tasks import Job
from pipeline.run.watch import Progress, Watcher
from pipeline.storage.local import LocalFolder

MARK = Config(stages=("clean",), duplicates=DuplicatesConfig(mode="mark"))
DROP = Config(stages=("clean",), duplicates=DuplicatesConfig(mode="drop"))

Rows = list[dict[str, Any]]


def article(seed: int, n_chars: int = 400) -> str:
    """A text that shares next to nothing with that of another seed."""
    rng = random.Random(seed)
    chars = [chr(rng.randrange(0x4E00, 0x9000)) for _ in range(n_chars)]
    return "".join(char + ("。\n" if i % 40 == 39 else "") for i, char in enumerate(chars))


def changed(text: str, share: float, seed: int) -> str:
    """The text with one stretch of it replaced."""
    n = int(len(text) * share)
    at = random.Random(seed).randrange(0, len(text) - n)
    return text[:at] + article(seed + 999, n)[:n] + text[at + n :]


def write_rows(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def kept_of(folder: Path, texts: list[str], threshold: float = 0.8) -> list[int]:
    """The number of the document that is kept for each text."""
    path = write_rows(folder / "rows.jsonl", [{"id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    piece = Piece(path, "rows.jsonl", ".jsonl", 0, path.stat().st_size)
    scan_pieces([piece], folder / "scan", templates=False, duplicates=True)
    kept: list[int] = find_kept(open_scans([folder / "scan"]), threshold).tolist()
    return kept


def test_the_same_characters_are_a_duplicate_whatever_their_width_and_space(tmp_path: Path) -> None:
    texts = ["他在ABC公司工作了10年。", "别的", "他在 ＡＢＣ 公司\n工作了１０年。", "他在ABC公司工作了11年。", "别的"]
    assert kept_of(tmp_path, texts) == [0, 1, 0, 3, 1]


def test_nearly_the_same_is_a_duplicate_and_somewhat_the_same_is_not(tmp_path: Path) -> None:
    base = article(1, 2000)
    texts = [base, article(2, 2000), changed(base, 0.03, 3), changed(base, 0.4, 4)]
    assert kept_of(tmp_path, texts) == [0, 1, 0, 3]


def test_a_document_is_never_a_duplicate_of_one_that_it_is_not_like(tmp_path: Path) -> None:
    chain = [article(1, 3000)]
    for step in range(8):
        at = step * 340
        chain.append(chain[-1][:at] + article(50 + step, 330)[:330] + chain[-1][at + 330 :])
    kept = kept_of(tmp_path, chain)
    _, signatures = sign_sources([Doc.from_text(text) for text in chain])
    for doc, keeper in enumerate(kept):
        assert keeper <= doc
        assert kept[keeper] == keeper
        assert (signatures[doc] == signatures[keeper]).mean() >= 0.8
    assert len(set(kept)) > 1


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 3))
def test_the_first_of_a_cluster_is_kept_however_it_is_cut(tmp_path_factory: Any, seeds: list[int], n_cuts: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    texts = [article(seed, 300) + ("尾声。" if i % 2 else "") for i, seed in enumerate(seeds)]
    expected = [seeds.index(seed) for seed in seeds]
    assert kept_of(folder, texts) == expected
    scans = []
    for part in range(n_cuts):
        cut = range(part * len(texts) // n_cuts, (part + 1) * len(texts) // n_cuts)
        path = write_rows(folder / f"{part}.jsonl", [{"text": texts[i]} for i in cut])
        piece = Piece(path, path.name, ".jsonl", 0, path.stat().st_size)
        scan_pieces([piece], folder / str(part), templates=False, duplicates=True)
        scans.append(folder / str(part))
    assert find_kept(open_scans(scans), 0.8).tolist() == expected


@given(st.lists(st.integers(0, 3), max_size=40))
def test_pairs_of_a_band_are_few_and_reach_the_first(keys: list[int]) -> None:
    pairs = band_pairs(np.array(keys, dtype=np.uint64), np.arange(len(keys))).tolist()
    assert len(pairs) <= (N_BEFORE + 1) * len(keys)
    assert all(keys[a] == keys[b] and a > b for a, b in pairs)
    for doc, key in enumerate(keys):
        if keys.index(key) < doc:
            assert [doc, keys.index(key)] in pairs


def test_texts_without_a_visible_character_are_not_each_others_duplicates(tmp_path: Path) -> None:
    assert kept_of(tmp_path, [" \n", "\u200b ", " \n"]) == [0, 1, 2]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows that make several shards: every third article returns twice, once exactly and once nearly."""
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 6000)
    rows = [{"id": f"d{i}", "text": article(i, 600)} for i in range(30)]
    rows += [{"id": f"e{i}", "text": article(i, 600)} for i in range(0, 30, 3)]
    rows += [{"id": f"f{i}", "text": changed(article(i, 600), 0.03, i)} for i in range(0, 30, 3)]
    rows.insert(7, {"id": "empty", "text": " "})
    return write_rows(tmp_path / "corpus.jsonl", rows)


def run(source: Path, out: Path, **options: Any) -> RunResult:
    settings = {"config": MARK, "n_workers": 1, **options}
    return run_corpus(RunOptions([str(source)], out, **settings))


def links(out: Path) -> dict[str, str | None]:
    rows = [row for path in sorted(out.glob("documents-*.parquet")) for row in pq.read_table(path).to_pylist()]
    rows += [json.loads(line) for path in sorted(out.glob("documents-*.jsonl")) for line in path.open()]
    return {row["doc_id"]: row["duplicate_of"] for row in rows}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_duplicates_are_marked_by_the_id_of_the_kept_one(corpus: Path, tmp_path: Path) -> None:
    result = run(corpus, tmp_path / "out")
    found = links(tmp_path / "out")
    assert {name: kept for name, kept in found.items() if kept} == {
        f"{letter}{i}": f"d{i}" for letter in "ef" for i in range(0, 30, 3)
    }
    assert result.n_written == 50
    assert result.n_dropped == 0
    assert not (tmp_path / "out" / "dropped.jsonl").exists()


def test_duplicates_are_dropped_when_the_config_says_so_and_counted(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(corpus, out, config=DROP)
    assert sorted(links(out)) == sorted(f"d{i}" for i in range(30))
    assert (result.n_read, result.n_written, result.n_rejected, result.n_dropped) == (51, 30, 1, 20)
    assert json.loads((out / "manifest.json").read_bytes())["totals"]["n_dropped"] == 20
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["doc_id"], row["duplicate_of"]) for row in dropped][:2] == [("e0", "d0"), ("e3", "d3")]
    assert {row["code"] for row in dropped} == {"duplicate"}


@pytest.mark.parametrize("config", [MARK, DROP])
@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_same_bytes_whatever_the_workers(corpus: Path, tmp_path: Path, config: Config, file_format: str) -> None:
    run(corpus, tmp_path / "one", config=config, file_format=file_format)
    run(corpus, tmp_path / "two", config=config, file_format=file_format, n_workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


class KilledError(BaseException):
    """Stands for a kill."""


@pytest.fixture
def repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows whose kept documents have ids that repeat."""
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 6000)
    rows = [{"id": f"d{i % 10}", "text": article(i, 600)} for i in range(30)]
    rows += [{"id": f"e{i}", "text": article(i, 600)} for i in range(30)]
    return write_rows(tmp_path / "repeated.jsonl", rows)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_kept_document_is_named_as_the_corpus_names_it(repeated: Path, tmp_path: Path, file_format: str) -> None:
    run(repeated, tmp_path / "out", file_format=file_format)
    found = links(tmp_path / "out")
    assert [found[f"e{i}"] for i in (3, 13, 23)] == ["d3", "d3~2", "d3~3"]
    run(repeated, tmp_path / "drop", config=DROP, file_format=file_format)
    dropped = [json.loads(line) for line in (tmp_path / "drop" / "dropped.jsonl").open()]
    assert [dropped[i]["duplicate_of"] for i in (3, 13, 23)] == ["d3", "d3~2", "d3~3"]


@pytest.mark.parametrize("at", range(0, 60, 4))
@pytest.mark.parametrize("config", [MARK, DROP])
def test_a_killed_run_goes_on_to_the_same_bytes(
    repeated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, config: Config
) -> None:
    run(repeated, tmp_path / "whole", config=config)
    calls = 0

    def killed(function: Any) -> Any:
        def rename(path: Path, target: Path) -> Path:
            nonlocal calls
            calls += 1
            if calls > at:
                raise KilledError
            done: Path = function(path, target)
            return done

        return rename

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed(Path.replace))
        patch.setattr(Path, "rename", killed(Path.rename))
        try:
            run(repeated, tmp_path / "out", config=config)
        except KilledError:
            assert not (tmp_path / "out" / "manifest.json").exists()
    run(repeated, tmp_path / "out", config=config)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_document_that_was_set_aside_is_not_named(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.clean

    clean_docs = pipeline.clean.clean_docs

    def fails(docs: Sequence[Doc], *args: Any) -> list[Doc]:
        if any(doc.id == "d3" for doc in docs):
            raise ValueError("on purpose")
        return clean_docs(docs, *args)

    monkeypatch.setattr(pipeline.clean, "clean_docs", fails)
    run(corpus, tmp_path / "out")
    found = links(tmp_path / "out")
    assert "d3" not in found
    assert found["e3"] is None
    assert found["e6"] == "d6"


def test_duplicates_are_off_unless_asked_for(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", config=Config(stages=("clean",)))
    assert set(links(tmp_path / "out").values()) == {None}
    assert not load_config("fast").duplicates.is_on
    with pytest.raises(ConfigError, match=r"duplicates\.mode"):
        DuplicatesConfig(mode="delete")


def annotate_anew(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Let a run do shards again whose kept documents were set aside."""
    shards = plan_shards(list_input([str(source)], (".jsonl",)).files)
    choose = pipeline.run.choose_engine

    def choose_engine(*args: Any) -> Run:
        engine = choose(*args)

        def run_all(task: Any, todo: Sequence[Shard], progress: Progress) -> Iterator[Any]:
            if isinstance(task, Job):
                return run_shards(engine, task, shards, todo, Watcher())
            return engine(task, todo, progress)

        return run_all

    monkeypatch.setattr(pipeline.run, "choose_engine", choose_engine)


def fail_on(monkeypatch: pytest.MonkeyPatch, names: Sequence[str]) -> None:
    """Let clean fail on some documents."""
    clean_docs = pipeline.clean.clean_docs

    def fails(docs: Sequence[Doc], *args: Any) -> list[Doc]:
        if any(doc.id in names for doc in docs):
            raise ValueError("on purpose")
        return clean_docs(docs, *args)

    monkeypatch.setattr(pipeline.clean, "clean_docs", fails)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_another_document_is_kept_where_the_first_was_set_aside(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    fail_on(monkeypatch, ["d3", "d9", "e9", "d12", "e12", "f12"])
    annotate_anew(monkeypatch, corpus)
    out = tmp_path / "out"
    result = run(corpus, out, config=DROP, file_format=file_format)
    kept = {f"d{i}" for i in range(30)} - {"d3", "d9", "d12"} | {"e3", "f9"}
    assert set(links(out)) == kept
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").open()]
    assert {row["doc_id"]: row["duplicate_of"] for row in dropped}["f3"] == "e3"
    assert None not in {row["duplicate_of"] for row in dropped}
    assert (result.n_read, result.n_written, result.n_rejected, result.n_dropped) == (51, 29, 7, 15)


def test_marked_duplicates_name_the_one_that_takes_its_place(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on(monkeypatch, ["d3"])
    annotate_anew(monkeypatch, corpus)
    run(corpus, tmp_path / "out")
    found = links(tmp_path / "out")
    assert (found["e3"], found["f3"]) == (None, "e3")


class KilledAgainError(KilledError):
    """Stands for a kill of a run that does shards again."""


@pytest.mark.parametrize("at", range(0, 60, 10))
def test_a_run_killed_while_it_decides_anew_goes_on_to_the_same_bytes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    fail_on(monkeypatch, ["d3", "d9", "e9"])
    annotate_anew(monkeypatch, corpus)
    run(corpus, tmp_path / "whole", config=DROP)
    write, calls = LocalFolder.write, 0

    def killed(folder: LocalFolder, name: str, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KilledAgainError
        write(folder, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", killed)
        try:
            run(corpus, tmp_path / "out", config=DROP)
        except KilledAgainError:
            assert not (tmp_path / "out" / "manifest.json").exists()
    run(corpus, tmp_path / "out", config=DROP)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
