"""How fast are words, tags and names? Ours beside spacy-pkuseg, jieba and spaCy's CNN: CPU time, one process each.

    python benchmarks/segment_tag.py [FILE.jsonl[.gz] ...] [--peers .venv-peers/text/bin/python]

Rows need a "text"; without files a text of ours is repeated, which flatters whoever remembers words. jieba is measured
in the environment that `make bench-peers` makes. Last figures in one run (8 MB of technology articles, 2 shared cores;
MB/s): words 20.8, words + tags + names 5.5; jieba 1.4, jieba.posseg 0.27; spacy_pkuseg 0.20; spaCy's CNN on our words
0.06. Of three runs this is the middle one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import spacy
import spacy_pkuseg

from pipeline.doc import Doc
from pipeline.segment import SegmentConfig, make_segment
from pipeline.stage import Stage
from pipeline.tag import TagConfig, make_tag

MODELS = Path(__file__).parent.parent / "models"
PEERS = Path(__file__).with_name("segment_tag_peers.py")
SENTENCE = re.compile(r"[^。！？!?；…\n]+[。！？!?；…]*[”’\"'）)」』》】]*")
BATCH = 64
N_RUNS = 3
MAX_BYTES, SLOW_BYTES = 8_000_000, 300_000  # a slow tool gets a part, for it would take minutes
SAMPLE = "气象部门说，本周末气温将下降5.2度，北方部分地区有小雪。公司第三季度营收达12亿元，同比增长8%，超出预期。\n"


def read_texts(files: list[str]) -> Iterator[str]:
    """Yield the texts of JSONL files."""
    for name in files:
        with gzip.open(name, "rt") if name.endswith(".gz") else Path(name).open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"]


def take(texts: list[str], n_bytes: int) -> list[str]:
    """The first texts, up to a size."""
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text.encode())
        if size > n_bytes:
            break
    return taken


def n_megabytes(texts: list[str]) -> float:
    """The size of texts in MB of UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def report(name: str, texts: list[str], seconds: float) -> float:
    """Print and get MB per CPU-second."""
    speed = n_megabytes(texts) / seconds
    print(f"{name:28} {n_megabytes(texts):6.1f} MB {seconds:8.2f} s {speed:8.2f} MB/s", flush=True)
    return speed


def measure(name: str, work: Callable[[list[str]], object], texts: list[str], n_runs: int = 1) -> float:
    """Print and get MB of UTF-8 per CPU-second, of the best run."""
    work(texts[:1])  # compile, load
    seconds = []
    for _ in range(n_runs):
        start = time.process_time()
        work(texts)
        seconds.append(time.process_time() - start)
    return report(name, texts, min(seconds))


def measure_peers(python: Path, texts: list[str]) -> dict[str, float]:
    """Print and get the speed of what is installed in another environment."""
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run([python, PEERS], input=rows, capture_output=True, text=True, check=True)
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: report(row["name"], texts, row["seconds"]) for row in figures}


def with_sents(text: str) -> Doc:
    """Get a document cut into sentences."""
    sents = np.array([match.span() for match in SENTENCE.finditer(text)], np.int32).reshape(-1, 2)
    return replace(Doc.from_text(text), sents=sents)


def main() -> None:
    """Measure what is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--peers", type=Path, help="Python of the environment that has jieba")
    arguments = parser.parse_args()
    texts = take(list(read_texts(arguments.files)) if arguments.files else [SAMPLE * 200] * 400, MAX_BYTES)
    segment = make_segment(SegmentConfig(MODELS / "segmenter"))
    tag = make_tag(TagConfig(MODELS / "tagger"))
    docs = {text: with_sents(text) for text in texts}

    def batches(part: list[str]) -> Iterator[list[Doc]]:
        return ([docs[text] for text in part[i : i + BATCH]] for i in range(0, len(part), BATCH))

    words = measure("zhcorpus words", lambda part: [segment(batch) for batch in batches(part)], texts, N_RUNS)
    tags = measure(
        "zhcorpus words + tags + names", lambda part: [tag(segment(b)) for b in batches(part)], texts, N_RUNS
    )
    if arguments.peers:
        peers = measure_peers(arguments.peers, take(texts, 4 * SLOW_BYTES))
        for name, slow in peers.items():
            print(f"{'':28} ours is {(tags if 'tags' in name else words) / slow:.0f} times as fast as {name}")
    oracle = spacy_pkuseg.pkuseg(str(MODELS / "segmenter"), user_dict=None)
    slow = measure("spacy_pkuseg words", lambda part: [oracle.cut(text) for text in part], take(texts, SLOW_BYTES))
    print(f"{'':28} ours is {words / slow:.0f} times as fast, with the same words but for those kept whole")
    measure_spacy(take(texts, SLOW_BYTES), segment)


def measure_spacy(texts: list[str], segment: Stage) -> None:
    """Measure spaCy's standard CNN with a tagger and names, on our words; untrained weights cost as much as trained."""
    nlp = spacy.blank("zh")
    nlp.add_pipe("tagger").add_label("NN")
    nlp.add_pipe("ner").add_label("PER")
    nlp.initialize()

    def annotate(part: list[str]) -> None:
        for doc in segment([with_sents(text) for text in part]):
            words = [doc.text[start:end] for start, end in doc.tokens.tolist()]
            for begin in range(0, len(words), 500):  # about a page each, as spaCy likes it
                nlp(spacy.tokens.Doc(nlp.vocab, words=words[begin : begin + 500]))

    measure("spaCy CNN tags + names", annotate, texts)


if __name__ == "__main__":
    main()
