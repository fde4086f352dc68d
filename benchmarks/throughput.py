"""Measure how fast runs of ours are, and how much memory they take, beside other programs.

    python benchmarks/throughput.py [--peers .venv-peers] [--write]

Every kind of work is a command in a process of its own, in its program's own environment, on JSONL of the corpora of
`corpora.py`. A figure is MB of UTF-8 text (markup does not count) per CPU-second: user and system, all processes.
Start-up, which is the same command's time on a tiny input, is subtracted; "with start-up" it is not. Two workers both
start on an input of some shards only, so what is subtracted there is a run on 9 MB, with its 9 MB. Figures are
medians of `--repeat` turns; in a turn all kinds of work are run one after the other, each just after its start-up,
since other work on the machine disturbs all of them alike. Before the first turn the tiny inputs are run once, so that
code is compiled and files are in the machine's cache. Memory: see `measure.py`.

Without `--peers`, which is `make bench`, ours alone are measured. `make bench-peers` makes the environments. `--write`
puts the tables into `RESULTS.md`.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

from corpora import REAL, dense_texts, measure_density, n_bytes, shipped_texts, wrap, write_rows

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
MODELS = HERE.parent / "models"
TINY = 0.01
"""MB of the input that start-up is measured on."""
SHARDS = 9
"""MB that give each of two workers a shard."""
CONFIGS = {
    "words": 'stages = ["clean", "segment"]',
    "tags": 'stages = ["clean", "segment", "tag"]',
}
"""Configs that are not shipped, for what others do."""
CORPORA = {"dense": "Text with the density of real pages", "shipped": "Pages and articles as shipped"}


@dataclass(frozen=True)
class Work:
    """A kind of work: how it is called, on how many MB it is measured, beside which work of ours it stands."""

    name: str
    megabytes: float
    arguments: tuple[str, ...]
    column: str = "text"
    family: str = ""
    program: str = "zhcorpus"
    beside: str = ""
    least: float = TINY
    is_on_both: bool = False


@dataclass(frozen=True)
class Run:
    """What one run took: CPU seconds, wall-clock seconds, MB of memory."""

    cpu: float
    wall: float
    memory: float


@dataclass
class Figures:
    """The inputs of a kind of work, their MB of text, and the runs on both, or why there are none."""

    work: Work
    corpus: str
    small: Path
    whole: Path
    least: float
    size: float
    runs: list[tuple[Run, Run]] = field(default_factory=list)
    failure: str = ""

    def speeds(self) -> list[float]:
        """MB a CPU-second without start-up, of each turn."""
        return [(self.size - self.least) / max(whole.cpu - start_up.cpu, 1e-3) for start_up, whole in self.runs]

    def cells(self, ours: dict[str, Figures]) -> str:
        """Get the row of a table."""
        if not self.runs:
            return f"| {self.work.name} | {self.failure or 'not measured'} | | | | | |"
        whole = [run for _, run in self.runs]
        speeds = self.speeds()
        spread = f"{show(statistics.median(speeds))} ({show(min(speeds))}–{show(max(speeds))})"
        gross = show(self.size / statistics.median(run.cpu for run in whole))
        clock = show(self.size / statistics.median(run.wall for run in whole))
        memory = statistics.median(run.memory for run in whole)
        beside = ours.get(self.work.beside)
        ratio = statistics.median(beside.speeds()) / statistics.median(speeds) if beside and beside.runs else 0
        times = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
        compared = f"{times}× ({self.work.beside})" if ratio else ""
        return f"| {self.work.name} | {self.size:.1f} | {spread} | {gross} | {clock} | {memory:.0f} MB | {compared} |"


def show(figure: float) -> str:
    """Get a speed with two figures that count."""
    return f"{figure:.0f}" if figure >= 10 else f"{figure:.1f}" if figure >= 1 else f"{figure:.2f}"


def our_work() -> list[Work]:
    """Get the work of ours; `**bold**` names what others are compared with."""
    both = {"is_on_both": True}
    return [
        Work("**fast**: clean + classify + privacy, JSONL to Parquet", 30, ("fast", "parquet", "1"), **both),
        Work("fast, two workers", 30, ("fast", "parquet", "2"), least=SHARDS, **both),
        Work("fast, JSONL to JSONL", 30, ("fast", "jsonl", "1"), **both),
        Work("fast, JSONL to JSONL, two workers", 30, ("fast", "jsonl", "2"), least=SHARDS, **both),
        Work("**everything** (config default), JSONL to Parquet", 8, ("default", "parquet", "1"), **both),
        Work("everything, two workers", 18, ("default", "parquet", "2"), least=SHARDS, **both),
        Work("**words**: clean + words, JSONL to Parquet", 16, ("words", "parquet", "1")),
        Work("**tags**: clean + words, tags, names, JSONL to Parquet", 8, ("tags", "parquet", "1")),
        Work("**HTML**: fast, HTML in JSONL to Parquet", 20, ("fast", "parquet", "1"), column="html"),
    ]


def peer_work() -> list[Work]:
    """Get the work of others."""
    quality, lines = "JSONL, C4 filter, private data, Parquet", "drop repeated lines, Parquet"
    sentences, recipe = "drop repeated sentences, Parquet", "recipe of ten operators for Chinese, JSONL"
    text, html = {"family": "text"}, {"family": "text", "column": "html", "beside": "HTML"}
    trove = {"family": "datatrove", "program": "datatrove"}
    juicer = {"family": "data-juicer", "program": "py-data-juicer"}
    return [
        Work("jieba {}, words", 3, ("jieba",), program="jieba", beside="words", **text),
        Work("jieba.posseg {}, words and tags", 0.3, ("jieba.posseg",), program="jieba", beside="tags", **text),
        Work("spacy_pkuseg {}, words", 0.5, ("spacy_pkuseg",), program="spacy-pkuseg", beside="words", **text),
        Work(f"datatrove {{}}: {quality}", 16, ("datatrove-filter",), beside="fast", **trove),
        Work(f"datatrove {{}}: {lines}", 8, ("datatrove-lines",), **trove),
        Work(f"datatrove {{}}: {sentences}", 3, ("datatrove-sentences",), **trove),
        Work(f"Data-Juicer {{}}: {recipe}", 4, ("data-juicer",), beside="fast", **juicer),
        Work("trafilatura {}, HTML", 4, ("trafilatura",), program="trafilatura", **html),
        Work("jusText {}, HTML", 8, ("jusText",), program="jusText", **html),
        Work("resiliparse {} main content, HTML", 20, ("resiliparse",), program="Resiliparse", **html),
    ]


def command_of(work: Work, rows: Path, out: Path, peers: Path | None) -> list[str]:
    """Get the command line of a kind of work."""
    if work.family:
        python = python_of(work, peers)
        return [str(python), "-P", str(HERE / "throughput_peers.py"), *work.arguments, *map(str, (rows, out, MODELS))]
    config, file_format, n_workers = work.arguments
    config = str(rows.parent / f"{config}.toml") if config in CONFIGS else config
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(rows), "--out", str(out)]
    return [*command, "--config", config, "--format", file_format, "--workers", n_workers, "--fresh", "--json"]


def python_of(work: Work, peers: Path | None) -> Path:
    """Get the Python of a program's environment."""
    return (peers or Path()).absolute() / work.family / "bin" / "python"


