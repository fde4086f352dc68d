"""The end of a run: unique ids, the list of rejections, the dataset card, the report, the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pyarrow.parquet as pq

from pipeline.passes.tally import merge_tallies, to_lines
from pipeline.report import build_report
from pipeline.run.ids import make_ids_unique
from pipeline.run.links import settle_links
from pipeline.run.shards import FIRST_PASS, ShardNote
from pipeline.run.state import MANIFEST, RunState, remove_work
from pipeline.run.tasks import TEMPLATES
from pipeline.storage import Folder, read_each

N_SAMPLES = 3
_MAX_SAMPLE_SENTS = 150
_MAX_PUBLISHERS = 20
_MAX_TEMPLATES = 40
DROPPED = "dropped.jsonl"
REJECTED = "rejected.jsonl"


def finish_run(state: RunState, notes: Sequence[ShardNote], n_skipped: int) -> dict[str, Any]:
    """Write what is made of all shards; the manifest comes last, and with it the corpus is complete.

    Returns
    -------
    dict
        The summary that the report shows.
    """
    if state.is_complete:
        remove_work(state.out)
        manifest: dict[str, Any] = orjson.loads(state.out.read(MANIFEST))
        found = {"rejections": _rejections(state.out), "templates": _templates(state.out)}
        return {**manifest["totals"], "counts": manifest["counts"], **found}
    make_ids_unique(notes, state.out, state.work)
    _merge_rejections(state, notes)
    _merge_passes(state, notes)
    summary = _summarise(state, notes, n_skipped)
    file_format = state.made_of["format"]
    _leave(state, "README.md", _dataset_card(summary, file_format).encode())
    _leave(state, "report.html", build_report(summary, _samples(state.out, notes)).encode())
    _leave(state, MANIFEST, _manifest(state, notes, summary))
    state.out.settle()
    remove_work(state.out)
    return summary


def _leave(state: RunState, name: str, *parts: bytes) -> None:
    """Leave a file in the corpus, which is drafted elsewhere."""
    draft = state.work.draft(name)
    draft.write_bytes(b"".join(parts))
    state.out.put(draft, name)


def _of_all(state: RunState, notes: Sequence[ShardNote], suffix: str) -> Iterator[bytes]:
    """Yield what workers put aside for the end of the run, in the order of the shards."""
    return read_each(state.work, [f"{note.index:05d}.{suffix}" for note in notes])


def _merge_rejections(state: RunState, notes: Sequence[ShardNote]) -> None:
    draft = state.work.draft(REJECTED)
    with draft.open("wb") as target:
        target.writelines(_of_all(state, notes, REJECTED))
    state.out.put(draft, REJECTED)


def _merge_passes(state: RunState, notes: Sequence[ShardNote]) -> None:
    """Write what came of the first pass, if there was one: templates, and the list of what was dropped."""
    settings = state.made_of["config"]
    if "duplicates" in settings:
        settle_links(notes, state.out, state.work)
        if settings["duplicates"]["mode"] == "drop":
            _leave(state, DROPPED, *_of_all(state, notes, DROPPED))
    if "templates" in settings:
        counted = state.work.sub(FIRST_PASS).read(TEMPLATES)
        records = merge_tallies(counted, _of_all(state, notes, "templates.json"))
        _leave(state, TEMPLATES, *to_lines(records))


def _templates(out: Folder) -> list[dict[str, Any]]:
    """The templates that occur in the most documents."""
    records = [orjson.loads(line) for line in out.read(TEMPLATES).splitlines()] if out.exists(TEMPLATES) else []
    return sorted(records, key=lambda row: (-row["documents"], row["publisher"] or "", row["key"]))[:_MAX_TEMPLATES]


def _rejections(out: Folder) -> list[dict[str, Any]]:
    """Get how many rejections there are of each code, with an example."""
    found: dict[str, dict[str, Any]] = {}
    with out.open(REJECTED) as file:
        for line in file:
            row = orjson.loads(line)
            entry = found.setdefault(row["code"], {"code": row["code"], "n": 0, **_example(row)})
            entry["n"] += 1
    return sorted(found.values(), key=lambda entry: (-entry["n"], entry["code"]))


def _example(row: dict[str, Any]) -> dict[str, Any]:
    return {"reason": row["reason"], "origin": row["origin"]}


def _add_counts(notes: Sequence[ShardNote]) -> dict[str, dict[str, int]]:
    totals: dict[str, Counter[str]] = {}
    for note in notes:
        for name, counts in note.counts.items():
            totals.setdefault(name, Counter()).update(counts)
    return {name: dict(sorted(counter.items())) for name, counter in sorted(totals.items())}


def _summarise(state: RunState, notes: Sequence[ShardNote], n_skipped: int) -> dict[str, Any]:
    counts = _add_counts(notes)
    publishers = _publishers(state, notes)
    return {
        "n_read": sum(note.n_read for note in notes),
        "n_written": sum(note.n_written for note in notes),
        "n_rejected": sum(note.n_rejected for note in notes),
        "n_dropped": sum(note.n_dropped for note in notes),
        "n_skipped": n_skipped,
        "n_chars": counts.get("totals", {}).get("chars", 0),
        "n_body_chars": sum(row["n_body_chars"] for row in publishers),
        "counts": counts,
        "rejections": _rejections(state.out),
        "templates": _templates(state.out),
        "publishers": publishers[:_MAX_PUBLISHERS],
        "stages": state.made_of["config"]["stages"],
        "versions": state.made_of["versions"],
    }


def _read_rows(out: Folder, name: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield rows of an output file, in either format."""
    with out.open(name) as file:
        if name.endswith(".parquet"):
            for batch in pq.ParquetFile(file).iter_batches(256, columns=list(columns)):
                yield from batch.to_pylist()
        else:
            for line in file:
                row = orjson.loads(line)
                yield {column: row[column] for column in columns}


