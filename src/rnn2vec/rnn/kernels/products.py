"""`add_product`: small matrix products inside compiled kernels, without BLAS.

The products of a small RNN, such as 32x32 by 32x128, are too small for BLAS: checking arguments and packing take longer
than the arithmetic (measured: 42 GFLOP/s, where this reaches 90 of a core's 110). Here the sizes are constants, and
the loops are written for them in LLVM's own language: a tile of the result stays in vector registers while the inner
dimension runs by (Goto and van de Geijn 2008, without the packing, since all operands are in the cache).

Numba's vectorizer, left alone with three loops, does not find register tiles. A library of such kernels (LIBXSMM) would
have to be compiled at install.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

_BITS = 512 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 256
_INDEX = ir.IntType(64)
_TILE = 24 if _BITS == 512 else 12  # vectors of the result, of 32 or 16 registers: the rest is for the operands
_TILE_VECTORS = 2  # in a row of it
INNER_BLOCK = 128
"""Length of a block of the inner dimension whose rows stay in the first-level cache."""

SOURCE = "".join(
    hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in ("products.py", "functions.py")
)
"""Dependencies of kernels that multiply, since Numba's on-disk cache checks only their own file and constants."""


def _row_tiles(rows: int, most: int) -> list[tuple[int, int]]:
    """Cut rows into tiles as equal as possible: (how many, rows of each, at most `most`)."""
    tiles = math.ceil(rows / most)
    each, more = divmod(rows, tiles)
    return [(count, size) for count, size in ((more, each + 1), (tiles - more, each)) if count]


def _column_tiles(columns: int, lanes: int) -> list[tuple[int, list[int]]]:
    """Cut columns into tiles: (how many, the lengths of each one's vectors)."""
    wide, rest = divmod(columns, _TILE_VECTORS * lanes)
    tiles = [(wide, [lanes] * _TILE_VECTORS)] if wide else []
    while rest:
        length = min(lanes, 1 << rest.bit_length() - 1)
        tiles.append((1, [length]))
        rest -= length
    return tiles


