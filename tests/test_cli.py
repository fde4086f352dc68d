from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from typer.main import get_command

from pipeline.cli import app

COMMANDS = ["run", "clean", "segment", "tag", "classify", "label", "show", "score", "train"]


def zhcorpus(*args: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, args)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert sorted(commands) == sorted(COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, command in commands.items():
        assert command.help
        assert re.search(rf"zhcorpus [a-z|]*{name}", readme), name


def test_help_does_not_load_models_or_heavy_libraries() -> None:
    code = "import sys, pipeline.cli; print([m for m in ('numba', 'spacy', 'sklearn', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_version() -> None:
    assert re.fullmatch(rb"zhcorpus \d+\.\d+\.\d+\n", zhcorpus("--version").stdout)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "nowhere", "--out", "x"], "no such file"),
        (["run", "README.md", "--out", "x", "--config", "nope"], "known: default, fast"),
        (["run", "README.md", "--out", "x", "--engine", "spark"], "known engines are local, ray"),
        (["run", "README.md", "--out", "README.md"], "give a folder"),
        (["run", "README.md"], "--out"),
    ],
)
def test_a_wrong_call_exits_2_in_one_sentence(args: list[str], message: str) -> None:
    done = zhcorpus(*args)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


CLEAN_ONLY = 'stages = ["clean"]\n'


@pytest.fixture
def clean_only(tmp_path: Path) -> Path:
    path = tmp_path / "clean.toml"
    path.write_text(CLEAN_ONLY, encoding="utf-8")
    return path


def test_exit_codes_tell_whether_input_was_set_aside(tmp_path: Path, clean_only: Path) -> None:
    heap = tmp_path / "heap"
    heap.mkdir()
    (heap / "a.txt").write_text("好的。", encoding="utf-8")
    done = zhcorpus("run", heap, "--out", tmp_path / "out", "--config", clean_only, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_written"] == 1
    (heap / "b.txt").touch()
    done = zhcorpus("run", heap, "--out", tmp_path / "out", "--config", clean_only)
    assert done.returncode == 1
    assert "the file is empty" in done.stdout.decode()


def test_a_missing_model_is_a_failed_run_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[classify]\nmodel = "nowhere"\n', encoding="utf-8")
    (tmp_path / "a.txt").write_text("文。", encoding="utf-8")
    done = zhcorpus("run", tmp_path / "a.txt", "--out", tmp_path / "out", "--config", tmp_path / "own.toml")
    assert done.returncode == 3
    assert "meta.json" in done.stderr.decode()


def test_standard_input(tmp_path: Path, clean_only: Path) -> None:
    row = json.dumps({"id": "a", "text": "一句话。"}).encode()
    done = zhcorpus("run", "-", "--out", tmp_path / "out", "--config", clean_only, stdin=row)
    assert done.returncode == 0
    assert pq.read_table(tmp_path / "out" / "documents-00000.parquet").column("doc_id").to_pylist() == ["a"]


def test_a_stage_refuses_documents_that_lack_what_it_requires(tmp_path: Path) -> None:
    zhcorpus("clean", ROOT / "README.md", tmp_path / "a.jsonl")
    done = zhcorpus("tag", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert done.returncode == 2
    assert "requires 'tokens'" in done.stderr.decode()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_with_130_and_the_same_command_goes_on(
    tmp_path: Path, clean_only: Path, workers: int
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "一句话，很短。\n" * 500}) + "\n", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text((tmp_path / "rows.jsonl").read_text() * 900, encoding="utf-8")
    args = ["run", tmp_path / "rows.jsonl", "--out", tmp_path / "out", "--config", clean_only, "--workers", workers]
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, args)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("out/.zhcorpus/documents-*.tmp")) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGINT)  # as Ctrl-C: all processes of the terminal get it
    stderr = started.communicate()[1].decode()
    assert started.returncode == 130
    assert stderr.strip().endswith("zhcorpus: interrupted; run the same command again to go on")
    assert "Traceback" not in stderr
    assert zhcorpus(*args).returncode == 0
    assert len(list(tmp_path.glob("out/documents-*.parquet"))) > 3


def test_a_bug_is_no_run_that_set_something_aside(tmp_path: Path, clean_only: Path) -> None:
    (tmp_path / "a.txt").write_text("好的。", encoding="utf-8")
    code = "import pipeline.run; pipeline.run.run_corpus = lambda *_: 1 / 0; from pipeline.cli import main; main()"
    args = ["run", tmp_path / "a.txt", "--out", tmp_path / "out", "--config", clean_only]
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"ZeroDivisionError" in done.stderr
