"""Read annotated sentences: words, tags and names from CoNLL-U and IOB2 files.

A training folder holds ``NAME-train.conllu``, ``NAME-dev.conllu`` and, for figures alone, ``NAME-test.conllu``.
Other ``.conllu`` files are further genres: words are learnt from four fifths of them, the fifth is held out.
Names stand in the last column as ``NER=`` or in ``.iob2`` files, which are paired with sentences by their words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.errors import ConfigError

N_COLUMNS = 10
HELD_OUT_EVERY = 5  # sentence 0, 5, 10 ... of a further genre is never trained on
NAMES = ("PER", "LOC", "ORG")
GENRES = {"pud": {"n": "news", "w": "encyclopaedia"}}  # by how a sentence's id begins, where that tells


@dataclass(frozen=True, slots=True)
class Sentence:
    """One annotated sentence.

    Parameters
    ----------
    text : str
        The raw sentence, white space included.
    words : tuple of str
        The gold words; joined they are `text` but for white space.
    upos, xpos : tuple of str
        Parallel to `words`; ``_`` where the file says nothing.
    names : tuple of str or None
        IOB2 tags parallel to `words`; None where nobody annotated names.
    id : str
        The file's own id.
    """

    text: str
    words: tuple[str, ...]
    upos: tuple[str, ...]
    xpos: tuple[str, ...]
    names: tuple[str, ...] | None = None
    id: str = ""

    def spans(self) -> list[tuple[int, int]]:
        """The words' half-open code-point offsets into `text`."""
        spans, end = [], 0
        for word in self.words:
            start = self.text.index(word, end)
            end = start + len(word)
            spans.append((start, end))
        return spans

    def entities(self) -> list[tuple[int, int, str]]:
        """The names as (start, end, label), in code points of `text`."""
        return name_spans(self.spans(), self.names or ())


