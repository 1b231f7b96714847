"""The recurrence of one layer on a GPU, forward and back: a program per RNN, from the first step to the last.

Of a recurrent layer, only `h @ W_hh^T` and the nonlinearity must wait for the step before; all else is batched products
over all steps at once, which torch does (`triton_backend`). Left to torch, the rest is a launch per step and operation,
each for microseconds of work. Here an RNN's hidden state stays in registers and its W_hh in shared memory while all
steps run by, and as many RNNs run side by side as the GPU has room for.

Blocks are powers of two, at least 16: rows and units beyond the real ones are 0 and stay 0. Products are in full
float32 (`ieee`), not TF32, whose gradients are right to 1e-3 only.

Gates and state vectors that going back needs are *saved* in planes `(N, T, R, H)`: an LSTM's i, f, g, o and cell
vector; a GRU's r, z, n and the recurrent part of n. The other cells need their outputs alone.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import triton
import triton.language as tl

SAVED_PLANES = {"lstm": 5, "gru": 4, "rnn_tanh": 0, "rnn_relu": 0}
"""Planes that going back needs, by cell."""


@triton.jit
def _sigmoid(x):
    """Without overflow: exp of nothing positive."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x < 0, small, 1.0) / (1.0 + small)


@triton.jit
def _tanh(x):
    """Without overflow; its error is absolute, a rounding of 1."""
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(x < 0, -size, size)


@triton.jit
def _add_product(total, a, b):
    """`total + a @ b`."""
    return tl.dot(a, b, acc=total, input_precision="ieee", out_dtype=total.dtype)


