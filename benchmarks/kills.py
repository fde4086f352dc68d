"""Kill runs at random moments, run them again, and compare every file with that of a run that was left alone.

Local engine: SIGKILL hits in turn all processes at once (as a power cut), the parent alone, and one worker alone. Ray
engine: on a fresh cluster of two nodes on this machine, one node is taken away for good at a random moment, and at a
later one SIGKILL hits the driver; the run goes on on the node that is left. Prints what happened as JSON: `in_work` is
how many kills landed while shards were in work, `same` how many runs ended with the same SHA-256 of every file.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
LOCAL_KILLS = ("all", "parent", "worker")


def make_input(folder: Path, n_megabytes: float) -> None:
    """Write labelled pages, repeated, until they fill a JSONL, a CSV and a Parquet file, a third each."""
    lines = (ROOT / "corpus/labelled/documents.jsonl").read_text(encoding="utf-8").splitlines()
    texts = ["\n".join(line["text"] for line in json.loads(row)["lines"]) for row in lines]
    n_rows = int(n_megabytes * 1e6 / 3 / (sum(len(text.encode()) for text in texts) / len(texts)))
    rows = [{"id": f"d{i}", "text": texts[i % len(texts)]} for i in range(n_rows)]
    folder.mkdir()
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (folder / "b.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["id", "text"])
        table.writeheader()
        table.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "c.parquet", compression="none", row_group_size=200)


def digests(out: Path) -> dict[str, str]:
    """The SHA-256 of every file that a run left."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def command(arguments: argparse.Namespace, source: Path, out: Path, engine: str) -> list[str]:
    """The command line of a run."""
    start = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(source), "--out", str(out)]
    return [*start, "--config", arguments.config, "--workers", "2", "--engine", engine]


def start(call: list[str], **environment: str) -> subprocess.Popen[bytes]:
    """Start a run as the head of a process group of its own."""
    return subprocess.Popen(
        call,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def finish(run: subprocess.Popen[bytes]) -> int:
    """Wait for a run's end; get its exit code, complain of what should not be."""
    said = run.communicate()[1].decode()
    if run.returncode not in (0, -signal.SIGKILL, 3) or "Traceback" in said:
        raise SystemExit(f"exit code {run.returncode}: {said}")
    return run.returncode


def children(process: int) -> list[int]:
    """The processes that a process started, the last one first."""
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in reversed(found.split())]


def n_alive(group: int) -> int:
    """How many processes of a group are left, five seconds after the kill at the latest."""
    end = time.monotonic() + 5
    while True:
        alive = [path for path in Path("/proc").glob("[0-9]*/stat") if _group(path) == group]
        if not alive or time.monotonic() > end:
            return len(alive)
        time.sleep(0.1)


def _group(stat: Path) -> int:
    try:
        state, _, group = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return -1
    return -1 if state == "Z" else int(group)


def look(out: Path) -> dict[str, int]:
    """How many shards are done and in work."""
    work = out / ".zhcorpus"
    drafts = {path.name.split(".")[0] for path in work.glob("documents-*.tmp")}
    return {"done": len(list(work.glob("[0-9]*[0-9].json"))), "in_work": len(drafts)}


def kill_local(run: subprocess.Popen[bytes], what: str) -> bool:
    """Kill all of a run's processes, its parent, or a worker; tell whether there was one."""
    if what == "all":
        os.killpg(run.pid, signal.SIGKILL)
    elif what == "parent":
        run.kill()
    else:
        for child in children(run.pid)[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                return True
        return False
    return True


def wait_until(moment: float, run: subprocess.Popen[bytes]) -> bool:
    """Sleep; tell whether the run is still there."""
    time.sleep(max(0, moment - time.monotonic()))
    return run.poll() is None


def try_local(call: list[str], out: Path, seconds: float, what: str) -> dict[str, Any]:
    """Kill a run once, and run it again."""
    begin = time.monotonic()
    moment = random.uniform(0, seconds)
    run = start(call)
    is_hit = wait_until(begin + moment, run) and kill_local(run, what)
    found = look(out)
    code = finish(run)
    left = n_alive(run.pid)
    again = finish(start(call))
    return {
        "kill": what,
        "at": round(moment, 2),
        "hit": is_hit,
        **found,
        "code": code,
        "left": left,
        "again": again,
    }


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with one CPU each, on this machine."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 (an extra)

    settings = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
    cluster.add_node(**settings)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def try_ray(call: list[str], out: Path, seconds: float) -> list[dict[str, Any]]:
    """Take a node away for good, then kill the driver, then run again on what is left."""
    kills = []
    with two_nodes() as cluster:
        begin = time.monotonic()
        moments = sorted(random.uniform(0, seconds) for _ in range(2))
        run = start(call, RAY_ADDRESS=cluster.address)
        for what, moment in zip(("node", "driver"), moments, strict=True):
            was_running = wait_until(begin + moment, run)
            found = look(out)
            if what == "node":
                cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
            else:
                run.kill()
            kills.append({"kill": what, "at": round(moment, 2), "hit": was_running, **found})
        kills[-1]["code"] = finish(run)
        kills[-1]["again"] = finish(start(call, RAY_ADDRESS=cluster.address))
    return kills


def measure(call: Callable[[Path], list[str]], base: Path, engine: str) -> tuple[dict[str, str], float]:
    """Run twice undisturbed; get the digests, and how long it takes when caches are warm."""
    finish(start(call(base / "whole")))
    begin = time.monotonic()
    with two_nodes() if engine == "ray" else contextlib.nullcontext() as cluster:
        environment = {"RAY_ADDRESS": cluster.address} if cluster else {}
        begin = time.monotonic()
        finish(start(call(base / "timed"), **environment))
        return digests(base / "whole"), time.monotonic() - begin


def main() -> None:
    """Print a line for every kill, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--kills", type=int, default=30, help="so many have to hit a run that is at work")
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--config", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    totals = {"runs": 0, "kills": 0, "in_work": 0, "processes_left": 0, "same": 0}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_input(base / "input", arguments.megabytes)

        def call(out: Path, engine: str = arguments.engine) -> list[str]:
            return command(arguments, base / "input", out, engine)

        expected, seconds = measure(call, base, arguments.engine)
        print(json.dumps({"shards": sum(name.startswith("documents") for name in expected), "seconds": seconds}))
        i = 0
        while totals["kills"] < arguments.kills:  # one that came after the end is none
            out = base / f"out{i}"
            if arguments.engine == "ray":
                kills = try_ray(call(out), out, seconds)
            else:
                kills = [try_local(call(out), out, seconds, LOCAL_KILLS[i % len(LOCAL_KILLS)])]
            is_same = digests(out) == expected and kills[-1]["again"] == 0
            totals["runs"] += 1
            totals["kills"] += sum(kill["hit"] for kill in kills)
            totals["in_work"] += sum(kill["hit"] and kill["in_work"] > 0 for kill in kills)
            totals["processes_left"] += sum(kill.get("left", 0) for kill in kills)
            totals["same"] += is_same
            i += 1
            for kill in kills:
                print(json.dumps({"run": i, **kill, "same": is_same}), flush=True)
            shutil.rmtree(out)
    print(json.dumps(totals))
    sys.exit(totals["same"] != totals["runs"] or totals["processes_left"] > 0)


if __name__ == "__main__":
    main()