def run_once(command: Sequence[str]) -> Run:
    """Run a command and measure it."""
    measure = [sys.executable, "-S", str(HERE / "measure.py"), *command]
    done = subprocess.run(measure, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Run(*map(float, done.stdout.split()))


def name_version(work: Work, peers: Path | None) -> str:
    """Get a kind of work's name with the version of the program."""
    if not work.family:
        return work.name
    python, ask = python_of(work, peers), "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    if not python.exists():
        return work.name.format("(no environment)")
    done = subprocess.run([python, "-c", ask, work.program], capture_output=True, text=True, check=False)
    return work.name.format(done.stdout.strip() or "(not installed)")


def plan_all(base: Path, works: Sequence[Work], scale: float) -> list[Figures]:
    """Make the inputs of each kind of work, on each corpus."""
    texts = {"dense": dense_texts(), "shipped": shipped_texts()}
    made: dict[Path, float] = {}
    rows = []
    for corpus in CORPORA:
        for work in (work for work in works if corpus == "dense" or work.is_on_both):
            sizes = (work.least, max(work.megabytes * scale, 1.1 * work.least))
            paths = [base / f"{corpus}-{work.column}-{size:g}.jsonl" for size in sizes]
            for path, size in zip(paths, sizes, strict=True):
                if path not in made:
                    made[path] = write_rows(path, texts[corpus], work.column, size)
            rows.append(Figures(work, corpus, *paths, *(made[path] for path in paths)))
    return rows


def measure_all(base: Path, works: Sequence[Work], arguments: argparse.Namespace) -> list[Figures]:
    """Run everything, turn by turn."""
    rows = plan_all(base, works, arguments.scale)
    out = base / "out"
    for turn in range(arguments.repeat + 1):
        for row in rows:
            commands = [command_of(row.work, file, out, arguments.peers) for file in (row.small, row.whole)]
            measure_turn(row, commands, out, is_warm_up=not turn)
            last = f"{row.speeds()[-1]:.2f} MB/s" if row.runs else "ready"
            print(f"turn {turn}, {row.corpus}: {row.work.name}: {row.failure or last}", file=sys.stderr, flush=True)
    return rows


def measure_turn(row: Figures, commands: list[list[str]], out: Path, is_warm_up: bool) -> None:
    """Run the tiny input and, unless to warm up, the whole one."""
    if not Path(commands[0][0]).exists():
        row.failure = "no environment, `make bench-peers` makes it"
        return
    runs, row.failure = [], ""
    for command in commands[:1] if is_warm_up else commands:
        shutil.rmtree(out, ignore_errors=True)
        try:
            runs.append(run_once(command))
        except RuntimeError as error:
            row.failure = "failed"
            print(error, file=sys.stderr)
            return
    if not is_warm_up:
        row.runs.append((runs[0], runs[1]))


def cpu_model() -> str:
    """Get the name of the processor, as Linux has it."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.processor()


def describe_corpora() -> Iterator[str]:
    """Yield what each corpus is."""
    for name, texts in (("dense", dense_texts()), ("shipped", shipped_texts())):
        size = sum(map(n_bytes, texts))
        markup = sum(n_bytes(wrap(text)) for text in texts) / size
        yield f"- *{CORPORA[name]}*: {len(texts)} pages, {size / 1e6:.1f} MB, {measure_density(texts)}."
        yield f"  As HTML {markup:.2f} times that."


def report(rows: Sequence[Figures], arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the results."""
    python, ours = platform.python_version(), version("zhcorpus")
    load = os.getloadavg()[2]
    yield f"{date.today()}; {cpu_model()}, {os.cpu_count()} cores, shared with other work (load average {load:.1f});"
    yield f"Python {python}, zhcorpus {ours}, numba {version('numba')}, numpy {version('numpy')}."
    command = "make bench-peers" if arguments.peers else "make bench"
    yield f"`{command}`: medians of {arguments.repeat} turns that alternate, lowest and highest in brackets.\n"
    yield from describe_corpora()
    yield f"- Real Chinese pages, 188 measured: {REAL}.\n"
    for corpus, title in CORPORA.items():
        here = [row for row in rows if row.corpus == corpus]
        known = {re.sub(r"^\*\*(\w+)\*\*.*", r"\1", row.work.name): row for row in here}
        yield f"## {title}\n"
        yield "| work | MB of text | MB/CPU-s | with start-up | MB/s by the clock | peak memory | ours is |"
        yield "|---|---|---|---|---|---|---|"
        yield from (row.cells(known) for row in here)
        yield ""


def write_results(lines: Iterable[str]) -> None:
    """Put the report below the head of the results."""
    head = (RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Throughput\n\n").partition(MARK)[0]
    RESULTS.write_text(head + MARK + "\n\n" + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


MARK = "<!-- From here on written by throughput.py --write -->"


def main() -> None:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder of the environments that have the other programs")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1, help="of all sizes; below 1 the figures are rough")
    parser.add_argument("--only", default="", help="kinds of work to do, a regular expression")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    arguments = parser.parse_args()
    works = our_work() + (peer_work() if arguments.peers else [])
    works = [replace(work, name=name_version(work, arguments.peers)) for work in works]
    works = [work for work in works if re.search(arguments.only, work.name)]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in CONFIGS.items():
            (Path(folder) / f"{name}.toml").write_text(text + "\n", encoding="utf-8")
        rows = measure_all(Path(folder), works, arguments)
    lines = list(report(rows, arguments))
    print("\n".join(lines))
    if arguments.write:
        write_results(lines)


if __name__ == "__main__":
    main()
