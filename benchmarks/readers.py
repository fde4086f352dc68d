"""Measure how fast each format is read, and that the memory it takes does not grow with the input.

Makes files of the project's own raw corpus, repeated, and reads each in a process of its own. Speed is MB of the file
as it would be without compression, per CPU-second (user and system, all threads, without start-up), the best of
several runs, since other work on the machine only slows them; memory is the peak of the resident set, as Linux tells
it. With `--pages FOLDER`, pages of a folder are read as HTML, too.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import html
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.encoding import decode

ROOT = Path(__file__).parent.parent
RAW = ROOT / "corpus" / "raw"

MEASURE = """
import re, sys, time
from pathlib import Path
from pipeline.doc import Doc
from pipeline.readers import READERS, read_piece
from pipeline.readers.sources import list_input
files = list_input([sys.argv[1]], tuple(READERS)).files
warm_up = list_input([sys.argv[2]], tuple(READERS)).files
list(read_piece(warm_up[0]))
start = time.process_time()
n_docs = sum(isinstance(read, Doc) for file in files for read in read_piece(file))
seconds = time.process_time() - start
peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()).group(1)
print(seconds, int(peak) / 1024, n_docs)
"""


def texts() -> list[str]:
    """Get the plain articles of the raw corpus."""
    found = []
    for path in sorted(RAW.glob("*.txt*")):
        data = path.read_bytes()
        found.append(decode(gzip.decompress(data) if path.suffix == ".gz" else data).text)
    return found


def pages() -> list[bytes]:
    """Get the pages of the raw corpus, as UTF-8."""
    return [decode(path.read_bytes()).text.encode() for path in sorted(RAW.glob("*.html"))]


def repeat(pieces: list[bytes], n_bytes: int) -> Iterator[bytes]:
    """Yield pieces in turn until they make up `n_bytes`."""
    n_made = 0
    for piece in cycle(pieces):
        yield piece
        n_made += len(piece)
        if n_made >= n_bytes:
            return


def _csv_rows(encoding: str) -> list[bytes]:
    rows = []
    for text in texts():
        file = io.StringIO(newline="")
        csv.writer(file).writerow([text, "题"])
        rows.append(file.getvalue().encode(encoding))
    return rows


def _record(kind: str, content: bytes, media_type: str) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n\r\n"


def _responses() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    return [_record("response", head + page, "application/http; msgtype=response") for page in pages()]


def _json_rows() -> list[bytes]:
    return [json.dumps({"text": text, "title": "题"}, ensure_ascii=False).encode() + b"\n" for text in texts()]


def _damaged_rows() -> list[bytes]:
    damaged = ["".join(bytes([byte]).decode("latin-1") for byte in text.encode()) for text in texts()]
    return [json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n" for text in damaged]


def _page_rows() -> list[bytes]:
    return [json.dumps({"html": page.decode()}, ensure_ascii=False).encode() + b"\n" for page in pages()]


PLAIN: dict[str, tuple[bytes, Callable[[], list[bytes]]]] = {
    "text.jsonl": (b"", _json_rows),
    "mojibake.jsonl": (b"", _damaged_rows),
    "html.jsonl": (b"", _page_rows),
    "utf8.csv": (b"text,title\n", lambda: _csv_rows("utf-8")),
    "gb18030.csv": (b"text,title\n", lambda: _csv_rows("gb18030")),
    "text.wet": (b"", lambda: [_record("conversion", text.encode(), "text/plain") for text in texts()]),
    "html.warc": (b"", _responses),
}
OPEN: dict[str, Callable[[Path], Any]] = {
    "": lambda path: path.open("wb"),
    ".gz": lambda path: gzip.GzipFile(path, "wb", compresslevel=1),
    ".bz2": lambda path: bz2.BZ2File(path, "wb", compresslevel=1),
    ".zst": lambda path: pa.CompressedOutputStream(str(path), "zstd"),
}


def write_plain(path: Path, name: str, suffix: str, n_bytes: int) -> float:
    """Write a file of repeated rows; get the MB before compression."""
    head, make = PLAIN[name]
    n_written = len(head)
    with OPEN[suffix](path) as file:
        file.write(head)
        for piece in repeat(make(), n_bytes):
            file.write(piece)
            n_written += len(piece)
    return n_written / 1e6


def write_parquet(path: Path, n_bytes: int) -> float:
    """Write a Parquet file; get the MB of its text."""
    schema = pa.schema([("text", pa.string()), ("title", pa.string())])
    n_written = 0
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        rows = list(texts())
        size = sum(len(text.encode()) for text in rows)
        while n_written < n_bytes:
            writer.write_table(pa.table({"text": rows * 20, "title": ["题"] * len(rows) * 20}, schema))
            n_written += size * 20
    return n_written / 1e6


def write_zip(path: Path, n_bytes: int) -> float:
    """Write an archive of text files; get their MB."""
    n_written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i, piece in enumerate(repeat([text.encode() for text in texts()], n_bytes)):
            archive.writestr(f"{i:06}.txt", piece)
            n_written += len(piece)
    return n_written / 1e6


def write_page(path: Path, n_bytes: int) -> float:
    """Write one large page of short paragraphs; get its MB."""
    blocks = [f"<p>{html.escape(line)}</p>\n".encode() for text in texts() for line in text.splitlines()]
    data = b"<!doctype html><body>" + b"".join(repeat(blocks, n_bytes))
    path.write_bytes(data)
    return len(data) / 1e6


def make(path: Path, n_bytes: int) -> float:
    """Write the file that a name asks for; get its MB before compression."""
    if path.name.endswith(".parquet"):
        return write_parquet(path, n_bytes)
    if path.name.endswith(".zip"):
        return write_zip(path, n_bytes)
    if path.name.endswith(".html"):
        return write_page(path, n_bytes)
    suffix = path.suffix if path.suffix in OPEN else ""
    return write_plain(path, path.name.removesuffix(suffix), suffix, n_bytes)


def read_once(path: Path) -> tuple[float, float, int]:
    """Read a file in a process of its own; get CPU seconds, peak MB and the number of documents.

    A small file of its format is read first, so that what is compiled and imported does not count.
    """
    warm_up = next(path.rglob("*.html")) if path.is_dir() else path.parent / "warm" / path.name
    if not warm_up.exists():
        warm_up.parent.mkdir(exist_ok=True)
        make(warm_up, 20_000)
    command = [sys.executable, "-c", MEASURE, str(path), str(warm_up)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT)
    seconds, memory, n_docs = done.stdout.split()
    return float(seconds), float(memory), int(n_docs)


def measure_speed(folder: Path, names: list[str], n_megabytes: float, n_repeats: int) -> None:
    """Print a table of speeds."""
    print("| format | MB/s | documents |\n|---|---|---|")
    for name in names:
        size = make(folder / name, int(n_megabytes * 1e6))
        runs = [read_once(folder / name) for _ in range(n_repeats)]
        print(f"| {name} | {size / min(run[0] for run in runs):.0f} | {runs[0][2]} |", flush=True)


def measure_memory(folder: Path, names: list[str], sizes: list[float]) -> None:
    """Print a table of peak memory by size of the input."""
    print("| format | " + " | ".join(f"{size:.0f} MB" for size in sizes) + " |\n|---|" + "---|" * len(sizes))
    for name in names:
        peaks = []
        for size in sizes:
            make(folder / name, int(size * 1e6))
            peaks.append(read_once(folder / name)[1])
        print(f"| {name} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |", flush=True)


def measure_pages(folder: Path, n_repeats: int) -> None:
    """Print how fast the pages of a folder are read."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".html", ".htm")]
    size = sum(path.stat().st_size for path in paths) / 1e6
    runs = [read_once(folder)[0] for _ in range(n_repeats)]
    print(f"{len(paths)} pages of {size:.1f} MB: {size / min(runs):.0f} MB/s")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--memory-megabytes", type=float, nargs="+", default=[20, 200])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pages", type=Path)
    arguments = parser.parse_args()
    speeds = [*PLAIN, "text.jsonl.gz", "text.jsonl.bz2", "text.jsonl.zst", "a.parquet", "a.zip", "a.html"]
    memory = ["text.jsonl.gz", "utf8.csv", "html.warc", "text.wet.zst", "a.parquet", "a.zip"]
    with tempfile.TemporaryDirectory() as name:
        measure_speed(Path(name), speeds, arguments.megabytes, arguments.repeat)
        measure_memory(Path(name), memory, arguments.memory_megabytes)
    if arguments.pages:
        measure_pages(arguments.pages, arguments.repeat)


if __name__ == "__main__":
    main()
