"""Measure the first pass over a corpus: MB/s of CPU time and peak memory, for templates and for duplicates.

Makes JSONL rows out of the project's own labelled pages: frames stay, the characters of running text change places, so
that lines are as different from each other as a corpus's. Each measurement runs in a process of its own, reading
included, one worker; "with merging" adds what is done once all is scanned. Several sizes show whether memory is flat;
2 GB of rows take minutes to make. `--folder` keeps them elsewhere than in the system's folder for temporary files.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.passes import TemplatesConfig
from pipeline.passes.count import count_templates
from pipeline.passes.duplicates import find_duplicates
from pipeline.passes.scan import open_scans, scan_pieces
from pipeline.readers import READERS
from pipeline.readers.sources import list_input
from pipeline.run.shards import plan_shards

ROOT = Path(__file__).parent.parent
N_PUBLISHERS = 40


def shuffled(text: str, rng: random.Random) -> str:
    """The text's characters in another order, in pieces, as often as before: readers look for unlikely characters."""
    pieces = text[:-1].split("，")
    rng.shuffle(pieces)
    return "，".join("".join(rng.sample(piece, len(piece))) for piece in pieces) + text[-1:]


def make_rows(path: Path, n_megabytes: float) -> None:
    """Write rows until the file has `n_megabytes`."""
    pages = [json.loads(row)["lines"] for row in (ROOT / "corpus/labelled/documents.jsonl").open(encoding="utf-8")]
    rng = random.Random(0)
    n_bytes = n_rows = 0
    with path.open("wb") as file:
        while n_bytes < n_megabytes * 1e6:
            frame, body = pages[n_rows % N_PUBLISHERS], pages[n_rows % len(pages)]
            lines = [shuffled(line["text"], rng) for line in body if line["label"] != "boilerplate"]
            lines += [line["text"] for line in frame if line["label"] == "boilerplate"]
            row = {"id": f"d{n_rows}", "publisher": f"p{n_rows % N_PUBLISHERS}", "text": "\n".join(lines)}
            n_bytes += file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            n_rows += 1


def cut_rows(path: Path, n_megabytes: float) -> None:
    """Shorten a file of rows to about `n_megabytes`; as `make_rows` would have written so many."""
    with path.open("rb+") as file:
        file.seek(min(int(n_megabytes * 1e6), path.stat().st_size) - 1)
        file.readline()
        file.truncate()


def peak_memory() -> float:
    """The most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rows: Path, work: Path, what: str) -> None:
    """Run the pass in this process and print what it took, as JSON."""
    templates, duplicates = what == "templates", what == "duplicates"
    shards = plan_shards(list_input([str(rows)], tuple(READERS)).files)
    for i, shard in enumerate([shards[0], *shards]):
        if i == 1:
            start = time.process_time()  # the first round compiled or loaded the kernels
        scan_pieces(shard.pieces, work / shard.name, templates=templates, duplicates=duplicates)
    scanned, memory_scan = time.process_time() - start, peak_memory()
    scans = open_scans([work / shard.name for shard in shards])
    if templates:
        n_found = len(count_templates(scans, TemplatesConfig(), work).rows)
    else:
        n_found = sum(map(len, find_duplicates(scans, 0.8)))
    disk = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    print(
        json.dumps(
            {
                "scan": scanned,
                "all": time.process_time() - start,
                "memory": peak_memory(),
                "memory_scan": memory_scan,
                "disk": disk / 1e6,
                "found": n_found,
                "docs": sum(len(scan.array("docs")) for scan in scans),
            }
        )
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", nargs=3, metavar=("ROWS", "WORK", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), Path(arguments.measure[1]), arguments.measure[2])
        return
    print("| pass | input | scan MB/s | with merging | memory, scan | with merging | disk | documents | found |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = Path(folder) / "rows.jsonl"
        make_rows(rows, max(arguments.megabytes))
        for size in sorted(arguments.megabytes, reverse=True):
            cut_rows(rows, size)
            for what in ("templates", "duplicates"):
                print_row(rows, what)


def print_row(rows: Path, what: str) -> None:
    """Measure in a process of its own; print what it took."""
    n = rows.stat().st_size / 1e6
    with tempfile.TemporaryDirectory(dir=rows.parent) as work:
        command = [sys.executable, __file__, "--measure", str(rows), work, what]
        took = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    print(
        f"| {what} | {n:.0f} MB | {n / took['scan']:.0f} | {n / took['all']:.0f} | {took['memory_scan']:.0f} MB "
        f"| {took['memory']:.0f} MB | {took['disk']:.0f} MB | {took['docs']:,} | {took['found']:,} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