def _publishers(state: RunState, notes: Sequence[ShardNote]) -> list[dict[str, Any]]:
    """Get documents and characters of each publisher, the largest first."""
    found: dict[str | None, Counter[str]] = {}
    for data in _of_all(state, notes, "publishers.json"):
        for publisher, sizes in orjson.loads(data):
            found.setdefault(publisher, Counter()).update(sizes)
    rows: list[dict[str, Any]] = [{"publisher": name, **counter} for name, counter in found.items()]
    return sorted(rows, key=lambda row: (-row["n_docs"], -row["n_chars"], row["publisher"] or ""))


_SAMPLE_COLUMNS = ("doc_id", "text", "label", "role", "kind", "p_claim", "p_opinion", "p_boilerplate", "start", "end")


def _samples(out: Folder, notes: Sequence[ShardNote]) -> list[dict[str, Any]]:
    """Get the first documents with their sentences."""
    samples: list[dict[str, Any]] = []
    for note in notes:
        if not note.files or len(samples) >= N_SAMPLES:
            continue
        documents, sentences = note.files
        wanted = N_SAMPLES - len(samples)
        rows = _read_rows(out, documents, ["doc_id", "title", "publisher", "text"])
        fresh = [{**row, "sentences": []} for _, row in zip(range(wanted), rows, strict=False)]
        by_id = {row["doc_id"]: row for row in fresh}
        for row in _read_rows(out, sentences, _SAMPLE_COLUMNS):
            if row["doc_id"] not in by_id:
                break
            if len(by_id[row["doc_id"]]["sentences"]) < _MAX_SAMPLE_SENTS:
                by_id[row["doc_id"]]["sentences"].append(row)
        samples += fresh
    for sample in samples:
        _mark_lines(sample)
    return samples


def _mark_lines(sample: dict[str, Any]) -> None:
    """Tell of every sentence whether it starts a line: kept ones by the document's text, boilerplate unless glued."""
    text, at, end = sample.pop("text"), 0, -1
    for row in sample["sentences"]:
        if row["role"] == "boilerplate":
            row["starts_line"] = row["start"] != end
        else:
            found = text.find(row["text"], at)
            row["starts_line"] = found <= 0 or text[found - 1] == "\n"
            at = found + len(row["text"])
        end = row["end"]


def _manifest(state: RunState, notes: Sequence[ShardNote], summary: dict[str, Any]) -> bytes:
    totals = {name: value for name, value in summary.items() if name.startswith("n_")}
    record = {
        **state.made_of,
        "totals": totals,
        "counts": summary["counts"],
        "shards": [note.to_dict() for note in notes],
    }
    return orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n"


def _dataset_card(summary: dict[str, Any], file_format: str) -> str:
    """The card that makes the folder a dataset of the Hugging Face library."""
    configs = "\n".join(
        f"- config_name: {name}\n  data_files: {name}-*.{file_format}" for name in ("documents", "sentences")
    )
    labels = summary["counts"].get("label", {})
    shares = "\n".join(f"| {name} | {n:,} |" for name, n in labels.items()) or "| not labelled | |"
    return f"""---
language: zh
configs:
{configs}
---
# An annotated corpus

Made by zhcorpus {summary["versions"]["zhcorpus"]}: {summary["n_written"]:,} documents, {summary["n_chars"]:,}
characters of source, {summary["n_body_chars"]:,} of them article body; {summary["n_rejected"]:,} pieces of input were
set aside (`rejected.jsonl`).

```python
from datasets import load_dataset

sentences = load_dataset("path/of/this/folder", "sentences", split="train")
```

`documents` has one row a document, `sentences` one row a sentence; `start` and `end` are half-open code points of the
source. The labels are a model's, not a person's.

| sentences | |
|---|---|
{shares}
"""
