"""Plain text for training: read it, make it simplified, take sentences of it."""

from __future__ import annotations

import functools
import gzip
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.doc import code_points
from pipeline.errors import ConfigError
from pipeline.kernels import decode

SENTENCE = re.compile(r"[^。！？!?；…\n]+[。！？!?；…]*[”’\"'）)」』》】]*")
MEASURE_ONLY = ".eval-only."  # files so named are never learnt from
STATISTICS_ONLY = "xwlb"  # files so named may be counted, but no word of theirs may stand in a model in clear
HAN_FIRST, HAN_END = 0x3400, 0xA000
MIN_CHARS, MAX_CHARS = 6, 120  # of a sentence that is worth labelling
MIN_HAN_SHARE = 0.5


def plain_files(folder: Path) -> list[Path]:
    """The files of plain text that may be learnt from."""
    return [path for path in sorted(folder.glob("*.jsonl.gz")) if MEASURE_ONLY not in path.name]


def read_texts(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the texts of ``*.jsonl.gz`` files, in simplified characters.

    Raises
    ------
    ConfigError
        With file and line, if a row has no text.
    """
    for path in paths:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text: str = orjson.loads(line)["text"]
                except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                    raise ConfigError(f'{path}:{number}: expected a JSON object with "text"') from error
                yield simplify_chars(text)


def sample_sentences(paths: Iterable[Path], max_chars: int, seed: int) -> list[str]:
    """Get sentences of each file that may be quoted, up to so many characters a file, in random order."""
    rng = random.Random(seed)
    sample = []
    for path in paths:
        if path.name.startswith(STATISTICS_ONLY):
            continue
        found = (match.group().strip() for text in read_texts([path]) for match in SENTENCE.finditer(text))
        sentences = [sentence for sentence in found if _worth_labelling(sentence)]
        rng.shuffle(sentences)
        n_chars = 0
        for sentence in sentences:
            sample.append(sentence)
            n_chars += len(sentence)
            if n_chars > max_chars:
                break
    return sample


def _worth_labelling(sentence: str) -> bool:
    n_han = sum(HAN_FIRST <= ord(char) < HAN_END for char in sentence)
    return MIN_CHARS <= len(sentence) <= MAX_CHARS and n_han >= MIN_HAN_SHARE * len(sentence)


def simplified(words: Sequence[str]) -> list[str]:
    """Convert words to simplified script; one whose length would change stays.

    Examples
    --------
    >>> simplified(["圖書館", "里程"])
    ['图书馆', '里程']
    """
    convert = _converter().convert
    return [new if len(new) == len(old) else old for new, old in zip(map(convert, words), words, strict=True)]


@functools.cache
def _converter() -> Any:
    from opencc import OpenCC  # noqa: PLC0415 - a second to load, for training alone

    return OpenCC("t2s")


def simplify_chars(text: str) -> str:
    """Convert a text to simplified script, character by character: fast, and right for most."""
    codes = code_points(text)
    folded = np.where(codes < decode.N_BMP, _char_table()[np.minimum(codes, decode.N_BMP - 1)], codes)
    return folded.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")


@functools.cache
def _char_table() -> NDArray[np.uint32]:
    table = np.arange(decode.N_BMP, dtype=np.uint32)
    table[HAN_FIRST:HAN_END] = [ord(char) for char in simplified([chr(code) for code in range(HAN_FIRST, HAN_END)])]
    return table
