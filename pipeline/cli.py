"""The command line: parse, call, print, exit code; nothing else.

Heavy modules are imported by the commands that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipeline import __version__
from pipeline.errors import ConfigError, PipelineError

if TYPE_CHECKING:
    from pipeline.run import RunResult

OK, SET_ASIDE, WRONG_CALL, FAILED, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Turn messy Chinese web text into a clean annotated corpus, every label traceable to the source.",
)
train = typer.Typer(no_args_is_help=True, help="Fit a model on annotated data.")
app.add_typer(train, name="train")

ConfigOption = Annotated[str, typer.Option("--config", help="A config's name (default, fast) or a TOML file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the model.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder of annotated data.")]
AlsoOption = Annotated[Path | None, typer.Option("--also", help="A further folder of the same kind.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zhcorpus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    if debug:
        os.environ["ZHCORPUS_DEBUG"] = "1"


def _stdin_for(inputs: list[str]) -> Any:
    return sys.stdin.buffer if "-" in inputs else None


@app.command()
def run(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders, globs, URLs, or - for stdin.")
    ],
    out: Annotated[str, typer.Option("--out", help="Folder of the corpus, or its URL (s3://...).")],
    config: ConfigOption = "default",
    file_format: Annotated[str, typer.Option("--format", help="parquet or jsonl.")] = "parquet",
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; one a core if not given.")] = None,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray: the cluster at RAY_ADDRESS.")] = "local",
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left in DIR; start anew.")] = False,
    keep_source: Annotated[bool, typer.Option("--keep-source", help="Add source_text to the documents.")] = False,
    input_format: Annotated[
        str | None, typer.Option("--input-format", help="Format of standard input, such as jsonl.")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option("--templates", help="templates.jsonl of an earlier run, instead of counting.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Annotate a heap of articles into a corpus."""
    # no stage multiplies matrices: OpenBLAS, which comes with numpy, would wake threads for nothing in every worker
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pipeline.config import load_config
    from pipeline.run import RunOptions, run_corpus
    from pipeline.run.bar import ProgressBar

    options = RunOptions(
        inputs,
        out,
        load_config(config),
        file_format,
        workers,
        fresh=fresh,
        keep_source=keep_source,
        input_format=input_format,
        templates=templates,
        engine=engine,
    )
    with ProgressBar() as watcher:
        result = run_corpus(options, _stdin_for(inputs), watcher)
    if as_json:
        typer.echo(json.dumps({"out": out, **result.summary}, ensure_ascii=False))
    else:
        _print_summary(result, out)
    raise typer.Exit(SET_ASIDE if result.n_rejected else OK)


