"""Measure the clean stage, script conversion beside opencc-python-reimplemented, and the search for private data.

Texts are the project's own labelled pages, or JSONL files with a column ``text`` (also .gz); the traditional ones are
made of them by OpenCC (s2t). All is timed in one process, in CPU time (user and system), alternating, after some calls
that compile and warm up; every figure is the best of `--repeat` turns, in MB of UTF-8 text a second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from opencc import OpenCC

from pipeline.clean import CleanConfig, clean_doc
from pipeline.clean.convert import convert
from pipeline.doc import Doc, code_points
from pipeline.kernels.chars import to_text
from pipeline.privacy import find_private

ROOT = Path(__file__).parent.parent
_PLAIN = CleanConfig(convert="none")


def read_texts(path: Path, n_megabytes: float) -> list[str]:
    """Get the texts of a file of rows or of labelled pages, up to `n_megabytes`."""
    texts: list[str] = []
    n_bytes = 0
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts.append(row["text"] if "text" in row else "\n".join(part["text"] for part in row["lines"]))
            n_bytes += len(texts[-1].encode())
            if n_bytes > n_megabytes * 1e6:
                break
    return texts


def to_simplified(text: str) -> str:
    """Convert as the clean stage does: look at the script, convert where it is not simplified."""
    doc = clean_doc(Doc.from_text(text), _PLAIN)
    if doc.meta["script"] == "hans":
        return text
    return to_text(convert(code_points(doc.text), "t2s"))


def measure(jobs: dict[str, Callable[[str], object]], texts: list[str], repeat: int) -> Iterator[tuple[str, float]]:
    """Yield each job's MB a CPU-second, best of `repeat` turns that alternate."""
    n_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    best = dict.fromkeys(jobs, float("inf"))
    for turn in range(repeat + 1):
        for name, job in jobs.items():
            start = time.process_time()
            for text in texts if turn else texts[:20]:
                job(text)
            if turn:
                best[name] = min(best[name], time.process_time() - start)
    for name, seconds in best.items():
        yield name, n_megabytes / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[ROOT / "corpus/labelled/documents.jsonl"])
    parser.add_argument("--megabytes", type=float, default=8, help="of each file")
    parser.add_argument("--opencc-megabytes", type=float, default=1, help="of each file, for the slow reference")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    t2s, s2t = OpenCC("t2s"), OpenCC("s2t")
    print(f"Python {platform.python_version()}, numba {version('numba')}, one thread; MB/s of CPU time")
    print("| text | clean | clean without conversion | private data | conversion | OpenCC | ratio |")
    print("|---|---|---|---|---|---|---|")
    for path in arguments.files:
        simplified = read_texts(path, arguments.megabytes)
        few = read_texts(path, arguments.opencc_megabytes)
        for script in ("simplified", "traditional"):
            if script == "traditional":
                few = [s2t.convert(text) for text in few]
                simplified = few
            jobs: dict[str, Callable[[str], object]] = {
                "clean": lambda text: clean_doc(Doc.from_text(text)),
                "plain": lambda text: clean_doc(Doc.from_text(text), _PLAIN),
                "private": find_private,
            }
            speed = dict(measure(jobs, simplified, arguments.repeat))
            speed |= dict(measure({"convert": to_simplified, "opencc": t2s.convert}, few, arguments.repeat))
            figures = [speed[name] for name in ("clean", "plain", "private", "convert", "opencc")]
            cells = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {path.name}, {script} | {cells} | {speed['convert'] / speed['opencc']:.0f}x |", flush=True)


if __name__ == "__main__":
    main()
