"""`add_panels`: products of small matrices inside compiled kernels, of any size, without a compilation for each.

The products of `products` have their sizes as constants, which is best where one architecture is trained for minutes;
but every architecture costs a compilation. Here sizes are arguments. What has to be constant for speed is the tile of
the result that stays in registers while the inner dimension runs by, and that tile is the same for all products.

Matrices are stored in *panels*: as many columns as a vector has lanes, row after row, then the next panel. The second
factor is then read from front to back, and a nonlinearity runs over whole panels without regard to rows.

Each entry of a result is summed in the order of the inner dimension, whichever tile it is in. It depends neither on the
rows beside it nor on their number.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import hashlib
from pathlib import Path

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_HAS_512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
WIDTH = 16
"""Columns of a panel, on every machine: one vector of float32 numbers, or two."""
_LANES = 16 if _HAS_512 else 8
_TALLEST = 24 if _HAS_512 else 6  # rows of a tile: it has 32 or 16 registers, and the factors need a few
_BLOCK = 256  # so much of the inner dimension at a time that a panel of it stays in the first cache

SOURCE = "".join(
    hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(Path(__file__).parent.glob("*.py"))
)
"""Dependencies of compiled kernels, since Numba's on-disk cache checks only a kernel's own file and constants."""

_INDEX = ir.IntType(64)
_REAL = ir.FloatType()
_VECTOR = ir.VectorType(_REAL, _LANES)


@intrinsic
def add_panels(typingctx, start, start_place, a, a_place, b, b_place, out, out_place, sizes):  # noqa: ARG001
    """Compute `out = start + a @ b` in float32.

    Each matrix is an array and its place in it, in numbers:

    - start_place, out_place: first entry, step to the next row, to the next panel. A step of 0 repeats one row.
    - a_place, b_place: first entry, step to the next panel. Rows of a panel follow one another.
    - sizes: rows, inner dimension, panels of the result.

    start may be out itself.
    """
    return _signature(_NEXT_ROW, start, start_place, a, a_place, b, b_place, out, out_place, sizes)


@intrinsic
def add_transposed(typingctx, start, start_place, a, a_place, b, b_place, out, out_place, sizes):  # noqa: ARG001
    """Compute `out = start + a.T @ b` for a panel a: at most `WIDTH` rows of the result. See `add_panels`.

    a_place: first entry, and the step to the next panel, which is not taken.
    """
    return _signature(_NEXT_COLUMN, start, start_place, a, a_place, b, b_place, out, out_place, sizes)


_NEXT_ROW = (WIDTH, 1, WIDTH)
_NEXT_COLUMN = (1, WIDTH, 0)
"""Reading of the first factor: steps to the next row and along the inner dimension, and its length within a panel (0
for no panels). They are constants, because the addresses of all rows would not fit into registers."""


def _signature(reading, *kinds):
    def generate(context, builder, signature, arguments):
        operands = []
        for kind, value in zip(signature.args, arguments, strict=True):
            if isinstance(kind, types.Array):
                operands.append(context.make_array(kind)(context, builder, value).data)
            else:
                operands += _numbers(context, builder, kind, value)
        builder.call(_function(builder.module, reading), operands)
        return context.get_dummy_value()

    return types.void(*kinds), generate


def _numbers(context, builder, kind, value):
    """Return the entries of a tuple as 64-bit numbers."""
    parts = cgutils.unpack_tuple(builder, value, len(kind))
    return [context.cast(builder, part, one, types.int64) for part, one in zip(parts, kind, strict=True)]


def _function(module, reading):
    """Return the function that multiplies, one per module and reading."""
    name = f"rnn2vec_add_panels_{reading[0]}"
    if name in module.globals:
        return module.globals[name]
    array = _REAL.as_pointer()
    kinds = [array, *[_INDEX] * 3, array, *[_INDEX] * 2, array, *[_INDEX] * 2, array, *[_INDEX] * 6]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    _emit_product(builder, function.args, reading)
    builder.ret_void()
    return function


def _emit_product(builder, arguments, reading):
    """Blocks of the inner dimension, panels, tiles of rows."""
    start, s_first, s_row, s_panel, a, a_first, a_panel, b, b_first, b_panel = arguments[:10]
    out, o_first, o_row, o_panel, rows, inner, panels = arguments[10:]
    start, a, b, out = (
        builder.gep(array, [first]) for array, first in ((start, s_first), (a, a_first), (b, b_first), (out, o_first))
    )
    with cgutils.for_range_slice(builder, _INDEX(0), inner, _INDEX(_BLOCK)) as (begin, _):
        end = _smaller(builder, builder.add(begin, _INDEX(_BLOCK)), inner)
        is_first = builder.icmp_signed("==", begin, _INDEX(0))
        source, row, panel = (
            builder.select(is_first, mine, so_far)
            for mine, so_far in ((start, out), (s_row, o_row), (s_panel, o_panel))
        )
        with cgutils.for_range(builder, panels) as loop:
            tile = (
                (builder.gep(source, [builder.mul(loop.index, panel)]), row),
                (a, a_panel),
                builder.gep(b, [builder.mul(loop.index, b_panel)]),
                (builder.gep(out, [builder.mul(loop.index, o_panel)]), o_row),
            )
            _emit_rows(builder, tile, rows, (begin, end), reading)


def _smaller(builder, one, other):
    return builder.select(builder.icmp_signed("<", one, other), one, other)


def _emit_rows(builder, tile, rows, inner, reading):
    """Cut the rows into tiles as equal as possible."""
    tiles = builder.sdiv(builder.add(rows, _INDEX(_TALLEST - 1)), _INDEX(_TALLEST))
    top = cgutils.alloca_once(builder, _INDEX)
    builder.store(_INDEX(0), top)
    with cgutils.for_range(builder, tiles) as loop:
        row = builder.load(top)
        rows_left, tiles_left = builder.sub(rows, row), builder.sub(tiles, loop.index)
        height = builder.sdiv(builder.add(rows_left, builder.sub(tiles_left, _INDEX(1))), tiles_left)
        after = builder.append_basic_block("tile.end")
        choice = builder.switch(height, after)
        for size in range(1, _TALLEST + 1):
            block = builder.append_basic_block(f"tile.{size}")
            choice.add_case(_INDEX(size), block)
            builder.position_at_end(block)
            _emit_tile(builder, tile, row, size, inner, reading)
            builder.branch(after)
        builder.position_at_end(after)
        builder.store(builder.add(row, height), top)


def _emit_tile(builder, tile, top, height, inner, reading):
    """Emit one tile of the result, in registers: LLVM turns the stack slots into them."""
    (source, source_row), (a, a_panel), panel, (out, out_row) = tile
    to_row, along, length = reading
    lefts = range(0, WIDTH, _LANES)
    places = [builder.add(top, _INDEX(row)) for row in range(height)]
    sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in lefts] for _ in places]
    for place, totals in zip(places, sums, strict=True):
        for total, vector in zip(
            totals, _loads(builder, builder.gep(source, [builder.mul(place, source_row)])), strict=True
        ):
            builder.store(vector, total)
    a = builder.gep(a, [builder.mul(top, _INDEX(to_row))])

    def add(here, k):
        factors = _loads(builder, builder.gep(panel, [builder.mul(k, _INDEX(WIDTH))]))
        for row, totals in enumerate(sums):
            number = _spread(builder, builder.load(builder.gep(here, [_INDEX(row * to_row)])))
            for total, factor in zip(totals, factors, strict=True):
                product = builder.fmul(number, factor, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)

    if length:
        with cgutils.for_range_slice(builder, *inner, _INDEX(length)) as (first, _):
            last = _smaller(builder, builder.add(first, _INDEX(length)), inner[1])
            jump = builder.gep(a, [builder.mul(builder.sdiv(first, _INDEX(length)), a_panel)])
            with cgutils.for_range_slice(builder, first, last, _INDEX(1)) as (k, _):
                add(builder.gep(jump, [builder.mul(builder.sub(k, first), _INDEX(along))]), k)
    else:
        with cgutils.for_range_slice(builder, *inner, _INDEX(1)) as (k, _):
            add(builder.gep(a, [builder.mul(k, _INDEX(along))]), k)
    for place, totals in zip(places, sums, strict=True):
        row = builder.gep(out, [builder.mul(place, out_row)])
        for left, total in zip(lefts, totals, strict=True):
            builder.store(builder.load(total), _vector_at(builder, row, left)).align = 4


def _loads(builder, row):
    """Return the vectors of one row of a panel."""
    vectors = []
    for left in range(0, WIDTH, _LANES):
        vectors.append(builder.load(_vector_at(builder, row, left)))
        vectors[-1].align = 4  # arrays are aligned to a number, not to a vector
    return vectors


def _vector_at(builder, row, left):
    return builder.bitcast(builder.gep(row, [_INDEX(left)]), _VECTOR.as_pointer())


def _spread(builder, number):
    """Return a vector with the same number everywhere."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
    return builder.shuffle_vector(first, undefined, everywhere)