@triton.jit
def forward(
    inputs, w_hh, b_hh, outputs, saved, plane, T, R,
    H: tl.constexpr, CELL: tl.constexpr, GATES: tl.constexpr, BR: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """All steps of one layer of RNN `program_id(0)`, from a state of zeros.

    Reads inputs (N, T, R, GATES * H), the input part of the gates; w_hh (N, GATES * H, H); b_hh (N, GATES * H). Writes
    outputs (N, T, R, H) and saved (planes, N, T, R, H), a plane of `plane` numbers each. BR, BH: R and H as blocks.
    """
    n = tl.program_id(0).to(tl.int64)
    rows, units, inner = tl.arange(0, BR)[:, None], tl.arange(0, BH)[None, :], tl.arange(0, BH)[:, None]
    real, is_weight, is_bias = (rows < R) & (units < H), (inner < H) & (units < H), units < H
    w, b = w_hh + n * GATES * H * H + units * H + inner, b_hh + n * GATES * H + units  # w transposed
    x = inputs + n * T * R * GATES * H + rows * GATES * H + units
    out = outputs + n * T * R * H + rows * H + units
    kept = saved + n * T * R * H + rows * H + units

    w_0, b_0 = tl.load(w, is_weight, 0.0), tl.load(b, is_bias, 0.0)
    if GATES > 1:
        w_1, b_1 = tl.load(w + H * H, is_weight, 0.0), tl.load(b + H, is_bias, 0.0)
        w_2, b_2 = tl.load(w + 2 * H * H, is_weight, 0.0), tl.load(b + 2 * H, is_bias, 0.0)
    if GATES > 3:
        w_3, b_3 = tl.load(w + 3 * H * H, is_weight, 0.0), tl.load(b + 3 * H, is_bias, 0.0)

    hidden = tl.zeros((BR, BH), outputs.dtype.element_ty)
    memory = hidden
    for _ in range(T):
        first = _add_product(tl.load(x, real, 0.0) + b_0, hidden, w_0)
        if CELL == "lstm":
            i = _sigmoid(first)
            f = _sigmoid(_add_product(tl.load(x + H, real, 0.0) + b_1, hidden, w_1))
            g = _tanh(_add_product(tl.load(x + 2 * H, real, 0.0) + b_2, hidden, w_2))
            o = _sigmoid(_add_product(tl.load(x + 3 * H, real, 0.0) + b_3, hidden, w_3))
            memory = f * memory + i * g
            hidden = o * _tanh(memory)
            tl.store(kept, i, real)
            tl.store(kept + plane, f, real)
            tl.store(kept + 2 * plane, g, real)
            tl.store(kept + 3 * plane, o, real)
            tl.store(kept + 4 * plane, memory, real)
        elif CELL == "gru":
            r = _sigmoid(first)
            z = _sigmoid(_add_product(tl.load(x + H, real, 0.0) + b_1, hidden, w_1))
            recurrent = _add_product(tl.zeros_like(hidden) + b_2, hidden, w_2)
            candidate = _tanh(tl.load(x + 2 * H, real, 0.0) + r * recurrent)
            hidden = candidate + z * (hidden - candidate)
            tl.store(kept, r, real)
            tl.store(kept + plane, z, real)
            tl.store(kept + 2 * plane, candidate, real)
            tl.store(kept + 3 * plane, recurrent, real)
        elif CELL == "rnn_tanh":
            hidden = _tanh(first)
        else:
            hidden = tl.where(first < 0, 0.0, first)  # NaN stays: a diverging run must be seen
        tl.store(out, hidden, real)
        x += R * GATES * H
        out += R * H
        kept += R * H


@triton.jit
def _lstm_gradients(d_hidden, d_memory, i, f, g, o, memory, before):
    """Return the gradients of a step's gates before their nonlinearity, and of the previous cell vector, `before`."""
    bounded = _tanh(memory)
    d_memory += d_hidden * o * (1.0 - bounded * bounded)
    d_i, d_f = d_memory * g * i * (1.0 - i), d_memory * before * f * (1.0 - f)
    d_g, d_o = d_memory * i * (1.0 - g * g), d_hidden * bounded * o * (1.0 - o)
    return d_i, d_f, d_g, d_o, d_memory * f


@triton.jit
def _gru_gradients(d_hidden, r, z, candidate, recurrent, before):
    """Return the gradients of a step's gates before their nonlinearity; `before` is the previous hidden state."""
    d_n = d_hidden * (1.0 - z) * (1.0 - candidate * candidate)
    return d_n * recurrent * r * (1.0 - r), d_hidden * (before - candidate) * z * (1.0 - z), d_n


@triton.jit
def backward(
    w_hh, outputs, saved, d_outputs, d_inputs, d_recurrent, plane, T, R,
    H: tl.constexpr, CELL: tl.constexpr, GATES: tl.constexpr, BR: tl.constexpr, BH: tl.constexpr,
):  # fmt: skip
    """All steps of one layer of RNN `program_id(0)`, from the last to the first.

    Reads d_outputs (N, T, R, H), the gradient of the outputs, and what `forward` wrote. Writes d_inputs
    (N, T, R, GATES * H), the gradient of the gates before their nonlinearity, and for a GRU d_recurrent, the same of
    the recurrent part alone; for the others they are equal, and d_recurrent is not written.
    """
    n = tl.program_id(0).to(tl.int64)
    rows, units, inner = tl.arange(0, BR)[:, None], tl.arange(0, BH)[None, :], tl.arange(0, BH)[:, None]
    real, is_weight = (rows < R) & (units < H), (inner < H) & (units < H)
    w = w_hh + n * GATES * H * H + inner * H + units
    last = (n + 1) * T * R - R  # rows before the last step's
    place, gates = (last + rows) * H + units, (last + rows) * GATES * H + units

    w_0 = tl.load(w, is_weight, 0.0)
    if GATES > 1:
        w_1, w_2 = tl.load(w + H * H, is_weight, 0.0), tl.load(w + 2 * H * H, is_weight, 0.0)
    if GATES > 3:
        w_3 = tl.load(w + 3 * H * H, is_weight, 0.0)

    d_hidden = tl.zeros((BR, BH), outputs.dtype.element_ty)
    d_memory = d_hidden
    for step in range(T):
        d = tl.load(d_outputs + place, real, 0.0) + d_hidden
        has_before = real & (rows < (T - 1 - step) * R)  # a block: in masks, Triton 3.9 interprets no scalar
        kept = saved + place
        if CELL == "lstm":
            i, f = tl.load(kept, real, 0.0), tl.load(kept + plane, real, 0.0)
            g, o = tl.load(kept + 2 * plane, real, 0.0), tl.load(kept + 3 * plane, real, 0.0)
            memory = tl.load(kept + 4 * plane, real, 0.0)
            before = tl.load(kept + 4 * plane - R * H, has_before, 0.0)
            d_i, d_f, d_g, d_o, d_memory = _lstm_gradients(d, d_memory, i, f, g, o, memory, before)
            tl.store(d_inputs + gates, d_i, real)
            tl.store(d_inputs + gates + H, d_f, real)
            tl.store(d_inputs + gates + 2 * H, d_g, real)
            tl.store(d_inputs + gates + 3 * H, d_o, real)
            d_hidden = _add_product(tl.zeros_like(d), d_i, w_0)
            d_hidden = _add_product(d_hidden, d_f, w_1)
            d_hidden = _add_product(d_hidden, d_g, w_2)
            d_hidden = _add_product(d_hidden, d_o, w_3)
        elif CELL == "gru":
            r, z = tl.load(kept, real, 0.0), tl.load(kept + plane, real, 0.0)
            candidate, recurrent = tl.load(kept + 2 * plane, real, 0.0), tl.load(kept + 3 * plane, real, 0.0)
            before = tl.load(outputs + place - R * H, has_before, 0.0)
            d_r, d_z, d_n = _gru_gradients(d, r, z, candidate, recurrent, before)
            tl.store(d_inputs + gates, d_r, real)
            tl.store(d_inputs + gates + H, d_z, real)
            tl.store(d_inputs + gates + 2 * H, d_n, real)
            tl.store(d_recurrent + gates, d_r, real)
            tl.store(d_recurrent + gates + H, d_z, real)
            tl.store(d_recurrent + gates + 2 * H, d_n * r, real)
            d_hidden = _add_product(d * z, d_r, w_0)
            d_hidden = _add_product(d_hidden, d_z, w_1)
            d_hidden = _add_product(d_hidden, d_n * r, w_2)
        else:
            hidden = tl.load(outputs + place, real, 0.0)
            if CELL == "rnn_tanh":
                d *= 1.0 - hidden * hidden
            else:
                d = tl.where(hidden > 0, d, 0.0)
            tl.store(d_inputs + gates, d, real)
            d_hidden = _add_product(tl.zeros_like(d), d, w_0)
        place -= R * H
        gates -= R * GATES * H
