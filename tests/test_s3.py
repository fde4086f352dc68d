"""A real S3 protocol end to end: moto's server on this machine, s3fs, the command line; also on Ray, if it is there.

pip install s3fs 'moto[s3,server]' && pytest tests/test_s3.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'zhcorpus[cloud]'")
pytest.importorskip("s3fs", reason="s3fs is not installed")
pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")

OUT = "s3://corpus/out"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, to which the environment leads."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    filesystem = fsspec.filesystem(
        "s3", endpoint_url=f"http://{host}:{port}", use_listings_cache=False, skip_instance_cache=True
    )
    filesystem.mkdir("corpus")
    yield filesystem
    server.stop()


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    """Some megabytes of JSONL and Parquet, to be cut, and small files."""
    folder = tmp_path / "heap"
    (folder / "more").mkdir(parents=True)
    rows = [
        {"id": f"d{i % 1500}", "text": f"第{i}篇，说的是{i * i}。\n它有两段，第二段稍长。" * 150} for i in range(1600)
    ]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "more" / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows[:800]), folder / "rows.parquet", row_group_size=100, compression="none")
    for i in range(12):
        (folder / f"{i}.txt").write_text(f"第{i}篇短文。\n它有两段。", encoding="utf-8")
    (folder / "empty.txt").touch()
    return folder


def command(source: str | Path, out: str | Path, *options: str) -> list[str]:
    call = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(source), "--out", str(out)]
    return [*call, "--config", str(ROOT / "configs" / "fast.toml"), "--workers", "2", *options]


def zhcorpus(source: str | Path, out: str | Path, *options: str) -> str:
    done = subprocess.run(command(source, out, *options), capture_output=True, check=False)
    assert done.returncode == 1, done.stderr.decode()  # the empty file is set aside
    return done.stderr.decode()


def local(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def stored(s3: Any) -> dict[str, str]:
    paths = s3.find("corpus/out")
    return {path.removeprefix("corpus/out/"): hashlib.sha256(s3.cat_file(path)).hexdigest() for path in paths}


def test_a_run_in_a_bucket_is_killed_goes_on_and_is_that_in_a_folder(s3: Any, heap: Path, tmp_path: Path) -> None:
    s3.put(str(heap), "corpus/raw", recursive=True)
    s3.touch("corpus/raw/marker/")
    zhcorpus(heap, tmp_path / "out")
    process = subprocess.Popen(command("s3://corpus/raw", OUT), start_new_session=True, stderr=subprocess.DEVNULL)
    while process.poll() is None and not s3.glob("corpus/out/.zhcorpus/00000.json"):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "resuming" in zhcorpus("s3://corpus/raw", OUT)
    assert stored(s3) == local(tmp_path / "out")
    assert "nothing to do" in zhcorpus("s3://corpus/raw", OUT)
    zhcorpus("s3://corpus/raw", OUT, "--fresh")
    assert stored(s3) == local(tmp_path / "out")


def test_a_bucket_on_ray(s3: Any, heap: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'zhcorpus[ray]'")
    s3.put(str(heap), "corpus/raw", recursive=True)
    zhcorpus(heap, tmp_path / "out")
    zhcorpus("s3://corpus/raw", OUT, "--engine", "ray")
    assert stored(s3) == local(tmp_path / "out")


def test_a_store_that_can_not_be_reached_fails_the_run_in_one_sentence(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    done = subprocess.run(command("s3://corpus/raw", OUT), capture_output=True, check=False)
    message = done.stderr.decode().strip()
    assert (done.returncode, message.count("\n")) == (3, 0), message
    assert "s3://corpus/out can't be looked up" in message
