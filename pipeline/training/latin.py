"""Invent names, addresses and codes in Latin script.

Treebanks hardly have any, web text is full of them; without these, letters stick to the Chinese beside them.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

SHARE = 0.5  # of the sentences are learnt from once more with an invented word in them
CONSONANTS = (*"bcdfghjklmnprstvwyz", "ch", "gr", "pr", "st", "tr")
VOWELS = (*"aeiou", "ea", "ou", "er", "in", "al")
CODAS = ("", "", *"nstx", "ng", "ly", "ck")
DOMAINS = ("com", "cn", "org", "net", "io")


def with_latin(sentences: Sequence[Sequence[str]], seed: int) -> list[list[str]]:
    """Get copies of some sentences with a word replaced by an invented one in Latin script."""
    rng = random.Random(seed)
    copies = []
    for words in sentences:
        if rng.random() < SHARE:
            copy = list(words)
            copy[rng.randrange(len(copy))] = invent(rng)
            copies.append(copy)
    return copies


def invent(rng: random.Random) -> str:
    """Make up a word in Latin script."""
    name = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(1, 4))) + rng.choice(CODAS)
    capitals = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 5)))
    number = str(rng.randint(1, rng.choice((9, 99, 2100))))
    host = f"{rng.choice(('www.', ''))}{name}.{rng.choice(DOMAINS)}"
    return rng.choice(
        (
            name,
            name,
            name.capitalize(),
            name.capitalize(),
            capitals,
            capitals,
            f"{name.capitalize()}{capitals}",
            f"{name.capitalize()}{name[::-1].capitalize()}",
            f"{capitals}{number}",
            f"{number}{capitals[:1]}",
            f"{rng.choice('aeiux')}{name.capitalize()}",
            f"{name.capitalize()}{number}",
            f"{number}{rng.choice('QHFVABC')}{rng.randint(1, 9)}",
            f"{capitals[:1]}{number}{capitals[-1:]}",
            f"{capitals[:1]}&{capitals[-1:]}",
            f"{capitals[:2]}-{number}",
            f"{capitals[:1]}-{name}",
            f"https://{host}",
            f"http://{host}/{name[::-1]}/{number}.html",
            host,
            f"{name}@{host.removeprefix('www.')}",
        )
    )
