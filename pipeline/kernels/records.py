"""Where the records of a CSV file end, by the rules of Python's own reader."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LINE_START, FIELD_START, IN_FIELD, IN_QUOTES, QUOTE_IN_QUOTES = range(5)
_QUOTE, _LINE_FEED, _RETURN = ord('"'), ord("\n"), ord("\r")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scan_records(data: NDArray[np.uint8], state: int, delimiter: int, min_cut: int) -> tuple[int, int, int]:
    """Go through bytes of a CSV file until a record ends at `min_cut` or behind it.

    A quote opens a quoted cell only at the cell's start, and within one two quotes stand for one; a line feed or a
    return ends the record anywhere else. Empty lines are no records.

    Parameters
    ----------
    data : uint8 array
        The next bytes of the file.
    state : int
        What the call before gave; ``LINE_START`` at the beginning.
    delimiter : int
        The byte between cells.
    min_cut : int
        From 0 bytes of `data`.

    Returns
    -------
    state : int
    n_records : int
        How many records ended.
    cut : int
        Bytes of `data` up to the record's end; -1 if there is none.
    """
    n_records = 0
    for i in range(len(data)):
        char = data[i]
        if state == IN_QUOTES:
            if char == _QUOTE:
                state = QUOTE_IN_QUOTES
        elif char == _LINE_FEED or char == _RETURN:
            if state != LINE_START:
                n_records += 1
            state = LINE_START
            if n_records and i + 1 >= min_cut:
                return state, n_records, i + 1
        elif char == delimiter:
            state = FIELD_START
        elif char == _QUOTE and state != IN_FIELD:
            state = IN_QUOTES
        else:
            state = IN_FIELD
    return state, n_records, -1
