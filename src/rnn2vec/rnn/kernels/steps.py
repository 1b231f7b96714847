"""A step of an RNN for parallel sequences, forward and backward to its inputs, for any cell and size.

`RNNStack.step` processes all RNNs at once; here, a single RNN is processed, whose weights stay in the cache from step
to
step. Sizes are arguments, so that one compilation serves all architectures (see `panels`). Gradients are computed for
inputs and states only, since the RNNs that an encoder reads are not trained. The arithmetic is float32.

A vector of H units of B sequences takes up `panels_of(H)` panels of B rows. Columns beyond H hold zeros, because the
packed weights have zeros there. The gates of a step follow one another in PyTorch's order, each padded for itself.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import numba
import numpy as np
from numba.extending import register_jitable

from rnn2vec.rnn.kernels.functions import FASTMATH, INLINED, fast_tanh
from rnn2vec.rnn.kernels.panels import WIDTH, add_panels
from rnn2vec.rnn.spec import RNNSpec

OPTIONS = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
LSTM, GRU, TANH, RELU = range(4)
_NUMBERS = {"lstm": LSTM, "gru": GRU, "rnn_tanh": TANH, "rnn_relu": RELU}
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)

Sizes = tuple[int, int, int, int, int, int]
"""`(cell, inputs, hidden units, layers, outputs, gates)`: the description of an architecture for kernels."""


def sizes_of(spec: RNNSpec) -> Sizes:
    """Return an architecture as kernels see it."""
    number = _NUMBERS[spec.cell]
    return number, spec.input_size, spec.hidden_size, spec.num_layers, spec.output_size, spec.num_gates


@register_jitable
def panels_of(columns):
    """Return the number of panels of a number of columns."""
    return (columns + WIDTH - 1) // WIDTH


# -- weights ---------------------------------------------------------------------------------------


@register_jitable
def packed_sizes(sizes):
    """Return how many numbers the forward weights, the biases and the backward weights of one RNN take up."""
    _, inputs, units, layers, outputs, gates = sizes
    ip, hp, op = panels_of(inputs), panels_of(units), panels_of(outputs)
    forward = gates * hp * WIDTH * (inputs + units + (layers - 1) * 2 * units) + op * WIDTH * units
    biases = layers * 2 * gates * hp * WIDTH + op * WIDTH
    rows = gates * hp * WIDTH
    backward = rows * WIDTH * (ip + hp + (layers - 1) * 2 * hp) + outputs * hp * WIDTH
    return forward, biases, backward


@numba.njit(**OPTIONS)
def _pack_transposed(flat, first, gates, units, columns, out, at):
    """Write the transpose of a matrix (gates * units, columns) in panels, each gate padded for itself."""
    for gate in range(gates):
        for panel in range(panels_of(units)):
            for column in range(columns):
                for lane in range(WIDTH):
                    unit = panel * WIDTH + lane
                    row = first + (gate * units + unit) * columns
                    out[at + lane] = flat[row + column] if unit < units else _ZERO
                at += WIDTH
    return at


@numba.njit(**OPTIONS)
def _pack_plain(flat, first, gates, units, columns, out, at, padded):
    """Write a matrix (gates * units, columns) in panels, with rows of zeros where a gate is padded."""
    rows = panels_of(units) * WIDTH if padded else units
    for panel in range(panels_of(columns)):
        for gate in range(gates):
            for unit in range(rows):
                row = first + (gate * units + unit) * columns
                for lane in range(WIDTH):
                    column = panel * WIDTH + lane
                    out[at + lane] = flat[row + column] if unit < units and column < columns else _ZERO
                at += WIDTH
    return at


@numba.njit(**OPTIONS)
def _pack_bias(flat, first, other, gates, units, out, at):
    """Write a bias, or the sum of two, each gate padded for itself."""
    for gate in range(gates):
        for unit in range(panels_of(units) * WIDTH):
            row = gate * units + unit
            total = _ZERO
            if unit < units:
                total = flat[first + row]
                if other >= 0:
                    total += flat[other + row]
            out[at] = total
            at += 1
    return at


@numba.njit(**OPTIONS)
def pack_forward(flat, sizes, weights, biases):
    """Write one RNN's flat weights (P,) as the forward step wants them."""
    cell, inputs, units, layers, outputs, gates = sizes
    first, w, b = 0, 0, 0
    for layer in range(layers):
        columns = inputs if layer == 0 else units
        at_hh = first + gates * units * columns
        at_bias = at_hh + gates * units * units
        other = at_bias + gates * units
        w = _pack_transposed(flat, first, gates, units, columns, weights, w)
        w = _pack_transposed(flat, at_hh, gates, units, units, weights, w)
        b = _pack_bias(flat, at_bias, -1 if cell == GRU else other, gates, units, biases, b)
        b = _pack_bias(flat, other, -1, gates, units, biases, b)
        first = other + gates * units
    _pack_transposed(flat, first, 1, outputs, units, weights, w)
    _pack_bias(flat, first + outputs * units, -1, 1, outputs, biases, b)


