"""Tell the processor what will be read soon, so that it comes into its cache while other work is done."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

READ, KEEP, DATA = 0, 3, 1  # what llvm.prefetch wants to know: not to write; for long; no instructions


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing: Any, array: Any, _index: Any) -> Any:
    """Fetch the beginning of a row of an array; for kernels, where its result is nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        step = cgutils.unpack_tuple(builder, view.strides)[0]
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        begin = builder.bitcast(view.data, pointer)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        hints = [ir.Constant(number, hint) for hint in (READ, KEEP, DATA)]
        builder.call(function, [builder.gep(begin, [builder.mul(arguments[1], step)]), *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