@dataclass(frozen=True)
class Treebank:
    """The sentences of a training folder by what they may be used for.

    Parameters
    ----------
    train, dev, test : list of Sentence
        The set proper, by the files' own division.
    more : dict of str to list of Sentence
        The trainable part of each further genre.
    held_out : dict of str to list of Sentence
        The fifth of each further genre that nothing is trained on.
    files : list of Path
        All files that were read.
    """

    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]
    more: dict[str, list[Sentence]] = field(default_factory=dict)
    held_out: dict[str, list[Sentence]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def by_genre(self) -> dict[str, list[Sentence]]:
        """The held-out parts, and of those of several genres each one besides."""
        parts = dict(self.held_out)
        for name, genres in GENRES.items():
            for start, genre in genres.items():
                part = [sentence for sentence in parts.get(name, ()) if sentence.id.startswith(start)]
                if part:
                    parts[f"{name}: {genre}"] = part
        return parts


def name_spans(spans: Iterable[tuple[int, int]], tags: Iterable[str]) -> list[tuple[int, int, str]]:
    """Join words whose IOB2 tags say that they are one name.

    A tag I- that continues nothing opens a name.

    Examples
    --------
    >>> name_spans([(0, 2), (2, 4), (4, 5)], ["B-LOC", "I-LOC", "O"])
    [(0, 4, 'LOC')]
    """
    names: list[tuple[int, int, str]] = []
    previous = "O"
    for (start, end), tag in zip(spans, tags, strict=False):
        if tag.startswith("I-") and previous[2:] == tag[2:]:
            names[-1] = (names[-1][0], end, tag[2:])
        elif tag != "O":
            names.append((start, end, tag[2:]))
        previous = tag
    return names


def read_conllu(path: Path) -> list[Sentence]:
    """Read the sentences of one CoNLL-U file.

    Raises
    ------
    ConfigError
        With file and line, if a row is malformed or the words do not rebuild the text.
    """
    return [_sentence(path, number, comments, rows) for number, comments, rows in _blocks(path, N_COLUMNS)]


def read_iob2(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Read one IOB2 file as a table from a sentence's words to its name tags."""
    table = {}
    for number, _, rows in _blocks(path, 3):
        for row in rows:
            if row[2] != "O" and (row[2][:2] not in ("B-", "I-") or not row[2][2:]):
                raise ConfigError(f"{path}:{number}: name tag {row[2]!r}; expected O, B-LABEL or I-LABEL")
        table[tuple(row[1] for row in rows)] = tuple(row[2] for row in rows)
    return table


def read_folder(folder: Path) -> Treebank:
    """Read a training folder; names from IOB2 files are joined to their sentences.

    Raises
    ------
    ConfigError
        If the folder has no ``*-train.conllu`` or no ``*-dev.conllu``, or a file is malformed.
    """
    parts: dict[str, list[Sentence]] = {"train": [], "dev": [], "test": []}
    genres: dict[str, list[Sentence]] = {}
    files = sorted([*folder.glob("*.conllu"), *folder.glob("*.iob2")])
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in files:
        if path.suffix == ".iob2":
            names.update(read_iob2(path))
    for path in files:
        if path.suffix == ".conllu":
            sentences = [_with_names(sentence, names) for sentence in read_conllu(path)]
            part = path.stem.rsplit("-", 1)[-1]
            if part in parts:
                parts[part] += sentences
            else:
                genres[path.stem] = sentences
    for part in ("train", "dev"):
        if not parts[part]:
            raise ConfigError(f"{folder} has no *-{part}.conllu with sentences; name the folder of a treebank")
    more = {name: [s for i, s in enumerate(part) if i % HELD_OUT_EVERY] for name, part in genres.items()}
    held_out = {name: part[::HELD_OUT_EVERY] for name, part in genres.items()}
    return Treebank(parts["train"], parts["dev"], parts["test"], more, held_out, files)


def _with_names(sentence: Sentence, names: dict[tuple[str, ...], tuple[str, ...]]) -> Sentence:
    if sentence.names is not None:
        return sentence
    return replace(sentence, names=names.get(sentence.words))


def _blocks(path: Path, min_columns: int) -> Iterator[tuple[int, dict[str, str], list[list[str]]]]:
    """Yield (first line number, comments, rows) of every sentence."""
    comments: dict[str, str] = {}
    rows: list[list[str]] = []
    first = 1
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n")  # noqa: PLW2901 - the stripped line is the line
            if not line:
                if rows:
                    yield first, comments, rows
                comments, rows = {}, []
            elif line.startswith("#"):
                key, _, value = line[1:].partition("=")
                comments[key.strip()] = value.strip()
            else:
                row = line.split("\t")
                if len(row) < min_columns or not row[1]:
                    raise ConfigError(
                        f"{path}:{number}: {len(row)} columns, expected {min_columns} with a word in the second, "
                        "separated by tabs"
                    )
                first = number if not rows else first
                if row[0].isdecimal():  # neither a range (1-2) nor an empty node (1.1)
                    rows.append(row)
    if rows:
        yield first, comments, rows


def _sentence(path: Path, number: int, comments: dict[str, str], rows: list[list[str]]) -> Sentence:
    words = tuple(row[1] for row in rows)
    misc = [dict(item.partition("=")[::2] for item in row[9].split("|")) for row in rows]
    joined = "".join(
        word + ("" if fields.get("SpaceAfter") == "No" else " ") for word, fields in zip(words, misc, strict=True)
    )
    text = comments.get("text", joined.rstrip())
    if "".join(text.split()) != "".join("".join(words).split()):
        raise ConfigError(f"{path}:{number}: the words give {''.join(words)[:40]!r}, the text says {text[:40]!r}")
    names = tuple(fields.get("NER", "") for fields in misc)
    upos, xpos = (tuple(row[column] for row in rows) for column in (3, 4))
    return Sentence(text, words, upos, xpos, names if all(names) else None, comments.get("sent_id", ""))
