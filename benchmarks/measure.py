"""Run a command; print the CPU seconds of all its processes, its wall-clock seconds and their peak memory in MB.

    python benchmarks/measure.py COMMAND ...

CPU time is user and system of every process that was waited for. Memory is the proportional set size of all processes
of the command together, looked at ten times a second, or the peak resident set of the largest one, if that is more.
The command's own output goes to standard error. This is a process of its own because a peak resident set is handed
down to children: measured from a large process, small ones would seem large.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

INTERVAL = 0.1


def processes(session: int) -> list[Path]:
    """Get the folders in /proc of a session's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append(folder)
    return found


def memory(session: int) -> int:
    """Get the proportional set size of a session's processes, in KB."""
    total = 0
    for folder in processes(session):
        try:
            found = re.search(r"^Pss:\s*(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total


def main() -> None:
    """Run the command, look at it till it ends."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(INTERVAL)
    wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, wall, max(peak, used.ru_maxrss) / 1024)
    sys.exit(process.returncode != 0)


if __name__ == "__main__":
    main()
