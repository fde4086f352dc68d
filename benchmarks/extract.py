"""Compare what is left of real pages with what other extractors leave: body lines kept, boilerplate lines removed.

The pages and their labelled lines are development data beside the checkout (``--real``): every line of a page is
labelled title, body or boilerplate. All programs get the same decoded HTML and say which text they take for the
article. A labelled line counts as taken for body if its text, without white space and zero-width characters, is found
in what was extracted, treated likewise: anywhere if it has at least 8 characters, shorter ones as a whole line, since
首页 or 分享 occur in any text. Lines that are not found count as taken for boilerplate, and so do, for all programs,
the few that the page's HTML does not show under the same text. Titles are left out. What is ours runs on HTML read by
our own reader (config ``fast``); the kept sentences are given as characters of the source, so that no repair changes
the comparison.

Our classifier was trained on the lines of the train pages: its figures there are no measure; those on dev are. What
`fit_blocks.py --texts` writes (``--held-out``) is: there neither the line models nor the weights of a page's build saw
the page's site.

jusText measures paragraphs in characters, with English in mind; a second row has its lengths halved, as Chinese needs
about half as many. With ``--tune``, its lengths and link density are chosen among 144 settings: for dev those that are
best on the train pages, for each train page those that are best on the pages of the other sites (by the sum of both
F1).

`make bench-peers` installs the others (``requirements-peers-text.txt``) into an environment of their own and runs this.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import load_config
from pipeline.doc import Doc
from pipeline.pipe import Pipeline
from pipeline.readers.base import make_html_doc
from pipeline.readers.blocks import read_html
from pipeline.readers.encoding import decode, page_label
from pipeline.writers.columns import source_spans

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).with_name("extract_peers.py")
MIN_ANYWHERE = 8
"""Characters from which on a line may be found within another one."""
N_RUNS = 3

_INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\xad]+")


@dataclass(frozen=True)
class Extraction:
    """What a program takes for the articles of all pages, and the CPU seconds that this took."""

    name: str
    texts: list[str]
    seconds: float


def squeeze(text: str) -> str:
    """Get a text without what is not visible."""
    return _INVISIBLE.sub("", text)


def find_lines(lines: Sequence[str], extracted: str) -> list[bool]:
    """Say of each labelled line whether it is found in an extracted text; see the module's docstring."""
    whole = {squeeze(line) for line in extracted.splitlines()}
    joined = squeeze(extracted)
    keys = [squeeze(line) for line in lines]
    return [key in joined if len(key) >= MIN_ANYWHERE else key in whole for key in keys]


