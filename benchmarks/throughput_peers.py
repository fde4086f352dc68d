# ruff: noqa: PLC0415 (an environment has its own program only)
"""Do one kind of work by another program; `benchmarks/throughput.py` runs this in that program's environment.

    python benchmarks/throughput_peers.py WORK ROWS.jsonl OUT_FOLDER MODELS

All read the same JSONL. Word segmenters and extractors drop what they find, since how to write it would be our choice:
that is in their favour. datatrove and Data-Juicer read and write by their own means.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RECIPE = """
project_name: bench
dataset_path: {rows}
export_path: {out}/out.jsonl
np: 1
auto_op_parallelism: false
open_monitor: false
open_tracer: false
use_cache: false
text_keys: text
process:
  - fix_unicode_mapper:
  - chinese_convert_mapper:
      mode: t2s
  - whitespace_normalization_mapper:
  - punctuation_normalization_mapper:
  - clean_links_mapper:
  - clean_email_mapper:
  - alphanumeric_filter:
  - character_repetition_filter:
  - special_characters_filter:
      max_ratio: 0.9
  - maximum_line_length_filter:
"""
"""Ten operators that need neither a download nor a model. With its default of 0.25 the filter of special characters,
which counts all Chinese punctuation, drops half of the pages; all are kept, and passed on."""


def read_column(rows: Path, column: str) -> Iterator[str]:
    """Yield a column of JSONL rows."""
    with rows.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)[column]


def cut_jieba(rows: Path, _out: Path, _models: Path) -> None:
    """Cut words by jieba."""
    import jieba

    for text in read_column(rows, "text"):
        jieba.lcut(text)


def tag_jieba(rows: Path, _out: Path, _models: Path) -> None:
    """Cut and tag words by jieba."""
    import jieba.posseg

    for text in read_column(rows, "text"):
        jieba.posseg.lcut(text)


def cut_pkuseg(rows: Path, _out: Path, models: Path) -> None:
    """Cut words by spacy_pkuseg, with the weights that we ship."""
    import spacy_pkuseg

    segmenter = spacy_pkuseg.pkuseg(str(models / "segmenter"), user_dict=None)
    for text in read_column(rows, "text"):
        segmenter.cut(text)


def extract_trafilatura(rows: Path, _out: Path, _models: Path) -> None:
    """Extract by trafilatura."""
    import trafilatura

    for page in read_column(rows, "html"):
        trafilatura.extract(page)


def extract_justext(rows: Path, _out: Path, _models: Path) -> None:
    """Extract by jusText; it has no stop list of Chinese, and needs none if no stop words are asked for."""
    import justext

    for page in read_column(rows, "html"):
        justext.justext(page, frozenset(), stopwords_low=0, stopwords_high=0)


def extract_resiliparse(rows: Path, _out: Path, _models: Path) -> None:
    """Extract by resiliparse."""
    from resiliparse.extract.html2text import extract_plain_text

    for page in read_column(rows, "html"):
        extract_plain_text(page, main_content=True)


def run_datatrove(steps: list[Any], logs: Path) -> None:
    """Run a pipeline in one process."""
    from datatrove.executor import LocalPipelineExecutor

    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=str(logs)).run()


def filter_datatrove(rows: Path, out: Path, _models: Path) -> None:
    """Read, filter as C4 does, replace private data, write Parquet.

    C4's rules that need spaces between words or an ASCII full stop are off: they drop every Chinese page.
    """
    from datatrove.pipeline.filters import C4QualityFilter
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    quality = C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=-1, min_words_per_line=-1)
    reader = JsonlReader(str(rows.parent), glob_pattern=rows.name)
    run_datatrove([reader, quality, PIIFormatter(), ParquetWriter(str(out / "out"))], out / "logs")


def dedup_datatrove(rows: Path, out: Path, by_sentence: bool) -> None:
    """Drop spans of three lines or sentences that occurred before: signatures, search, filter."""
    from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
    from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    config = SentDedupConfig(
        split_sentences=by_sentence, only_dedup_in_index=False, min_doc_words=0, min_num_sentences=0
    )
    signatures, found = str(out / "signatures"), str(out / "found")
    reader = JsonlReader(str(rows.parent), glob_pattern=rows.name)
    sign = SentenceDedupSignature(signatures, config=config, language="cmn")
    keep = SentenceDedupFilter(found, config=config, language="cmn")
    run_datatrove([reader, sign], out / "logs-sign")
    run_datatrove([SentenceFindDedups(signatures, found, config=config)], out / "logs-find")
    run_datatrove([reader, keep, ParquetWriter(str(out / "out"))], out / "logs-keep")


def run_data_juicer(rows: Path, out: Path, _models: Path) -> None:
    """Run a recipe of ten operators by Data-Juicer's own command, without its caches, monitor and tracer.

    It frees the memory of models after each operator; there are none, but it would download torch for that.
    """
    os.environ |= {"HF_HOME": str(out / "hf"), "DATA_JUICER_CACHE_HOME": str(out / "cache"), "HF_HUB_OFFLINE": "1"}
    out.mkdir(exist_ok=True)
    recipe = out / "recipe.yaml"
    recipe.write_text(RECIPE.format(rows=rows, out=out), encoding="utf-8")
    from data_juicer.ops import base_op
    from data_juicer.tools.process_data import main as process

    base_op.free_models = lambda: None
    sys.argv = ["dj-process", "--config", str(recipe)]
    process()


WORK: dict[str, Callable[[Path, Path, Path], None]] = {
    "jieba": cut_jieba,
    "jieba.posseg": tag_jieba,
    "spacy_pkuseg": cut_pkuseg,
    "trafilatura": extract_trafilatura,
    "jusText": extract_justext,
    "resiliparse": extract_resiliparse,
    "datatrove-filter": filter_datatrove,
    "datatrove-lines": lambda rows, out, _models: dedup_datatrove(rows, out, by_sentence=False),
    "datatrove-sentences": lambda rows, out, _models: dedup_datatrove(rows, out, by_sentence=True),
    "data-juicer": run_data_juicer,
}


def main() -> None:
    """Do the work that is named."""
    name, *paths = sys.argv[1:]
    rows, out, models = map(Path, paths)
    WORK[name](rows, out, models)


if __name__ == "__main__":
    main()
