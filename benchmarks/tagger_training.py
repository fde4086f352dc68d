"""Ours and a spaCy CNN trained on the same sentences: tags and names on the same gold words, and words a second.

    python benchmarks/tagger_training.py TREEBANKS [--epochs 8] [--also TEXTS]

TREEBANKS is a folder as `zhcorpus train tagger` wants it; both learn from its train part alone. The CNN is spaCy's
standard one; what it sees of a word is made fit for Chinese: the word, its first, its last and its last two characters.
Ours learns from the treebank's own text only, or with --also from plain text besides, as what is shipped does. The CNN
is trained for a few epochs only. Last figures, without plain text (GSDSimp test, gold words; UPOS, XPOS, names F1):
ours 92.0, 92.7, 68.9 at 730,000 words a CPU-second; spaCy, 8 epochs: 90.0, 91.0, 56.3 at 15,000. Training took about
as long: 123 and 116 CPU-seconds.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.attrs import SHAPE, SUFFIX
from spacy.tokens import Doc
from spacy.training import Example, iob_to_biluo
from spacy.util import fix_random_seed, minibatch

from pipeline.segment import load_segmenter
from pipeline.training import tagger
from pipeline.training.conllu import Sentence, name_spans, read_folder
from pipeline.training.segmenter import f1

MODELS = Path(__file__).parent.parent / "models"
N_REPEATS = 5  # of the test part, when speed is measured
Found = tuple[list[str], list[str], set[Any]]


def blank() -> Any:
    """Get a spaCy pipeline that tags, finds names, and sees Chinese words as they want to be seen."""
    nlp = spacy.blank("zh")
    nlp.vocab.lex_attr_getters[SUFFIX] = lambda word: word[-1:]
    nlp.vocab.lex_attr_getters[SHAPE] = lambda word: word[-2:]
    nlp.add_pipe("tok2vec")
    shared = {"model": {"tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 96, "upstream": "*"}}}
    for pipe, name in (("tagger", "tagger"), ("morphologizer", "morphologizer"), ("ner", "ner")):
        nlp.add_pipe(pipe, name=name, config=shared)
    return nlp


def example(nlp: Any, sentence: Sentence) -> Example:
    """Get what spaCy learns from."""
    entities = ["-"] * len(sentence.words) if sentence.names is None else iob_to_biluo(sentence.names)
    fields = {"tags": sentence.xpos, "pos": sentence.upos, "entities": entities}
    doc = Doc(nlp.vocab, words=list(sentence.words), spaces=[False] * len(sentence.words))
    return Example.from_dict(doc, {key: list(value) for key, value in fields.items()})


def train_spacy(sentences: Sequence[Sentence], n_epochs: int) -> Any:
    """Fit the CNN; batches grow as spaCy's own recipe has it."""
    fix_random_seed(1)
    nlp = blank()
    examples = [example(nlp, sentence) for sentence in sentences]
    optimizer = nlp.initialize(lambda: examples)
    size = 16.0
    for epoch in range(n_epochs):
        random.shuffle(examples)
        for batch in minibatch(examples, size=int(size)):
            nlp.update(batch, sgd=optimizer, drop=0.1)
            size = min(64.0, size * 1.002)
        print(f"  spaCy: epoch {epoch + 1} of {n_epochs}", flush=True)
    return nlp


def run_spacy(nlp: Any, sentences: Sequence[Sentence]) -> Found:
    """Tag gold words."""
    docs = [Doc(nlp.vocab, words=list(s.words), spaces=[False] * len(s.words)) for s in sentences]
    upos, xpos, names = [], [], set()
    for i, doc in enumerate(nlp.pipe(docs)):
        upos += [token.pos_ for token in doc]
        xpos += [token.tag_ for token in doc]
        names.update((i, ent.start, ent.end, ent.label_) for ent in doc.ents)
    return upos, xpos, names


def run_ours(made: Any, sentences: Sequence[Sentence]) -> Found:
    """Tag gold words."""
    batch = tagger.Batch.of(sentences, [sentence.spans() for sentence in sentences])
    tags, rows = made.decoder.decode(batch.codes, batch.tokens, batch.sents)
    starts = batch.sents[:, 0]
    names = set()
    for first, end, label in rows.tolist():
        i = int(starts.searchsorted(first, side="right")) - 1
        names.add((i, first - int(starts[i]), end - int(starts[i]), made.labels[label]))
    return [made.upos[u] for u in made.upos_of[tags]], [made.xpos[x] for x in made.xpos_of[tags]], names


def report(name: str, work: Callable[[Sequence[Sentence]], Found], test: Sequence[Sentence]) -> None:
    """Print accuracy of tags, F1 of names, and words per CPU-second."""
    upos, xpos, names = work(test)
    gold_upos, gold_xpos = ([tag for s in test for tag in getattr(s, layer)] for layer in ("upos", "xpos"))
    places = {i: [(k, k + 1) for k in range(len(s.words))] for i, s in enumerate(test)}
    gold = {(i, *span) for i, s in enumerate(test) for span in name_spans(places[i], s.names or ())}
    start = time.process_time()
    work(list(test) * N_REPEATS)
    speed = N_REPEATS * len(upos) / (time.process_time() - start)
    right = [100 * sum(map(str.__eq__, a, b)) / len(a) for a, b in ((upos, gold_upos), (xpos, gold_xpos))]
    print(f"| {name} | {right[0]:.2f} | {right[1]:.2f} | {f1(gold, names):.2f} | {speed / 1000:,.0f}k |", flush=True)


def main() -> None:
    """Train both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--also", type=Path)
    arguments = parser.parse_args()
    bank = read_folder(arguments.data)
    bank.more.clear()
    words = load_segmenter(MODELS / "segmenter")
    start = time.process_time()
    ours = tagger.fit_tagger(bank, bank.train, words, arguments.also, seed=1)
    middle = time.process_time()
    nlp = train_spacy(bank.train, arguments.epochs)
    print(f"CPU seconds of training: ours {middle - start:.0f}, spaCy {time.process_time() - middle:.0f}")
    print("| GSDSimp test, gold words | UPOS | XPOS | names F1 | words/s |\n|---|---|---|---|---|")
    report("ours", lambda part: run_ours(ours, part), bank.test)
    report(f"spaCy CNN, {arguments.epochs} epochs", lambda part: run_spacy(nlp, part), bank.test)


if __name__ == "__main__":
    main()
