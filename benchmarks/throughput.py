"""Measure how fast a run is, and how much memory it takes.

Makes a corpus of JSONL rows out of the project's own labelled pages, runs each config over it in a process of its own,
and prints MB of UTF-8 text per CPU-second (user and system, all threads) with the peak resident memory. Every figure is
the median of `--repeat` runs after one that warms the caches up; runs of the configs alternate, since other work on the
machine disturbs all of them alike.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make_rows(path: Path, n_megabytes: float) -> float:
    """Write rows of labelled pages, repeated under new ids, until they hold `n_megabytes`; get the MB of text."""
    lines = (ROOT / "corpus/labelled/documents.jsonl").read_text(encoding="utf-8").splitlines()
    texts = ["\n".join(line["text"] for line in json.loads(row)["lines"]) for row in lines]
    n_bytes = n_rows = 0
    with path.open("w", encoding="utf-8") as file:
        while n_bytes < n_megabytes * 1e6:
            text = texts[n_rows % len(texts)]
            file.write(json.dumps({"id": f"d{n_rows}", "text": text}, ensure_ascii=False) + "\n")
            n_bytes += len(text.encode())
            n_rows += 1
    return n_bytes / 1e6


def run_once(rows: Path, out: Path, config: str, file_format: str) -> tuple[float, float]:
    """Run the command in a process of its own; get CPU seconds and peak resident memory in MB."""
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(rows), "--out", str(out)]
    command += ["--config", config, "--format", file_format, "--workers", "1", "--fresh", "--json"]
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(u.ru_utime + u.ru_stime, u.ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", measure, *command], capture_output=True, check=True, text=True)
    seconds, kilobytes = map(float, done.stdout.split())
    return seconds, kilobytes / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--full-megabytes", type=float, default=6)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    plans = [
        ("clean + classify, JSONL to Parquet", "fast", "parquet", arguments.megabytes),
        ("clean + classify, JSONL to JSONL", "fast", "jsonl", arguments.megabytes),
        ("everything, JSONL to Parquet", "default", "parquet", arguments.full_megabytes),
    ]
    print(f"Python {platform.python_version()}, zhcorpus {version('zhcorpus')}, numba {version('numba')}, one worker")
    print("| work | MB/s | with start-up | peak memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_rows(base / "tiny.jsonl", 0.01)
        sizes = {n: make_rows(base / f"{n}.jsonl", n) for n in {plan[3] for plan in plans}}
        figures: dict[str, list[tuple[float, float, float]]] = {plan[0]: [] for plan in plans}
        for turn in range(arguments.repeat + 1):
            for name, config, file_format, n in plans:
                start_up, _ = run_once(base / "tiny.jsonl", base / "out", config, file_format)
                seconds, memory = run_once(base / f"{n}.jsonl", base / "out", config, file_format)
                if turn:
                    figures[name].append((sizes[n] / (seconds - start_up), sizes[n] / seconds, memory))
        for name, rows in figures.items():
            speed, gross, memory = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"| {name} | {speed:.1f} | {gross:.1f} | {memory:.0f} MB |")


if __name__ == "__main__":
    main()