@numba.njit(**OPTIONS)
def pack_backward(flat, sizes, weights):
    """Write one RNN's flat weights (P,) as the backward step wants them."""
    _, inputs, units, layers, outputs, gates = sizes
    first, w = 0, 0
    for layer in range(layers):
        columns = inputs if layer == 0 else units
        at_hh = first + gates * units * columns
        w = _pack_plain(flat, first, gates, units, columns, weights, w, True)
        w = _pack_plain(flat, at_hh, gates, units, units, weights, w, True)
        first = at_hh + gates * units * units + 2 * gates * units
    _pack_plain(flat, first, 1, outputs, units, weights, w, False)


# -- cells -----------------------------------------------------------------------------------------

# Loops are short and many, each over few arrays: LLVM vectorizes none that it would have to check for more than a few
# overlaps. Places are unsigned, because an index that could be negative, and would then count from the end, does not
# vectorize either.


@numba.njit(**INLINED)
def _gate(x):
    """Return the sigmoid, by tanh: twice as fast as by exp, exact to 2e-7 of 1 rather than of the result."""
    return _HALF * fast_tanh(_HALF * x) + _HALF


@numba.njit(**INLINED)
def _at(place):
    return np.uint64(place)


@numba.njit(**INLINED)
def lstm_forward(gates, i, f, g, o, cells, before, now, squashed, at, hidden, to, size):
    """Do one LSTM step on `size` numbers, from gates before their nonlinearity, which replaces them.

    The other arguments are where in its array each vector begins.
    """
    i, f, g, o = _at(i), _at(f), _at(g), _at(o)
    before, now, at, to, size = _at(before), _at(now), _at(at), _at(to), _at(size)
    for k in range(size):
        gates[i + k] = _gate(gates[i + k])
    for k in range(size):
        gates[f + k] = _gate(gates[f + k])
    for k in range(size):
        gates[g + k] = fast_tanh(gates[g + k])
    for k in range(size):
        gates[o + k] = _gate(gates[o + k])
    for k in range(size):
        cells[now + k] = gates[f + k] * cells[before + k] + gates[i + k] * gates[g + k]
    for k in range(size):
        squashed[at + k] = fast_tanh(cells[now + k])
    for k in range(size):
        hidden[to + k] = gates[o + k] * squashed[at + k]


@numba.njit(**INLINED)
def lstm_backward(
    gates, i, f, g, o, cells, before, squashed, at, d_hidden, dh, d_cells, dc, d_gates, di, df, dg, do, size
):
    """Go back through one LSTM step: from d_hidden and d_cells to the gates before their nonlinearity, and d_cells."""
    i, f, g, o, before, at = _at(i), _at(f), _at(g), _at(o), _at(before), _at(at)
    dh, dc, di, df, dg, do, size = _at(dh), _at(dc), _at(di), _at(df), _at(dg), _at(do), _at(size)
    for k in range(size):
        s = squashed[at + k]
        d_cells[dc + k] += d_hidden[dh + k] * gates[o + k] * (_ONE - s * s)
    for k in range(size):
        y = gates[o + k]
        d_gates[do + k] = d_hidden[dh + k] * squashed[at + k] * y * (_ONE - y)
    for k in range(size):
        y = gates[i + k]
        d_gates[di + k] = d_cells[dc + k] * gates[g + k] * y * (_ONE - y)
    for k in range(size):
        y = gates[f + k]
        d_gates[df + k] = d_cells[dc + k] * cells[before + k] * y * (_ONE - y)
    for k in range(size):
        y = gates[g + k]
        d_gates[dg + k] = d_cells[dc + k] * gates[i + k] * (_ONE - y * y)
    for k in range(size):
        d_cells[dc + k] *= gates[f + k]


