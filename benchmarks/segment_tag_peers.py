"""Cut and tag texts by jieba; `benchmarks/segment_tag.py` runs this in the environment of `make bench-peers`.

Reads ``{"text": …}`` lines from standard input; writes a line for each kind of work with the CPU seconds that it took
(the best of several runs).
"""

from __future__ import annotations

import json
import logging
import sys
import time
from importlib.metadata import version

import jieba
import jieba.posseg

N_RUNS = 2
WORK = {"words": lambda text: list(jieba.cut(text)), "words + tags": jieba.posseg.lcut}


def main() -> None:
    """Run jieba on all texts."""
    jieba.setLogLevel(logging.WARNING)
    texts = [json.loads(line)["text"] for line in sys.stdin]
    for name, work in WORK.items():
        work(texts[0][:1000])  # loads the dictionary
        seconds = []
        for _ in range(N_RUNS):
            start = time.process_time()
            for text in texts:
                work(text)
            seconds.append(time.process_time() - start)
        print(json.dumps({"name": f"jieba {version('jieba')} {name}", "seconds": min(seconds)}))


if __name__ == "__main__":
    main()