def read_pages(real: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Get the labelled pages whose HTML is there, by id, and that HTML, decoded."""
    rows = [json.loads(line) for line in (real / "docs.jsonl").read_text(encoding="utf-8").splitlines()]
    known = sorted((row for row in rows if (real / "html" / f"{row['id']}.html").exists()), key=lambda row: row["id"])
    data = [(real / "html" / f"{row['id']}.html").read_bytes() for row in known]
    return known, [decode(page, page_label(page)).text for page in data]


def body_of(doc: Doc) -> str:
    """Get the sentences that are not boilerplate, as the source has them; those of one line stay on one line."""
    pieces, last = [], 0
    for (start, end), role in zip(source_spans([doc]).tolist(), doc.role or (), strict=True):
        if role == "boilerplate":
            continue
        pieces += ["\n" if "\n" in doc.source[last:start] else "", doc.source[start:end]]
        last = end
    return "".join(pieces)


def run_ours(pages: Sequence[str], pipeline: Pipeline) -> Extraction:
    """Read, clean and classify all pages."""
    seconds = []
    for _ in range(N_RUNS):
        start = time.process_time()
        docs = [make_html_doc("page", page, {}, {}) for page in pages]
        texts = [body_of(doc) for doc in pipeline.pipe(docs)]
        seconds.append(time.process_time() - start)
    return Extraction("zhcorpus, config fast", texts, min(seconds))


def run_peers(pages: Iterable[str], python: Path, *options: str) -> list[Extraction]:
    """Run the other programs in their own environment."""
    given = "".join(json.dumps({"html": page}) + "\n" for page in pages)
    done = subprocess.run([python, PEERS, *options], input=given, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [Extraction(f"{row['name']} ({row['version']})", row["texts"], row["seconds"]) for row in rows]


def judge(row: dict[str, Any], text: str) -> tuple[np.ndarray, np.ndarray]:
    """Get which lines of a page are body, and which are found in an extracted text; titles left out."""
    lines = [line for line in row["lines"] if line["label"] != "title"]
    truth = np.array([line["label"] == "body" for line in lines])
    return truth, np.array(find_lines([line["text"] for line in lines], text))


def f1(truth: np.ndarray, found: np.ndarray) -> float:
    """Get the harmonic mean of precision and recall."""
    return float(2 * (truth & found).sum() / max(int(truth.sum() + found.sum()), 1))


def choose(rows: Sequence[dict[str, Any]], settings: Sequence[Extraction]) -> Extraction:
    """Get the texts of each page by the setting that is best on the train pages of other sites."""
    judged = [[judge(row, text) for row, text in zip(rows, one.texts, strict=True)] for one in settings]
    texts = []
    for i, row in enumerate(rows):
        others = [j for j, other in enumerate(rows) if other["split"] == "train" and other["site"] != row["site"]]
        goals = []
        for one in judged:
            truth, found = (np.concatenate([one[j][k] for j in others]) for k in (0, 1))
            goals.append(f1(truth, found) + f1(~truth, ~found))
        best = int(np.argmax(goals))
        texts.append(settings[best].texts[i])
        if i == len(rows) - 1:
            print(f"jusText, as chosen for page {row['id']}: {settings[best].name}")
    return Extraction("jusText, no stop list, tuned on train pages of other sites", texts, 0)


def read_held_out(path: Path, rows: Sequence[dict[str, Any]]) -> Extraction:
    """Get what `fit_blocks.py` wrote; pages that it left out have no text."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    texts = {line["id"]: line["text"] for line in lines}
    return Extraction("zhcorpus, site left out", [texts.get(row["id"], "") for row in rows], 0)


def score(truth: np.ndarray, found: np.ndarray) -> str:
    """Get precision, recall and F1 as Markdown cells."""
    hits = int((truth & found).sum())
    precision, recall = hits / max(int(found.sum()), 1), hits / max(int(truth.sum()), 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return f"{precision:.3f} / {recall:.3f} / {f1:.3f}"


def print_table(rows: Sequence[dict[str, Any]], extractions: Sequence[Extraction], megabytes: float) -> None:
    """Print the figures of some pages."""
    print("| | body P / R / F1 | boilerplate P / R / F1 | CPU s/MB |\n|---|---|---|---|")
    for extraction in extractions:
        judged = [judge(row, text) for row, text in zip(rows, extraction.texts, strict=True)]
        is_body, is_found = (np.concatenate([page[k] for page in judged]) for k in (0, 1))
        cells = f"{score(is_body, is_found)} | {score(~is_body, ~is_found)}"
        speed = f"{extraction.seconds / megabytes:.3f}" if extraction.seconds else ""
        print(f"| {extraction.name} | {cells} | {speed} |")


def take(extractions: Sequence[Extraction], wanted: Sequence[int]) -> list[Extraction]:
    """Get the extractions of some pages."""
    return [Extraction(part.name, [part.texts[i] for i in wanted], part.seconds) for part in extractions]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "real", help="docs.jsonl and html/")
    parser.add_argument("--peers", type=Path, help="Python of the environment that has the other programs")
    parser.add_argument(
        "--tune", action="store_true", help="jusText with the settings that are best on other sites, too"
    )
    parser.add_argument("--held-out", type=Path, help="what fit_blocks.py --texts wrote")
    arguments = parser.parse_args()
    rows, pages = read_pages(arguments.real)
    megabytes = sum(len(page.encode("utf-8", "replace")) for page in pages) / 1e6
    pipeline = Pipeline(load_config("fast"))
    pipeline("先把要编译的编译好。")
    reader = Extraction("all that our reader shows", [read_html(page).text for page in pages], 0)
    extractions = [reader, run_ours(pages, pipeline)]
    if arguments.peers:
        extractions += run_peers(pages, arguments.peers)
    if arguments.peers and arguments.tune:
        extractions.append(choose(rows, run_peers(pages, arguments.peers, "--tune")))
    splits = {"dev": "dev: other publishers than our classifier was trained on"}
    splits["train"] = "train: our classifier has SEEN these lines; its figures here are no measure"
    for split, title in splits.items():
        wanted = [i for i, row in enumerate(rows) if row["split"] == split]
        chosen = [rows[i] for i in wanted]
        n_lines = sum(line["label"] != "title" for row in chosen for line in row["lines"])
        print(f"\n## {title}\n\n{len(chosen)} pages, {len({row['site'] for row in chosen})} sites, {n_lines} lines\n")
        held_out = [read_held_out(arguments.held_out, rows)] if arguments.held_out and split == "train" else []
        print_table(chosen, take([*extractions, *held_out], wanted), megabytes)
    print(f"\nCPU seconds per MB of HTML are of all {len(pages)} pages, {megabytes:.1f} MB.")


if __name__ == "__main__":
    main()
