"""Write the card of a segmenter or tagger from what its `meta.json` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from pipeline.weights import META

# By the beginning of a file's name: whose work it is, and its licence.
SOURCES = {
    "gsdsimp-train": (
        "words and names: UNER_Chinese-GSDSIMP (CC BY-SA 4.0); tags: UD_Chinese-GSD r1.4 (CC BY-SA 4.0 since UD v2.5)"
    ),
    "gsdsimp": "UD_Chinese-GSDSimp, CC BY-SA 4.0",
    "uner-pud": "UNER_Chinese-PUD, CC BY-SA 3.0",
    "uner": "UNER_Chinese-GSDSIMP, CC BY-SA 4.0",
    "pud": "UD_Chinese-PUD, CC BY-SA 3.0",
    "hk": "UD_Chinese-HK, CC BY-SA 4.0",
    "cfl": "UD_Chinese-CFL, CC BY-SA 4.0",
    "lctt": "LCTT/TranslateProject, Apache-2.0",
    "cmrc": "CMRC 2018, CC BY-SA 4.0",
    "drcd": "DRCD, CC BY-SA 3.0",
    "xwlb": "broadcast news, DuckBurnIncense/xin-wen-lian-bo; for statistics only, no text of it is in the model",
}
LAYERS = ("words", "upos", "xpos", "names")
PARTS = {
    "test": "GSDSimp test: encyclopaedia",
    "dev": "GSDSimp dev: seen in training",
    "pud": "PUD: both of",
    "pud: news": "PUD: news",
    "pud: encyclopaedia": "PUD: encyclopaedia",
    "hk": "HK: subtitles and meetings",
    "cfl": "CFL: learner essays",
}
UNKNOWN = "no source on record: state it and its licence before you pass the model on"

ABOUT = {
    "segmenter": """# Word segmenter

A linear-chain CRF with the features and files of spacy-pkuseg: `spacy_pkuseg.pkuseg(FOLDER, user_dict=None)` loads it.
`tables.npz` holds the same weights as flat tables; the segment stage reads those alone and finds the same words.

Trained on words of GSDSimp train (tuned on dev, refitted on both) and of four fifths of each further genre, converted
to simplified script. So that letters do not stick to the Chinese beside them, half of the sentences are learnt from
once more with an invented name, address or code in Latin script. A teacher, a CRF that knows besides the mutual
information and accessor variety of character pairs in all plain text, labels up to 800,000 characters of each file of
plain text that may be quoted; what is shipped learns from that too. Test sets and held-out fifths are never trained on.

**Use**: simplified Chinese, sentence by sentence. Words follow UD Chinese-GSD: short units, suffixes apart.
**Limits**: 130,000 gold words of encyclopaedic text, learner essays, subtitles and news are little: rare words of
other fields are cut into smaller ones, and names or codes in Latin script may be cut, or stick to what is beside them
(with the stage's `whole` no run of Latin letters is cut; the treebanks have too little of it to show, F1 is the same to
0.02). Numbers and units are apart, as in GSD. Known failures stand in `tests/cases/words.jsonl`.
""",
    "tagger": """# Tagger of words and names

Two linear-chain CRFs over the same hashed features: pairs of UPOS and XPOS (the tagset of UD Chinese-GSD), and names
(PER, LOC, ORG, as IOB2). `tables.npz` holds 8-bit weights by feature hash; no word stands in it in clear.

Trained on GSDSimp train (tuned on dev, refitted on both); names also on four fifths of PUD. Plain text gives each word
clusters (PPMI, SVD, k-means) and how a first tagger tags it there; for training that tagger never saw the sentences
concerned.

**Use**: on the words of the segmenter beside it.
**Limits**: names of few kinds, from Wikipedia: people in today's news are missed more often than places. 的 is tagged
as GSD does it, SCONJ or PART, which is a coin's toss for people too. No tags of PUD, HK and CFL were learnt, and their
guidelines differ from GSD's, HK's and CFL's most: part of what is missing there is that.
""",
}


def write_card(folder: Path) -> None:
    """Write a model folder's ``CARD.md``."""
    meta = orjson.loads((folder / META).read_bytes())
    card = [ABOUT[meta["kind"]], "## Data", _data_table(meta["data"]), "## Figures (F1 from raw text, percent)"]
    card += [_figures_table(meta["figures"]), LICENCE]
    (folder / "CARD.md").write_text("\n\n".join(part.strip() for part in card) + "\n", encoding="utf-8")


LICENCE = """
`dev` was trained on after tuning and says nothing of new text; `test` is for figures alone. PUD, HK and CFL are the
held-out fifths, 200, 201 and 91 sentences, converted to simplified script. – stands for what nobody annotated there.

## Licence

CC BY-SA 4.0, as the treebanks ask of what is made from them. Attribution: the authors of the data above.
"""


def _data_table(data: Mapping[str, str]) -> str:
    rows = [f"| {name} | {_source(name)} | `{digest[:12]}` |" for name, digest in sorted(data.items())]
    return "\n".join(["| file | source and licence | SHA-256 |", "|---|---|---|", *rows])


def _source(name: str) -> str:
    return next((source for start, source in SOURCES.items() if name.startswith(start)), UNKNOWN)


def _figures_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    layers = [layer for layer in LAYERS if any(layer in row for row in figures.values())]
    head = [f"| | {' | '.join(layers)} |", "|---" * (len(layers) + 1) + "|"]
    order = [part for part in PARTS if part in figures] + sorted(figures.keys() - PARTS.keys())
    rows = [[PARTS.get(part, part), *(str(figures[part].get(layer, "–")) for layer in layers)] for part in order]
    return "\n".join(head + [f"| {' | '.join(row)} |" for row in rows])