def _print_summary(result: RunResult, out: str) -> None:
    from rich.console import Console
    from rich.table import Table

    summary: dict[str, Any] = result.summary
    counts = summary["counts"]
    table = Table(title="Corpus", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("documents", f"{result.n_written:,}")
    table.add_row("set aside", f"{result.n_rejected:,}")
    if result.n_dropped:
        table.add_row("dropped as duplicates", f"{result.n_dropped:,}")
    table.add_row("files skipped", f"{result.n_skipped:,}")
    n_chars = summary["n_chars"]
    share = f" ({summary['n_body_chars'] / n_chars:.0%})" if n_chars else ""
    table.add_row("characters of source", f"{n_chars:,}")
    table.add_row("characters of body", f"{summary['n_body_chars']:,}{share}")
    for name, label in (("sents", "sentences"), ("tokens", "words")):
        table.add_row(label, f"{counts.get('totals', {}).get(name, 0):,}")
    labels = counts.get("label", {})
    for name in ("claim", "opinion", "boilerplate"):
        if labels:
            table.add_row(f"  {name}", f"{labels.get(name, 0):,}")
    console = Console()
    console.print(table)
    for rejection in summary["rejections"]:
        console.print(
            f"set aside as {rejection['code']}: {rejection['n']}, such as {rejection['origin']}: {rejection['reason']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    report = f"{out.rstrip('/')}/report.html"
    console.print(f"results: {out}  ·  look at {report}", highlight=False, markup=False, soft_wrap=True)


def _stage_command(name: str, source: str, target: Path, config: str) -> None:
    """Run one stage over JSONL documents (clean: over any input)."""
    from pipeline.config import load_config
    from pipeline.run.stages import run_stage

    n_rejected = run_stage(name, source, target, load_config(config))
    if n_rejected:
        typer.echo(f"{n_rejected} rows set aside: {target}.rejected.jsonl", err=True)
    raise typer.Exit(SET_ASIDE if n_rejected else OK)


InArgument = Annotated[str, typer.Argument(metavar="IN")]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT")]


@app.command()
def clean(source: InArgument, target: OutArgument, config: ConfigOption = "default") -> None:
    """Read articles, repair their text and cut sentences: one Doc a line of JSON."""
    _stage_command("clean", source, target, config)


@app.command()
def segment(source: InArgument, target: OutArgument, config: ConfigOption = "default") -> None:
    """Cut the words of cleaned Docs."""
    _stage_command("segment", source, target, config)


@app.command()
def tag(source: InArgument, target: OutArgument, config: ConfigOption = "default") -> None:
    """Tag the words of segmented Docs, and find names."""
    _stage_command("tag", source, target, config)


@app.command()
def classify(source: InArgument, target: OutArgument, config: ConfigOption = "default") -> None:
    """Label lines and sentences of cleaned Docs."""
    _stage_command("classify", source, target, config)


@app.command()
def label(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model of your own labels.")],
    source: InArgument,
    target: OutArgument,
    config: ConfigOption = "default",
) -> None:
    """Give every sentence of articles a label of your own: one sentence a line of JSON."""
    from pipeline.config import load_config
    from pipeline.training.own import label_file

    n_rejected = label_file(model, source, target, load_config(config))
    if n_rejected:
        typer.echo(f"{n_rejected} documents set aside", err=True)
    raise typer.Exit(SET_ASIDE if n_rejected else OK)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One article.")],
    config: ConfigOption = "fast",
    as_json: JsonOption = False,
) -> None:
    """Show one document, labelled, with the reason for each boilerplate line."""
    from pipeline.config import load_config
    from pipeline.run.show import show_file

    show_file(file, load_config(config), as_json=as_json)


@app.command()
def score(
    data: Annotated[Path, typer.Option("--data", help="Labelled pages: a JSONL file or a folder of them.")],
    split: Annotated[str | None, typer.Option("--split", help="Only documents of this split.")] = None,
    config: ConfigOption = "fast",
    floors: Annotated[Path | None, typer.Option("--floors", help="A JSON file of least figures to hold.")] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="A model of your own labels, instead of a config's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the labels with gold ones."""
    if model is not None:
        from pipeline.training.own import score_own

        score_own(model, data, split, as_json=as_json)
        return
    from pipeline.training.score import score_command

    is_held = score_command(data, split, config, floors, as_json=as_json)
    raise typer.Exit(OK if is_held else SET_ASIDE)


@train.command("segmenter")
def train_segmenter_command(data: DataOption, out: OutOption, also: AlsoOption = None) -> None:
    """Fit the word segmenter on CoNLL-U files."""
    from pipeline.training.segmenter import train_segmenter

    train_segmenter(data, out, also)


@train.command("tagger")
def train_tagger_command(
    data: DataOption,
    out: OutOption,
    also: AlsoOption = None,
    words: Annotated[
        Path | None, typer.Option("--words", help="Segmenter whose words are tagged; one is fitted if not given.")
    ] = None,
) -> None:
    """Fit tags and names on CoNLL-U and IOB2 files."""
    from pipeline.training.tagger import train_tagger

    train_tagger(data, out, also, words=words)


@train.command("classifier")
def train_classifier_command(
    data: DataOption,
    out: OutOption,
    also: AlsoOption = None,
    labels: Annotated[
        str,
        typer.Option(
            "--labels", help="ours, own, or your own names with commas between; told from the data if not given."
        ),
    ] = "",
    curve: Annotated[bool, typer.Option("--curve/--no-curve", help="Measure what more data would bring.")] = True,
) -> None:
    """Fit line roles and sentence labels, or labels of your own; docs/train.md lists the formats."""
    from pipeline.training.figures import format_report
    from pipeline.training.train import train_classifier

    report = train_classifier([data] if also is None else [data, also], out, labels=labels, curve=curve)
    typer.echo(format_report(report))


def _exit(code: int, message: str) -> NoReturn:
    typer.echo(f"zhcorpus: {message}", err=True)
    sys.exit(code)


def _explain(error: Exception) -> str:
    """An error in one sentence, with what to do where that is known."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"the disk is full{where}; make room and run the same command again: it goes on after the last whole shard"
        )
    return str(error)


_INTERRUPTED = "interrupted; run the same command again to go on"


def main() -> None:
    """Run the command line; foreseeable errors become one sentence and an exit code."""
    try:
        app()
    except SystemExit as ending:  # typer makes one of an interrupt, without a word
        if ending.code == INTERRUPTED:
            typer.echo(f"zhcorpus: {_INTERRUPTED}", err=True)
        raise
    except KeyboardInterrupt:
        _exit(INTERRUPTED, _INTERRUPTED)
    except (PipelineError, OSError) as error:
        if os.environ.get("ZHCORPUS_DEBUG"):
            raise
        _exit(WRONG_CALL if isinstance(error, ConfigError) else FAILED, _explain(error))
    except Exception:
        traceback.print_exc()
        _exit(FAILED, "this is a bug; please report the lines above, and what was run")