@numba.njit(**INLINED)
def _gru_forward(gates, at, recurrent, hidden, before, now, extra, to, size):
    """Do one GRU step; the recurrent part comes apart, and extra keeps that of the candidate."""
    at, before, now, to, size = _at(at), _at(before), _at(now), _at(to), _at(size)
    n = at + size + size
    for k in range(size + size):
        gates[at + k] = _gate(gates[at + k] + recurrent[k])
    for k in range(size):
        extra[to + k] = recurrent[size + size + k]
    for k in range(size):
        gates[n + k] += gates[at + k] * extra[to + k]
    for k in range(size):
        gates[n + k] = fast_tanh(gates[n + k])
    for k in range(size):
        hidden[now + k] = gates[n + k] + gates[at + size + k] * (hidden[before + k] - gates[n + k])


@numba.njit(**INLINED)
def _gru_backward(gates, at, hidden, before, extra, to, d_hidden, dh, d_cells, d_gates, d_recurrent, size):
    """Go back through one GRU step; d_cells is what it hands to the hidden vector before, past the gates."""
    at, before, to, dh, size = _at(at), _at(before), _at(to), _at(dh), _at(size)
    z, n = at + size, at + 2 * size
    for k in range(size):
        d_hidden[dh + k] += d_cells[dh + k]
    for k in range(size):
        y = gates[n + k]
        d_gates[size + size + k] = d_hidden[dh + k] * (_ONE - gates[z + k]) * (_ONE - y * y)
    for k in range(size):
        y = gates[at + k]
        d_gates[k] = d_gates[size + size + k] * extra[to + k] * y * (_ONE - y)
    for k in range(size):
        y = gates[z + k]
        d_gates[size + k] = d_hidden[dh + k] * (hidden[before + k] - gates[n + k]) * y * (_ONE - y)
    for k in range(size + size):
        d_recurrent[k] = d_gates[k]
    for k in range(size):
        d_recurrent[size + size + k] = d_gates[size + size + k] * gates[at + k]
    for k in range(size):
        d_cells[dh + k] = d_hidden[dh + k] * gates[z + k]


@numba.njit(**INLINED)
def _plain_forward(cell, gates, at, hidden, now, size):
    at, now, size = _at(at), _at(now), _at(size)
    if cell == TANH:
        for k in range(size):
            hidden[now + k] = fast_tanh(gates[at + k])
    else:
        for k in range(size):
            x = gates[at + k]
            hidden[now + k] = max(x, _ZERO)  # NaN stays


@numba.njit(**INLINED)
def _plain_backward(cell, hidden, now, d_hidden, dh, d_gates, size):
    now, dh, size = _at(now), _at(dh), _at(size)
    if cell == TANH:
        for k in range(size):
            y = hidden[now + k]
            d_gates[k] = d_hidden[dh + k] * (_ONE - y * y)
    else:
        for k in range(size):
            d_gates[k] = d_hidden[dh + k] if hidden[now + k] > _ZERO else _ZERO


# -- steps -----------------------------------------------------------------------------------------


@numba.njit(**OPTIONS)
def forward_step(sizes, rows, rnn, inputs, places, record, outputs, to):
    """Do one step of one RNN.

    Args:
        sizes: see `Sizes`.
        rows: sequences side by side, B.
        rnn: `(weights, biases, first weight, first bias)`, see `pack_forward`.
        inputs: panels of the inputs.
        places: `(first input, step before, step now, step to write)`: numbers of steps in the record.
        record: `(gates, hidden, cells, extra, recurrent)`: what the steps leave behind for the way back, step by step,
            layer by layer. hidden and cells have the state before the first step in front.
        outputs: gets the outputs in panels.
        to: where in it.
    """
    cell, inputs_, units, layers, outputs_, gates_ = sizes
    weights, biases, w, b = rnn
    at_input, before, now, step = places
    gates, hidden, cells, extra, recurrent = record
    size, width, panel = panels_of(units) * rows * WIDTH, gates_ * panels_of(units), rows * WIDTH
    for layer in range(layers):
        inner = inputs_ if layer == 0 else units
        old, new, here = (before * layers + layer) * size, (now * layers + layer) * size, step * layers + layer
        at = here * gates_ * size
        place = (at, WIDTH, panel)
        if layer == 0:
            add_panels(
                biases, (b, 0, WIDTH), inputs, (at_input, panel), weights, (w, inner * WIDTH), gates, place,
                (rows, inner, width),
            )  # fmt: skip
        else:
            add_panels(
                biases, (b, 0, WIDTH), hidden, (new - size, panel), weights, (w, inner * WIDTH), gates, place,
                (rows, inner, width),
            )  # fmt: skip
        w += width * inner * WIDTH
        if cell == GRU:
            add_panels(
                biases, (b + width * WIDTH, 0, WIDTH), hidden, (old, panel), weights, (w, units * WIDTH), recurrent,
                (0, WIDTH, panel), (rows, units, width),
            )  # fmt: skip
            _gru_forward(gates, at, recurrent, hidden, old, new, extra, here * size, size)
        else:
            add_panels(
                gates, place, hidden, (old, panel), weights, (w, units * WIDTH), gates, place, (rows, units, width)
            )
            if cell == LSTM:
                i, f, g, o = at, at + size, at + 2 * size, at + 3 * size
                lstm_forward(gates, i, f, g, o, cells, old, new, extra, here * size, hidden, new, size)
            else:
                _plain_forward(cell, gates, at, hidden, new, size)
        w += width * units * WIDTH
        b += 2 * width * WIDTH
    top = (now * layers + layers - 1) * size
    add_panels(
        biases, (b, 0, WIDTH), hidden, (top, panel), weights, (w, units * WIDTH), outputs, (to, WIDTH, panel),
        (rows, units, panels_of(outputs_)),
    )  # fmt: skip


