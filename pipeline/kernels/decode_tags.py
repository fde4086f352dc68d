"""Decode tags and names of words: hashed features, one row of weights a feature, two Viterbi searches.

Arrays in, arrays out. A row holds the weights of every tag, then of every name tag, so that both searches share the
look-ups. Weights are small integers: sums are exact, whatever their order. What makes it fast is what is not done:

- features that look at one word are summed once a word, and remembered (`Memo`);
- features that look at the same class of two or three words have their rows where the classes say, without a hash;
- a search goes on only from tags that are not too far behind the best to win.

A sentence of more than `MAX_TOKENS` words is decoded in pieces of that many, so that memory stays bounded; a name
does not reach over such a border.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.decode import N_BMP, Codes, Ints
from pipeline.kernels.features import (
    COARSE,
    EDGE,
    N_CLASSES,
    N_PLACES,
    N_VIEWS,
    OUTSIDE,
    Hashes,
    Lexicon,
    mix,
    view_word,
)
from pipeline.kernels.perfect import mark_of, slot_of
from pipeline.kernels.prefetch import prefetch
from pipeline.kernels.tag_plan import N_COLUMNS, N_EDGES, Plan, Sums, Tables, make_plan

MAX_TOKENS = 4096
MEMO = 32768  # words remembered; 4,000 cover 95 of 100 in technology articles, 16,000 99
UNROLL = 4  # rows added at a time


class Memo(NamedTuple):
    """What was worked out of words already met; the words `0` to `N_EDGES - 1` stand for edges.

    Parameters
    ----------
    keys, words : ndarray of uint64, int32
        Open addressing from a word's hash to its number; a key 0 is an empty slot.
    size : ndarray of int64, shape (1,)
        How many words there are.
    views : ndarray of uint64, shape (size, N_VIEWS)
        What templates see of each.
    classes : ndarray of int32, shape (size, N_CLASSES)
        The numbers of its classes.
    sums : ndarray of int16, shape (size * N_PLACES, N_COLUMNS)
        The sums of the templates that look at it alone, for a word two behind it, one behind it, and so on.
    """

    keys: Hashes
    words: Ints
    size: NDArray[np.int64]
    views: Hashes
    classes: Ints
    sums: Sums


class Decoder:
    """Finds the tags of words, and the names among them.

    Parameters
    ----------
    lexicon : Lexicon
    tables : Tables
    memory : int
        How many words to remember; more than any sentence has.
    """

    def __init__(self, lexicon: Lexicon, tables: Tables, memory: int = MEMO) -> None:
        self.memory = memory
        self.lexicon = lexicon
        self.tables = tables
        self.plan = make_plan(lexicon, tables)
        self._memos: list[Memo] = []  # those that no thread works with at the moment

    def decode(self, codes: Codes, tokens: Ints, sents: Ints) -> tuple[NDArray[np.int16], Ints]:
        """Get the tags of words, and the names among them.

        Parameters
        ----------
        codes : ndarray of uint32, shape (n_chars,)
        tokens : ndarray of int32, shape (n_tokens, 2)
            Half-open offsets into `codes`.
        sents : ndarray of int32, shape (n_sents, 2)
            Half-open ranges of tokens.

        Returns
        -------
        tags : ndarray of int16, shape (n_tokens,)
        names : ndarray of int32, shape (n_names, 3)
            First token, token after the last, and number of the label.
        """
        pieces = _cut_long(sents)
        longest = int((pieces[:, 1] - pieces[:, 0]).max(initial=0))
        try:
            memo = self._memos.pop()
        except IndexError:
            memo = _make_memo(self.memory)
        tags, name_tags = _decode(codes, tokens, pieces, self.lexicon, self.plan, memo, longest)
        self._memos.append(memo)
        return tags, _join_names(name_tags, pieces)


def _cut_long(sents: Ints) -> Ints:
    """Cut ranges longer than `MAX_TOKENS` into pieces.

    Examples
    --------
    >>> _cut_long(np.array([[0, 5], [5, 5000]], np.int32)).tolist()
    [[0, 5], [5, 4101], [4101, 5000]]
    """
    if not np.any(sents[:, 1] - sents[:, 0] > MAX_TOKENS):
        return sents
    pieces = [
        (begin, min(begin + MAX_TOKENS, end))
        for start, end in sents.tolist()
        for begin in range(start, end, MAX_TOKENS)
    ]
    return np.array(pieces, np.int32).reshape(-1, 2)


def _make_memo(size: int) -> Memo:
    n_slots = 1 << (2 * size - 1).bit_length()
    return Memo(
        np.zeros(n_slots, np.uint64),
        np.zeros(n_slots, np.int32),
        np.zeros(1, np.int64),
        np.zeros((size, N_VIEWS), np.uint64),
        np.zeros((size, N_CLASSES), np.int32),
        np.zeros((size * N_PLACES, N_COLUMNS), np.int16),
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(codes: Codes, tokens: Ints, sents: Ints, lexicon: Lexicon, plan: Plan, memo: Memo, longest: int) -> Any:
    n_tags, n_names = len(plan.tag_edges), len(plan.name_edges)
    tags = np.zeros(len(tokens), np.int16)
    name_tags = np.zeros(len(tokens), np.int16)
    words = np.empty(longest + N_EDGES, np.int32)
    scores = np.empty((longest, N_COLUMNS), np.int16)  # some 60 features of 8 bits fit well into 16
    slots = np.empty(longest * len(plan.hashed), np.int32)
    wanted = np.empty(longest * len(plan.hashed), np.uint32)
    found = np.empty(longest * (len(plan.hashed) + len(plan.dense) + UNROLL), np.int32)
    ends = np.empty(longest, np.int32)
    back = np.empty((longest, max(n_tags, n_names)), np.uint8)
    for s in range(len(sents)):
        begin, end = sents[s, 0], sents[s, 1]
        n = end - begin
        if n == 0:
            continue
        if memo.size[0] == 0 or memo.size[0] + n > len(memo.views):
            _forget(plan, memo)
        for i in range(EDGE):
            words[i], words[EDGE + n + i] = i, EDGE + i
        if _recall(codes, tokens, begin, end, lexicon.fold, memo.keys, memo.words, words) > 0:
            _learn(codes, tokens, begin, lexicon, plan, memo, words[EDGE : EDGE + n])
        _find_slots(words, n, plan.hashed, memo.views, plan.shifts, plan.marks, slots, wanted)
        for i in range(n + N_EDGES):
            for p in range(N_PLACES):
                prefetch(memo.sums, np.int64(words[i] * N_PLACES + p))
        _find_rows(words, n, plan, memo.classes, slots, wanted, found, ends)
        _sum_rows(words, n, memo, plan, found, ends, scores)
        _search(scores, 0, n, plan.tag_edges, plan.tag_reach, back, tags, begin)
        _search(scores, n_tags, n, plan.name_edges, plan.name_reach, back, name_tags, begin)
    return tags, name_tags


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _recall(
    codes: Codes, tokens: Ints, begin: int, end: int, fold: NDArray[np.uint16], keys: Hashes, numbers: Ints, words: Ints
) -> int:
    """Fill the numbers of a sentence's words, -1 for those not yet met, and get how many these are."""
    mask = np.uint64(len(keys) - 1)
    n_new = 0
    for i in range(begin, end):
        key = np.uint64(tokens[i, 1] - tokens[i, 0])  # as `hash_word` does it
        for j in range(tokens[i, 0], tokens[i, 1]):
            code = codes[j]
            key = mix(key, fold[code] if code < N_BMP else code)
        key |= np.uint64(1)
        at = (key >> np.uint64(20)) & mask
        while keys[at] != key and keys[at] != 0:
            at = (at + np.uint64(1)) & mask
        known = keys[at] == key
        words[EDGE + i - begin] = numbers[at] if known else -1
        n_new += not known
    return n_new


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _learn(codes: Codes, tokens: Ints, begin: int, lexicon: Lexicon, plan: Plan, memo: Memo, words: Ints) -> None:
    """Work out what there is to know of the words that have no number yet, and give them one."""
    mask = np.uint64(len(memo.keys) - 1)
    for i in range(len(words)):
        if words[i] >= 0:
            continue
        word = memo.size[0]
        view = memo.views[word]
        view_word(codes, tokens[begin + i, 0], tokens[begin + i, 1], lexicon, view)
        at = (view[0] >> np.uint64(20)) & mask
        while memo.keys[at] != view[0] and memo.keys[at] != 0:
            at = (at + np.uint64(1)) & mask
        if memo.keys[at] == 0:
            memo.keys[at] = view[0]
            memo.words[at] = word
            memo.size[0] = word + 1
            for k in range(N_CLASSES):
                memo.classes[word, k] = plan.numbers[k, np.int64(view[COARSE + k])]
            _sum_single(view, plan, memo.sums[word * N_PLACES : (word + 1) * N_PLACES])
        words[i] = memo.words[at]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _forget(plan: Plan, memo: Memo) -> None:
    """Forget all words; those that stand for edges come first."""
    memo.keys[:] = 0
    memo.size[0] = N_EDGES
    for i in range(N_EDGES):
        memo.views[i] = OUTSIDE + np.uint64(i)
        for k in range(N_CLASSES):
            memo.classes[i, k] = plan.n_numbers[k] + i
        _sum_single(memo.views[i], plan, memo.sums[i * N_PLACES : (i + 1) * N_PLACES])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_single(view: Hashes, plan: Plan, sums: Sums) -> None:
    """Sum the weights of the templates that look at one word, by its place relative to the word that is tagged."""
    single, shifts, marks, rows = plan.single, plan.shifts, plan.marks, plan.rows
    found = np.empty(len(single), np.int64)
    wanted = np.empty(len(single), np.uint32)
    for t in range(len(single)):
        key = np.uint64(single[t, 0])
        for p in range(single[t, 1]):
            key = mix(key, view[single[t, 2 + 2 * p]])
        found[t] = slot_of(key, shifts[key & np.uint64(len(shifts) - 1)], len(marks))
        wanted[t] = mark_of(key)
        prefetch(marks, found[t])
    for t in range(len(single)):
        found[t] = found[t] if marks[found[t]] == wanted[t] else -1
        prefetch(rows, max(found[t], 0))
    sums[:] = 0
    for t in range(len(single)):
        if found[t] >= 0:
            for k in range(N_COLUMNS):
                sums[EDGE + single[t, 3], k] += np.int16(rows[found[t], k])


