"""What a line looks like, where it stands and what stands around it: plain numbers, line by line.

All functions take the lines of a whole batch of documents; `bounds` says which lines are one document's, and nothing
ever looks over such a border.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray

Points = NDArray[np.uint32]
Bounds = NDArray[np.int64]

OUTSIDE = np.float32(-30.0)  # what a neighbour beyond the document's edge counts as: below every real score

(OTHER, HAN, DIGIT, LATIN, STOP, COMMA, COLON, OPEN, CLOSE, QUOTE, SPACE, BAR, DASH, SYMBOL, DOT, AT) = range(16)

_MARKS = {
    STOP: "。！？!?…；;",
    COMMA: "，、,",
    COLON: "：:",
    OPEN: "（(【[《〈「『{",
    CLOSE: "）)】]》〉」』}",
    QUOTE: "“”\"‘’'",
    SPACE: " \u3000\u00a0\t",
    BAR: "|｜/\\>»<«›·•丨‧・→",
    DASH: "-—–_~=*#+",
    DOT: ".．",
    AT: "@©®℗",
}


def _char_classes() -> NDArray[np.uint8]:
    """The class of every code point of the basic plane."""
    classes = np.zeros(0x10000, dtype=np.uint8)
    for first, last, name in (
        (0x30, 0x39, DIGIT),
        (0xFF10, 0xFF19, DIGIT),
        (0x41, 0x5A, LATIN),
        (0x61, 0x7A, LATIN),
        (0xC0, 0x24F, LATIN),
        (0xFF21, 0xFF3A, LATIN),
        (0xFF41, 0xFF5A, LATIN),
        (0x2010, 0x205E, DASH),
        (0x2190, 0x2BFF, SYMBOL),
        (0xE000, 0xF8FF, SYMBOL),
        (0x3400, 0x4DBF, HAN),
        (0x4E00, 0x9FFF, HAN),
        (0xF900, 0xFAFF, HAN),
    ):
        classes[first : last + 1] = name
    for name, marks in _MARKS.items():
        for mark in marks:
            classes[ord(mark)] = name
    return classes


CHAR_CLASSES = _char_classes()

SHAPE_NAMES = (
    "log_chars", "han", "digit", "latin", "stop", "comma", "colon", "open", "quote", "space", "bar", "dash", "symbol",
    "n_stops", "n_commas", "n_bars", "n_spaces", "ends_stop", "ends_colon", "ends_close", "ends_comma", "ends_han",
    "ends_digit", "starts_open", "starts_digit", "starts_dash", "starts_symbol", "starts_latin", "starts_quote",
    "colon_at", "longest_digits", "longest_latin", "longest_han", "has_at", "first_piece", "dots", "repeats",
)  # fmt: skip


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def class_of(point: Any, classes: Any) -> Any:
    """The class of any code point; beyond the basic plane: ideographs, or symbols."""
    if point < 0x10000:
        return classes[point]
    return HAN if point >= 0x20000 else SYMBOL


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe_spans(points: Points, spans: IntArray, classes: NDArray[np.uint8], out: FloatArray) -> None:
    """Fill `out` with the shape of every span.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Code points as they are, not folded.
    spans : ndarray of int32, shape (n_spans, 2)
        None empty.
    classes : ndarray of uint8, shape (65536,)
    out : ndarray of float32, shape (n_spans, len(SHAPE_NAMES))
    """
    counts = np.zeros(16, dtype=np.int64)
    longest = np.zeros(16, dtype=np.int64)
    begins = np.zeros(16, dtype=np.int64)
    runs = np.empty(len(points), dtype=np.int64)  # of one class: where each begins, times 16, and its class
    for s in range(len(spans)):
        own = points[spans[s, 0] : spans[s, 1]]
        n = len(own)
        n_runs, before = 0, np.int64(-1)
        for i in range(n):  # without a branch: where a run ends can't be foreseen
            kind = np.int64(class_of(own[i], classes))
            runs[n_runs] = i << 4 | kind
            n_runs += kind != before
            before = kind
        counts[:] = 0
        longest[:] = 0
        begins[:] = n
        end = n
        for k in range(n_runs - 1, -1, -1):  # backwards: so the first of a class is what stays
            kind, begin = runs[k] & 15, runs[k] >> 4
            counts[kind] += end - begin
            longest[kind] = max(longest[kind], end - begin)
            begins[kind] = end = begin
        repeats, after = np.int32(0), own[1:]
        for i in range(len(after)):
            repeats += np.int32(own[i] == after[i])
        first, last = class_of(own[0], classes), class_of(own[n - 1], classes)
        f = out[s]
        f[0] = math.log(n + 1.0)
        for j, c in enumerate((HAN, DIGIT, LATIN, STOP, COMMA, COLON, OPEN, QUOTE, SPACE, BAR, DASH, SYMBOL)):
            f[1 + j] = counts[c] / n
        f[13], f[14], f[15], f[16] = counts[STOP], counts[COMMA], counts[BAR], counts[SPACE]
        for j, c in enumerate((STOP, COLON, CLOSE, COMMA, HAN, DIGIT)):
            f[17 + j] = last == c
        if last == QUOTE or last == CLOSE:  # “……。” ends a sentence too
            f[17] = n > 1 and class_of(own[n - 2], classes) == STOP
        for j, c in enumerate((OPEN, DIGIT, DASH, SYMBOL, LATIN, QUOTE)):
            f[23 + j] = first == c
        f[29] = min(begins[COLON], 20) if counts[COLON] else 20
        f[30], f[31], f[32] = longest[DIGIT], longest[LATIN], min(longest[HAN], 40)
        f[33] = counts[AT]
        f[34] = min(begins[SPACE], begins[BAR], 40)
        f[35] = counts[DOT]
        f[36] = repeats / n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def smooth_columns(
    values: FloatArray, bounds: Bounds, decays: NDArray[np.float64], outside: np.float32, out: FloatArray
) -> None:
    """Fill `out` with the running means of the lines before and of the lines after, the line itself left out.

    Parameters
    ----------
    values : ndarray of float32, shape (n_lines, n_columns)
    bounds : ndarray of int64, shape (n_docs + 1,)
    decays : ndarray of float64, shape (n_decays,)
        The weight of a line one step further away; 1 for the plain mean.
    outside : float32
        What stands where there is none.
    out : ndarray of float32, shape (n_lines, 2 * n_columns * n_decays)
        By the first decay before, then after, then by the next.
    """
    n_columns = values.shape[1]
    totals = np.empty((len(decays), n_columns), dtype=np.float64)
    weights = np.empty(len(decays), dtype=np.float64)
    for d in range(len(bounds) - 1):
        first, last = bounds[d], bounds[d + 1]
        for side in range(2):
            totals[:] = 0.0
            weights[:] = 0.0
            for step in range(last - first):
                i = first + step if side == 0 else last - 1 - step
                for q in range(len(decays)):
                    total, weight, decay = totals[q], weights[q], decays[q]
                    mean = out[i, (2 * q + side) * n_columns : (2 * q + side + 1) * n_columns]
                    for k in range(n_columns):
                        mean[k] = total[k] / weight if step > 0 else outside
                        total[k] = total[k] * decay + values[i, k]
                    weights[q] = weight * decay + 1.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_context(values: FloatArray, bounds: Bounds, out: FloatArray) -> None:
    """Fill `out` with a score that adds up over a sentence, its two neighbours and its page.

    Parameters
    ----------
    values : ndarray of float32, shape (n_sents, 4)
        What each sentence contributes to its own score, to that of the one after it, to that of the one before it,
        and, as a mean, to all of its page.
    bounds : ndarray of int64, shape (n_docs + 1,)
    out : ndarray of float32, shape (n_sents,)
    """
    for d in range(len(bounds) - 1):
        page = 0.0
        for i in range(bounds[d], bounds[d + 1]):
            page += values[i, 3]
        page /= max(bounds[d + 1] - bounds[d], 1)
        for i in range(bounds[d], bounds[d + 1]):
            before = values[i - 1, 1] if i > bounds[d] else 0.0
            after = values[i + 1, 2] if i + 1 < bounds[d + 1] else 0.0
            out[i] = values[i, 0] + before + after + page


PLACE_NAMES = ("in_line", "to_line_end", "line_sents", "from_start", "to_end", "place", "log_sents")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place_sents(lines: NDArray[np.int64], bounds: Bounds, out: FloatArray) -> None:
    """Fill `out` with where sentences stand in their line and document, other sentences left out.

    Parameters
    ----------
    lines : ndarray of int64, shape (n_sents,)
        The number of each sentence's line.
    bounds : ndarray of int64, shape (n_docs + 1,)
        Sentences of each document.
    out : ndarray of float32, shape (n_sents, len(PLACE_NAMES))
    """
    for d in range(len(bounds) - 1):
        first, last = bounds[d], bounds[d + 1]
        size, start, end = last - first, first, first
        log_size = math.log(max(size, 1))
        for i in range(first, last):
            if i == end:
                start = i
                while end < last and lines[end] == lines[i]:
                    end += 1
            f = out[i]
            f[0], f[1], f[2] = i - start, end - 1 - i, end - start
            f[3], f[4] = min(i - first, 50), min(last - 1 - i, 50)
            f[5], f[6] = (i - first) / size, log_size


POSITION_NAMES = (
    "from_start", "from_end", "place", "chars_before", "chars_after", "prose_before", "prose_after", "to_prose_back",
    "to_prose_ahead", "doc_lines", "doc_chars", "doc_prose", "doc_mean", "in_doc", "in_prose", "twins", "same_head",
    "same_tail", "length_step_back", "length_step_ahead", "outside_prose",
)  # fmt: skip

_PROSE_CHARS = 30  # a line of so many characters that ends like a sentence is taken for running text
_BUCKETS = 1 << 13
_SLOT = np.uint64(64 - 13)
_N_MARKS = 1 << 10


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_twins(points: Points, lines: IntArray, first: int, last: int, out: FloatArray) -> None:
    """How many other lines of the document read the same."""
    n_slots = 16
    while n_slots < 4 * (last - first):
        n_slots *= 2
    keys = np.zeros(n_slots, dtype=np.uint64)
    tally = np.zeros(n_slots + 1, dtype=np.int32)
    tally[n_slots] = 1  # of lines that are like no other
    slots = np.full(last - first, n_slots, dtype=np.int64)
    marks = np.empty(last - first, dtype=np.int64)
    n_marked = np.zeros(_N_MARKS, dtype=np.int32)
    for i in range(first, last):
        start, end = lines[i, 0], lines[i, 1]
        marks[i - first] = ((end - start) * 31 + points[start]) * 31 + points[end - 1] & (_N_MARKS - 1)
        n_marked[marks[i - first]] += 1
    for i in range(first, last):
        if n_marked[marks[i - first]] == 1:
            continue  # none is as long, with the same characters at both ends: it need not be read
        key = np.uint64(0x51)
        for j in range(lines[i, 0], lines[i, 1]):
            key = (key ^ np.uint64(points[j])) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(31)
        key |= np.uint64(1)
        slot = np.int64(key >> np.uint64(20)) & (n_slots - 1)
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & (n_slots - 1)
        keys[slot] = key
        tally[slot] += 1
        slots[i - first] = slot
    for i in range(first, last):
        out[i, 15] = min(tally[slots[i - first]] - 1, 5)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_cohesion(
    points: Points, lines: IntArray, first: int, last: int, prose: NDArray[Any], seen: NDArray[Any], out: FloatArray
) -> None:
    """Which share of a line's character pairs stands elsewhere in the document, and in its running text.

    `seen` has a number for each bucket of pairs: the latest line that has one, times 16, and four bits that say whether
    they stand in one line of the document, in two, in one of its running text, in two.
    """
    seen[:] = 0
    start = lines[first, 0]
    chars = points[start : lines[last - 1, 1]]
    chars_after = chars[1:]
    buckets = np.empty(len(chars), dtype=np.uint16)
    for j in range(len(chars_after)):  # apart from what follows: many to a register
        pair = (np.uint64(chars[j]) << np.uint64(21)) ^ np.uint64(chars_after[j])
        buckets[j] = (pair * np.uint64(0x9E3779B97F4A7C15)) >> _SLOT
    for i in range(first, last):
        line = np.int32(i - first + 1 << 4)
        told = np.int32(15 if prose[i] else 3)
        for bucket in buckets[lines[i, 0] - start : lines[i, 1] - 1 - start]:
            known = seen[bucket]
            fresh = line | ((known | (known << np.int32(1) | np.int32(5)) & told) & np.int32(15))
            seen[bucket] = known if known >= line else fresh
    for i in range(first, last):
        n, here, in_prose = min(lines[i, 1] - 1 - lines[i, 0], 60), 0, 0
        begin = lines[i, 0] - start
        for bucket in buckets[begin : begin + n]:
            here += seen[bucket] >> 1 & 1
            in_prose += seen[bucket] >> (2 + prose[i]) & 1
        out[i, 13] = here / n if n else -1.0
        out[i, 14] = in_prose / n if n else -1.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_places(lines: IntArray, first: int, last: int, prose: NDArray[Any], out: FloatArray) -> None:
    """Distances to both ends and to the running text, and the document's own measures."""
    total, total_prose, n_prose = 0, 0, 0
    first_prose, last_prose = last, first - 1
    for i in range(first, last):
        n = lines[i, 1] - lines[i, 0]
        total += n
        total_prose += n * prose[i]
        n_prose += prose[i]
        if prose[i]:
            first_prose = min(first_prose, i)
            last_prose = i
    chars, chars_prose, back, ahead = 0, 0, 99, 99
    for i in range(first, last):
        n = lines[i, 1] - lines[i, 0]
        f = out[i]
        f[0], f[1] = min(i - first, 60), min(last - 1 - i, 60)
        f[2] = (i - first) / max(last - 1 - first, 1)
        f[3], f[4] = chars / total, (total - chars - n) / total
        f[5] = chars_prose / total_prose if total_prose else -1.0
        chars += n
        chars_prose += n * prose[i]
        f[6] = (total_prose - chars_prose) / total_prose if total_prose else -1.0
        f[7] = back
        back = 1 if prose[i] else min(back + 1, 99)
        f[9], f[10] = math.log(last - first), math.log(total)
        f[11], f[12] = total_prose / total, math.log(total / (last - first))
        f[20] = 0.0 if n_prose == 0 else max(min(i - last_prose, 60), 0) - max(min(first_prose - i, 60), 0)
    for i in range(last - 1, first - 1, -1):
        out[i, 8] = ahead
        ahead = 1 if prose[i] else min(ahead + 1, 99)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_steps(points: Points, lines: IntArray, first: int, last: int, out: FloatArray) -> None:
    """Likeness with the lines next to it: same first or last character, step of length."""
    for i in range(first, last):
        n = lines[i, 1] - lines[i, 0]
        f = out[i]
        f[16], f[17], f[18], f[19] = 0.0, 0.0, OUTSIDE, OUTSIDE
        for side in range(2):
            j = i - 1 + 2 * side
            if j < first or j >= last:
                continue
            f[16] += points[lines[i, 0]] == points[lines[j, 0]]
            f[17] += points[lines[i, 1] - 1] == points[lines[j, 1] - 1]
            f[18 + side] = math.log((n + 1.0) / (lines[j, 1] - lines[j, 0] + 1.0))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place_lines(points: Points, lines: IntArray, bounds: Bounds, ends_stop: FloatArray, out: FloatArray) -> None:
    """Fill `out` with where every line stands in its document.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    lines : ndarray of int32, shape (n_lines, 2)
        None empty.
    bounds : ndarray of int64, shape (n_docs + 1,)
    ends_stop : ndarray of float32, shape (n_lines,)
        Whether the line ends like a sentence.
    out : ndarray of float32, shape (n_lines, len(POSITION_NAMES))
    """
    prose = np.zeros(len(lines), dtype=np.int64)
    for i in range(len(lines)):
        prose[i] = ends_stop[i] > 0 and lines[i, 1] - lines[i, 0] >= _PROSE_CHARS
    seen = np.empty(_BUCKETS, dtype=np.int32)
    for d in range(len(bounds) - 1):
        first, last = bounds[d], bounds[d + 1]
        if first == last:
            continue
        _fill_places(lines, first, last, prose, out)
        _fill_cohesion(points, lines, first, last, prose, seen, out)
        _fill_twins(points, lines, first, last, out)
        _fill_steps(points, lines, first, last, out)