@numba.njit(**OPTIONS)
def backward_step(sizes, rows, rnn, d_outputs, d_inputs, places, record, flow, zeros):
    """Go back through one step of one RNN, to the gradients of its inputs and of the state before.

    Args:
        sizes: see `Sizes`.
        rows: sequences side by side, B.
        rnn: `(weights, first weight)`, see `pack_backward`.
        d_outputs: the gradient of the outputs, in panels.
        d_inputs: gets that of the inputs.
        places: `(first output, first input, step before, step now, step to read)`.
        record: see `forward_step`; without `recurrent`.
        flow: `(d_hidden, d_cells, d_gates, d_recurrent)`: the gradients of hidden vectors and cells, layer by layer,
            which go from step to step, and room for those of one layer's gates.
        zeros: a row of zeros.
    """
    cell, inputs_, units, layers, outputs_, gates_ = sizes
    weights, w = rnn
    at_output, at_input, before, now, step = places
    gates, hidden, cells, extra = record
    d_hidden, d_cells, d_gates, d_recurrent = flow
    hp, ip = panels_of(units), panels_of(inputs_)
    size, inner, panel = hp * rows * WIDTH, gates_ * hp * WIDTH, rows * WIDTH
    last = w + inner * WIDTH * (ip + hp + (layers - 1) * 2 * hp)
    top = ((layers - 1) * size, WIDTH, panel)
    add_panels(
        d_hidden, top, d_outputs, (at_output, panel), weights, (last, outputs_ * WIDTH), d_hidden, top,
        (rows, outputs_, hp),
    )  # fmt: skip
    for layer in range(layers - 1, -1, -1):
        old, new, here = (before * layers + layer) * size, (now * layers + layer) * size, step * layers + layer
        at, dh = here * gates_ * size, layer * size
        if cell == LSTM:
            i, f, g, o = at, at + size, at + 2 * size, at + 3 * size
            lstm_backward(
                gates, i, f, g, o, cells, old, extra, here * size, d_hidden, dh, d_cells, dh, d_gates, 0, size,
                2 * size, 3 * size, size,
            )  # fmt: skip
        elif cell == GRU:
            _gru_backward(gates, at, hidden, old, extra, here * size, d_hidden, dh, d_cells, d_gates, d_recurrent, size)
        else:
            _plain_backward(cell, hidden, new, d_hidden, dh, d_gates, size)
        first = w if layer == 0 else w + inner * WIDTH * (ip + hp + (layer - 1) * 2 * hp)
        below = ip if layer == 0 else hp
        if layer > 0:
            place = (dh - size, WIDTH, panel)
            add_panels(
                d_hidden, place, d_gates, (0, panel), weights, (first, inner * WIDTH), d_hidden, place,
                (rows, inner, below),
            )  # fmt: skip
        else:
            add_panels(
                zeros, (0, 0, 0), d_gates, (0, panel), weights, (first, inner * WIDTH), d_inputs,
                (at_input, WIDTH, panel), (rows, inner, below),
            )  # fmt: skip
        first += below * inner * WIDTH
        if cell == GRU:
            add_panels(
                zeros, (0, 0, 0), d_recurrent, (0, panel), weights, (first, inner * WIDTH), d_hidden,
                (dh, WIDTH, panel), (rows, inner, hp),
            )  # fmt: skip
        else:
            add_panels(
                zeros, (0, 0, 0), d_gates, (0, panel), weights, (first, inner * WIDTH), d_hidden, (dh, WIDTH, panel),
                (rows, inner, hp),
            )  # fmt: skip
