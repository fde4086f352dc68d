"""Rows of a weight table, many numbers side by side in one register: what the compiler does not see by itself.

A row is added up by an instruction or two, where a loop over its numbers takes some thirty. The code is written for any
processor; the compiler makes of it what the one at hand has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FEW, MANY, TELL_LANES = 4, 16, 8
"""How many columns `sum_few`, `sum_many` and `tell_rows` take at once."""
TOLD = ("total", "strongest", "weakest", "above", "head", "body")
"""What `tell_rows` writes; the last is all but what begins near the end."""

_SIZE = ir.IntType(64)
_N_ROWS = 4  # at every place; the module `ngrams` has as many orders


def _vector(bits: int, lanes: int) -> Any:
    return ir.VectorType(ir.IntType(bits), lanes)


def _load_place(context: Any, builder: Any, types_: Any, arguments: Any, place: Any, lanes: int) -> Any:
    """Get the sum of the table rows at one place."""
    table, rows = (context.make_array(types_[k])(context, builder, arguments[k]) for k in (0, 2))
    step = cgutils.unpack_tuple(builder, table.strides)[0]
    width = cgutils.unpack_tuple(builder, rows.shape)[1]
    begin = builder.bitcast(builder.gep(table.data, [arguments[1]]), ir.IntType(8).as_pointer())
    total = None
    for order in range(_N_ROWS):
        at = builder.gep(rows.data, [builder.add(place, builder.mul(width, _SIZE(order)))])
        pointer = builder.gep(begin, [builder.mul(builder.zext(builder.load(at), _SIZE), step)])
        row = builder.load(builder.bitcast(pointer, _vector(16, lanes).as_pointer()))
        row.align = 2
        wide = builder.sext(row, _vector(32, lanes))
        total = wide if total is None else builder.add(total, wide)
    return total


def _pick(builder: Any, sign: str, one: Any, other: Any) -> Any:
    """Get the larger or the smaller of two, lane by lane."""
    return builder.select(builder.icmp_signed(sign, one, other), one, other)


def _step(builder: Any, held: dict[str, Any], here: Any, place: Any, near: Any, n_places: Any) -> dict[str, Any]:
    """Get what is held after one more place."""
    new = {"total": builder.add(held["total"], here)}
    if len(held) > 1:
        new["strongest"] = _pick(builder, ">", held["strongest"], here)
        new["weakest"] = _pick(builder, "<", held["weakest"], here)
        new["above"] = builder.add(held["above"], _pick(builder, ">", here, ir.Constant(here.type, None)))
        is_head = builder.icmp_signed("<", place, near)
        is_body = builder.icmp_signed("<", place, builder.sub(n_places, near))
        new["head"] = builder.select(is_head, new["total"], held["head"])
        new["body"] = builder.select(is_body, new["total"], held["body"])
    return new


def _make(names: tuple[str, ...], lanes: int) -> Any:
    """Get the function that goes through all places and writes what `names` say."""
    long = _vector(32, lanes)

    @intrinsic  # type: ignore[untyped-decorator]
    def add_rows(_typing: Any, table: Any, first: Any, rows: Any, n_places: Any, near: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            n_places, near = arguments[3], arguments[4]
            before = builder.block
            loop, after = (builder.append_basic_block(name) for name in ("places", "told"))
            builder.branch(loop)
            builder.position_at_end(loop)
            place = builder.phi(_SIZE)
            held = {name: builder.phi(long) for name in names}
            here = _load_place(context, builder, signature.args, arguments, place, lanes)
            new = _step(builder, held, here, place, near, n_places)
            following = builder.add(place, _SIZE(1))
            builder.cbranch(builder.icmp_signed("<", following, n_places), loop, after)
            place.add_incoming(_SIZE(0), before)
            place.add_incoming(following, loop)
            for name, phi in held.items():
                phi.add_incoming(ir.Constant(long, None), before)
                phi.add_incoming(new[name], loop)
            builder.position_at_end(after)
            told = context.make_array(signature.args[5])(context, builder, arguments[5])
            begin = builder.bitcast(told.data, long.as_pointer())
            for k, name in enumerate(names):
                builder.store(new[name], builder.gep(begin, [_SIZE(k)])).align = 4
            return context.get_dummy_value()

        return types.void(table, types.int64, rows, types.int64, types.int64, out), generate

    return add_rows


sum_few, sum_many = (_make(TOLD[:1], lanes) for lanes in (FEW, MANY))
"""Add up table rows, FEW or MANY columns of them.

Parameters
----------
table : ndarray of int16, shape (n_rows, n_columns)
first : int
    The first of the columns; the others follow.
rows : ndarray of uint32, shape (4, at least n_places)
    At every place, which rows.
n_places : int
    At least one.
near : int
    How many places at either end are near it.
out : ndarray of int32, shape (n_told, n_lanes)
    Receives the totals.
"""

tell_rows = _make(TOLD, TELL_LANES)
"""As `sum_few`, of TELL_LANES columns; tell of each what `TOLD` names.

These are the total; the largest and the smallest sum at a place; all sums above zero; what comes from the places near
the start, and from all but those near the end.
"""