# A word's features are looked up in three steps, each for a whole sentence: what one step will read, the step before
# has asked the memory for, so that hundreds of look-ups are under way at once.


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_slots(
    words: Ints,
    n: int,
    templates: Ints,
    views: Hashes,
    shifts: NDArray[np.uint16],
    marks: NDArray[np.uint32],
    slots: Ints,
    wanted: NDArray[np.uint32],
) -> None:
    """Fill the slot of every feature that has to be hashed, and what its mark would be."""
    bucket = np.uint64(len(shifts) - 1)
    at = 0
    for i in range(n):
        for t in range(len(templates)):
            key = mix(np.uint64(templates[t, 0]), views[words[EDGE + i + templates[t, 3]], templates[t, 2]])
            for p in range(1, templates[t, 1]):
                key = mix(key, views[words[EDGE + i + templates[t, 3 + 2 * p]], templates[t, 2 + 2 * p]])
            slot = slot_of(key, shifts[key & bucket], len(marks))
            prefetch(marks, slot)
            slots[at] = slot
            wanted[at] = mark_of(key)
            at += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_rows(
    words: Ints, n: int, plan: Plan, classes: Ints, slots: Ints, wanted: NDArray[np.uint32], found: Ints, ends: Ints
) -> None:
    """Turn slots into the rows of each word, one after the other; `ends` says where those of a word end."""
    dense, marks, rows, n_hashed = plan.dense, plan.marks, plan.rows, len(plan.hashed)
    at = 0
    for i in range(n):
        for j in range(i * n_hashed, (i + 1) * n_hashed):
            slot = slots[j]
            known = marks[slot] == wanted[j]
            found[at] = slot
            at += known
            prefetch(rows, np.int64(slot) if known else np.int64(0))
        for t in range(len(dense)):
            k = dense[t, 0]
            first = classes[words[EDGE + i + dense[t, 1]], k]
            second = classes[words[EDGE + i + dense[t, 2]], k]
            found[at] = dense[t, 3] + first * dense[t, 4] + second * dense[t, 5]
            prefetch(rows, np.int64(found[at]))
            at += 1
        while at % UNROLL:
            found[at] = len(rows) - 1
            at += 1
        ends[i] = at


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_rows(words: Ints, n: int, memo: Memo, plan: Plan, found: Ints, ends: Ints, scores: Sums) -> None:
    """Fill the scores of a sentence."""
    sums, classes, rows, triples, k = memo.sums, memo.classes, plan.rows, plan.triples, plan.triple[0]
    at = 0
    for i in range(n):
        x, y, z = 0, 0, 0
        if k >= 0:
            x, y, z = classes[words[i + 1], k], classes[words[i + 2], k], classes[words[i + 3], k]
        a, b, c = words[i] * N_PLACES, words[i + 1] * N_PLACES + 1, words[i + 2] * N_PLACES + 2
        d, e = words[i + 3] * N_PLACES + 3, words[i + 4] * N_PLACES + 4
        for column in range(N_COLUMNS):
            scores[i, column] = (
                sums[a, column] + sums[b, column] + sums[c, column] + sums[d, column] + sums[e, column]
                + triples[x, y, z, column]
            )  # fmt: skip
        while at < ends[i]:
            row, row1, row2, row3 = found[at], found[at + 1], found[at + 2], found[at + 3]
            for column in range(N_COLUMNS):
                scores[i, column] += np.int16(
                    rows[row, column] + rows[row1, column] + rows[row2, column] + rows[row3, column]
                )
            at += UNROLL


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _top(values: Ints) -> Any:
    """Get the highest value and its first place, by loops that become vector instructions."""
    top = values[0]
    for a in range(1, len(values)):
        top = max(top, values[a])
    first = len(values)
    for a in range(len(values)):
        first = min(first, a if values[a] == top else len(values))
    return top, first


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _search(
    scores: Sums, column: int, n: int, edges: Ints, reach: Ints, back: NDArray[np.uint8], best: Sums, begin: int
) -> None:
    """Viterbi: fill `best` from `begin` with the tags of the highest sum; among equals the first tag wins.

    The scores of `n` words are in the columns from `column`.
    """
    k = len(edges)
    reached = np.empty(k, np.int32)
    following = np.empty(k, np.int32)
    chosen = np.empty(k, np.int32)
    alive = np.empty(k + 1, np.int32)
    for b in range(k):
        reached[b] = scores[0, column + b]
    for i in range(1, n):
        top, first = _top(reached)
        n_alive = 0
        for a in range(k):
            n_alive += reached[a] - top >= reach[first, a]
        if n_alive == 1:  # as nearly always
            for b in range(k):
                reached[b] = top + edges[first, b] + scores[i, column + b]
                back[i, b] = first
            continue
        n_alive = 0
        for a in range(k):
            alive[n_alive] = a
            n_alive += reached[a] - top >= reach[first, a]
        for b in range(k):
            following[b] = reached[alive[0]] + edges[alive[0], b]
            chosen[b] = alive[0]
        for j in range(1, n_alive):
            a = alive[j]
            for b in range(k):
                value = reached[a] + edges[a, b]
                better = value > following[b]
                chosen[b] = a if better else chosen[b]
                following[b] = value if better else following[b]
        for b in range(k):
            reached[b] = following[b] + scores[i, column + b]
            back[i, b] = chosen[b]
    tag = np.argmax(reached)
    for i in range(n - 1, -1, -1):
        best[begin + i] = tag
        tag = np.int64(back[i, tag])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join_names(name_tags: NDArray[np.int16], sents: Ints) -> Ints:
    """Join B- and I- tags of one label to names; an I- that continues nothing opens one."""
    names = np.empty((len(name_tags), 3), np.int32)
    n = 0
    for s in range(len(sents)):
        previous = np.int64(0)
        for i in range(sents[s, 0], sents[s, 1]):
            tag = np.int64(name_tags[i])
            label = (tag - 1) // 2
            if tag > 0:
                if tag % 2 == 0 and previous > 0 and (previous - 1) // 2 == label:
                    names[n - 1, 1] = i + 1
                else:
                    names[n, 0], names[n, 1], names[n, 2] = i, i + 1, label
                    n += 1
            previous = tag
    return names[:n].copy()