def vector_columns(columns: int) -> int:
    """Return a padded number of columns that takes fewer vectors to compute: 16 rather than 12."""
    lanes = _BITS // 32
    return max(4, 1 << (columns - 1).bit_length()) if columns <= lanes else -(-columns // lanes) * lanes


class _Matrix:
    """A matrix as the emitted code sees it: where it lies, and its strides in numbers."""

    def __init__(self, builder, data, strides):
        self.builder, self.data, self.strides = builder, data, strides

    def or_else(self, other, condition):
        """Select this one where the condition holds, and the other elsewhere."""
        builder = self.builder
        pairs = zip((self.data, *self.strides), (other.data, *other.strides), strict=True)
        data, *strides = (builder.select(condition, mine, theirs) for mine, theirs in pairs)
        return _Matrix(builder, data, strides)

    def entry(self, row, column):
        """Return the address of a number."""
        places = zip((row, column), self.strides, strict=True)
        return self.builder.gep(self.data, [self.builder.add(*(self.builder.mul(*place) for place in places))])

    def vector(self, row, column, kind):
        """Return the address of a vector in a row."""
        return self.builder.bitcast(self.entry(row, column), kind.as_pointer())


@intrinsic(prefer_literal=True)
def add_product(typingctx, start, a, b, out, rows, inner, columns):  # noqa: ARG001
    """`out = start + a @ b` for a (rows, inner), b (inner, columns), start and out (rows, columns).

    rows and columns are constants at compile time. The rows of b, start and out are contiguous; a may be a transposed
    view. start may be out itself, or one row seen often (`np.broadcast_to`).
    """
    if not all(isinstance(size, types.IntegerLiteral) for size in (rows, columns)):
        raise TypingError(f"rows and columns of a product must be constants, not {rows} and {columns}")

    def generate(context, builder, signature, arguments):
        number = signature.args[3].dtype
        operands = []
        for kind, value in zip(signature.args[:4], arguments[:4], strict=True):
            array = context.make_array(kind)(context, builder, value)
            strides = cgutils.unpack_tuple(builder, array.strides, 2)
            operands += [array.data, *(builder.sdiv(stride, _INDEX(number.bitwidth // 8)) for stride in strides)]
        length = context.cast(builder, arguments[5], signature.args[5], types.int64)
        builder.call(_product(builder.module, rows.literal_value, columns.literal_value, number), [*operands, length])
        return context.get_dummy_value()

    return types.void(start, a, b, out, rows, inner, columns), generate


def _product(module, rows, columns, number):
    """Return the function that multiplies matrices of this size, one per module, which keeps LLVM's inputs small."""
    name = f"add_product_{rows}x{columns}_{number}"
    if name in module.globals:
        return module.globals[name]
    real = {32: ir.FloatType(), 64: ir.DoubleType()}[number.bitwidth]
    matrix = [real.as_pointer(), _INDEX, _INDEX]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [*matrix * 4, _INDEX]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    matrices = [_Matrix(builder, function.args[at], function.args[at + 1 : at + 3]) for at in (0, 3, 6, 9)]
    _emit_product(builder, matrices, rows, function.args[12], columns, number)
    builder.ret_void()
    return function


def _emit_product(builder, matrices, rows, inner, columns, number):
    """Blocks of the inner dimension, tiles of columns, tiles of rows."""
    real = {32: ir.FloatType(), 64: ir.DoubleType()}[number.bitwidth]
    start, a, b, out = matrices
    with cgutils.for_range_slice(builder, _INDEX(0), inner, _INDEX(INNER_BLOCK)) as (begin, _):
        end = builder.add(begin, _INDEX(INNER_BLOCK))
        end = builder.select(builder.icmp_signed("<", end, inner), end, inner)
        so_far = start.or_else(out, builder.icmp_signed("==", begin, _INDEX(0)))
        column = 0
        for across, lengths in _column_tiles(columns, _BITS // number.bitwidth):
            vectors = [ir.VectorType(real, length) for length in lengths]
            with _tiles(builder, column, across, sum(lengths)) as (left, _):
                row = 0
                for down, height in _row_tiles(rows, _TILE // len(vectors)):
                    with _tiles(builder, row, down, height) as (top, _):
                        _emit_tile(builder, (so_far, a, b, out), (top, height), (left, vectors), (begin, end))
                    row += down * height
            column += across * sum(lengths)


def _tiles(builder, first, count, size):
    return cgutils.for_range_slice(builder, _INDEX(first), _INDEX(first + count * size), _INDEX(size))


def _emit_tile(builder, matrices, rows, columns, inner):
    """Emit one tile of the result, in registers: LLVM turns the stack slots into them."""
    so_far, a, b, out = matrices
    (top, height), (left, vectors) = rows, columns
    lefts, offset = [], 0
    for vector in vectors:
        lefts.append(builder.add(left, _INDEX(offset)))
        offset += vector.count
    places = [builder.add(top, _INDEX(row)) for row in range(height)]
    sums = {}
    for row, place in enumerate(places):
        for column, vector in enumerate(vectors):
            sums[row, column] = cgutils.alloca_once(builder, vector)
            builder.store(_load(builder, so_far.vector(place, lefts[column], vector)), sums[row, column])
    with cgutils.for_range_slice(builder, *inner, _INDEX(1)) as (k, _):
        factors = [_load(builder, b.vector(k, lefts[column], vector)) for column, vector in enumerate(vectors)]
        for row, place in enumerate(places):
            number = builder.load(a.entry(place, k))
            for column, vector in enumerate(vectors):
                product = builder.fmul(_spread(builder, number, vector), factors[column], flags=("contract",))
                total = builder.fadd(builder.load(sums[row, column]), product, flags=("contract",))
                builder.store(total, sums[row, column])
    for (row, column), total in sums.items():
        stored = builder.store(builder.load(total), out.vector(places[row], lefts[column], vectors[column]))
        stored.align = _alignment(vectors[column])


def _load(builder, address):
    loaded = builder.load(address)
    loaded.align = _alignment(loaded.type)
    return loaded


def _alignment(vector):
    """Arrays are aligned to a number, not to a vector."""
    return 8 if isinstance(vector.element, ir.DoubleType) else 4


def _spread(builder, number, vector):
    """Return a vector with the same number everywhere."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, everywhere)


def repeated_products(rows: int, inner: int, columns: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Functions `(a, b, out, n)` that do one product n times, by `add_product` and by BLAS: for a benchmark.

    They release the GIL.
    """

    @numba.njit(nogil=True, fastmath={"contract"})
    def ours(a, b, out, n):
        for _ in range(n):
            add_product(out, a, b, out, rows, inner, columns)

    @numba.njit(nogil=True)
    def blas(a, b, out, n):
        for _ in range(n):
            np.dot(a, b, out)

    return ours, blas
