"""The dialogue of a probing encoder with a few RNNs as one compiled kernel, forward and backward.

`ProbingEncoder.dialogue` takes some sixty small operations of torch for each exchange, most of which cost more than
their arithmetic. Here a thread holds all L exchanges with R RNNs, and comes back through them. Gradients of the
encoder's weights are products over all exchanges at the end, from what each way leaves behind.

Matrices are in panels, see `rnn2vec.rnn.kernels.panels`; rows are RNNs, or the M probing sequences of one RNN. What is
left behind has `slots` blocks of R rows, one for each exchange and one for the end; without a way back two blocks in
turn are enough.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import register_jitable

from rnn2vec.rnn.kernels.functions import INLINED, fast_exp, fast_sigmoid
from rnn2vec.rnn.kernels.layers import (
    add,
    add_gradient,
    add_rows,
    copy,
    linear,
    lstm_rows_backward,
    lstm_rows_forward,
    rectify,
    retreat_rectified,
)
from rnn2vec.rnn.kernels.panels import SOURCE, WIDTH, add_panels
from rnn2vec.rnn.kernels.sequences import aligned, record_sizes
from rnn2vec.rnn.kernels.steps import (
    OPTIONS,
    backward_step,
    forward_step,
    pack_backward,
    pack_forward,
    panels_of,
)

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_W = np.uint64(WIDTH)


# -- probes and responses --------------------------------------------------------------------------

# Softmaxes of six numbers are too short for vectors: numbers of all sequences are collected first, and exponentiated
# together.


@numba.njit(**INLINED)
def _read_row(values, first, step, row, count, out, to):
    """Copy `count` entries of one row of a matrix in panels."""
    at, step, to = np.uint64(first + row * WIDTH), np.uint64(step), np.uint64(to)
    for k in range(np.uint64(count)):
        out[to + k] = values[at + k // _W * step + k % _W]


@numba.njit(**INLINED)
def _write_row(values, at, out, first, step, row, count):
    """Write one row of a matrix in panels."""
    to, step, at = np.uint64(first + row * WIDTH), np.uint64(step), np.uint64(at)
    for k in range(np.uint64(count)):
        out[to + k // _W * step + k % _W] = values[at + k]


@numba.njit(**INLINED)
def _read_rows(panels, rows, columns, out):
    """Copy a matrix (rows, columns) out of its panels."""
    rows, columns = np.uint64(rows), np.uint64(columns)
    for row in range(rows):
        for k in range(columns):
            out[row * columns + k] = panels[(k // _W * rows + row) * _W + k % _W]


@numba.njit(**INLINED)
def _write_rows(values, rows, columns, panels):
    """Copy a matrix (rows, columns) into panels."""
    rows, columns = np.uint64(rows), np.uint64(columns)
    for row in range(rows):
        for k in range(columns):
            panels[(k // _W * rows + row) * _W + k % _W] = values[row * columns + k]


@numba.njit(**INLINED)
def _lower(values, at, rows, count):
    """Take from each row its highest number."""
    at, rows, count = np.uint64(at), np.uint64(rows), np.uint64(count)
    for row in range(rows):
        first = at + row * count
        highest = values[first]
        for k in range(count):
            highest = max(highest, values[first + k])
        for k in range(count):
            values[first + k] -= highest


@numba.njit(**INLINED)
def _softmax_rows(values, at, rows, count):
    """Replace rows by their softmax."""
    _lower(values, at, rows, count)
    at, rows, count = np.uint64(at), np.uint64(rows), np.uint64(count)
    for k in range(rows * count):
        values[at + k] = fast_exp(values[at + k])
    for row in range(rows):
        first = at + row * count
        total = _ZERO
        for k in range(count):
            total += values[first + k]
        share = _ONE / total
        for k in range(count):
            values[first + k] *= share


@numba.njit(**INLINED)
def _sigmoids(values, at, size):
    at = np.uint64(at)
    for k in range(np.uint64(size)):
        values[at + k] = fast_sigmoid(values[at + k])


@numba.njit(**OPTIONS)
def make_probes(made, rnn, step, kinds, spans, responses, sizes, kept, probes, scratch):
    """Write the probes of one RNN in panels, from row `rnn` of what E_I made.

    Args:
        made: what E_I made, in panels `step` apart.
        rnn: the row.
        kinds: `(inputs are categorical, probes feed on responses, there are responses)`.
        spans: low end and length of the range of continuous inputs.
        responses: `(array, first entry, step from panel to panel)` of the last responses.
        sizes: `(inputs I, numbers that E_I makes for each probe, probing sequences M)`.
        kept: `(array, first)` that gets what was learned (M, I), what was fed (M, I), and the gates (M,).
        probes: gets the probes.
        scratch: room for a row.
    """
    categorical, feeds, fed = kinds
    low, length = spans
    inputs, columns, sequences = sizes
    left, first = kept
    size = sequences * inputs
    _read_row(made, 0, step, rnn, sequences * columns, scratch, 0)
    learned, gates = np.uint64(first), np.uint64(first + 2 * size)
    for sequence in range(np.uint64(sequences)):
        for k in range(np.uint64(inputs)):
            left[learned + sequence * np.uint64(inputs) + k] = scratch[sequence * np.uint64(columns) + k]
        if feeds:
            left[gates + sequence] = scratch[sequence * np.uint64(columns) + np.uint64(inputs)]
    if categorical:
        _softmax_rows(left, first, sequences, inputs)
    else:
        _sigmoids(left, first, size)
    for k in range(np.uint64(size)):
        scratch[k] = left[learned + k] if categorical else low + length * left[learned + k]
    if feeds and fed:
        other = np.uint64(first + size)
        _read_row(responses[0], responses[1], responses[2], rnn, size, left, first + size)
        _softmax_rows(left, first + size, sequences, inputs)
        _sigmoids(left, first + 2 * size, sequences)
        for sequence in range(np.uint64(sequences)):
            gate = left[gates + sequence]
            for k in range(sequence * np.uint64(inputs), (sequence + np.uint64(1)) * np.uint64(inputs)):
                scratch[k] = gate * left[other + k] + (_ONE - gate) * scratch[k]
    _write_rows(scratch, sequences, inputs, probes)


@numba.njit(**OPTIONS)
def retreat_probes(d_probes, rnn, kinds, length, sizes, kept, d_made, d_responses, scratch):
    """Go back from the gradient of one RNN's probes to that of what E_I made, and add to that of its last responses.

    See `make_probes`. d_made and d_responses are `(array, first entry, step from panel to panel)`.
    """
    categorical, feeds, fed = kinds
    inputs, columns, sequences = sizes
    left, first = kept
    size = sequences * inputs
    mixes = feeds and fed
    begin, raw, back = np.uint64(first), np.uint64(size), np.uint64(size + sequences * columns)
    other, gates = np.uint64(first + size), np.uint64(first + 2 * size)
    _read_rows(d_probes, sequences, inputs, scratch)
    for sequence in range(np.uint64(sequences)):
        gate = left[gates + sequence] if mixes else _ZERO
        share = _ONE - gate
        at = sequence * np.uint64(inputs)
        mean, mean_fed = _ZERO, _ZERO
        for k in range(at, at + np.uint64(inputs)):
            mean += scratch[k] * left[begin + k]
        if mixes:
            for k in range(at, at + np.uint64(inputs)):
                mean_fed += scratch[k] * left[other + k]
        to = raw + sequence * np.uint64(columns)
        for k in range(np.uint64(inputs)):
            d, y = scratch[at + k], left[begin + at + k]
            scratch[to + k] = share * y * (d - mean) if categorical else share * d * length * y * (_ONE - y)
        if feeds:
            scratch[to + np.uint64(inputs)] = (mean_fed - mean) * gate * share
        if mixes:
            for k in range(at, at + np.uint64(inputs)):
                scratch[back + k] = gate * left[other + k] * (scratch[k] - mean_fed)
    _write_row(scratch, size, d_made[0], d_made[1], d_made[2], rnn, sequences * columns)
    if mixes:
        to, step, at = np.uint64(d_responses[1] + rnn * WIDTH), np.uint64(d_responses[2]), back
        for k in range(np.uint64(size)):
            d_responses[0][to + k // _W * step + k % _W] += scratch[at + k]


@numba.njit(**OPTIONS)
def read_responses(outputs, rnn, kind, scale, answers, sequences, responses, first, step, scratch):
    """Write one RNN's outputs (in panels) to row `rnn` of the responses, normalized as `kind` says.

    kind: 0 for as they are, 1 for log-probabilities, 2 for units of their spread. scale: centre, spread, largest.
    """
    centre, spread, largest = scale
    size = np.uint64(sequences * answers)
    _read_rows(outputs, sequences, answers, scratch)
    if kind == 1:
        _lower(scratch, 0, sequences, answers)
        for k in range(size):
            scratch[size + k] = fast_exp(scratch[k])
        for sequence in range(np.uint64(sequences)):
            at, total = sequence * np.uint64(answers), _ZERO
            for k in range(at, at + np.uint64(answers)):
                total += scratch[size + k]
            shift = np.float32(np.log(total))
            for k in range(at, at + np.uint64(answers)):
                scratch[k] -= shift
    elif kind == 2:
        for k in range(size):
            y = (scratch[k] - centre) / spread
            scratch[k] = -largest if y < -largest else min(y, largest)
    _write_row(scratch, 0, responses, first, step, rnn, size)


@numba.njit(**OPTIONS)
def retreat_responses(d_responses, responses, rnn, kind, scale, answers, sequences, d_outputs, scratch):
    """Go back from the gradient of one RNN's responses to that of its outputs, in panels.

    d_responses, responses: `(array, first entry, step from panel to panel)`.
    """
    _, spread, largest = scale
    size = np.uint64(sequences * answers)
    _read_row(d_responses[0], d_responses[1], d_responses[2], rnn, size, scratch, 0)
    _read_row(responses[0], responses[1], responses[2], rnn, size, scratch, size)
    if kind == 1:
        for k in range(size):
            scratch[size + k] = fast_exp(scratch[size + k])
        for sequence in range(np.uint64(sequences)):
            at, total = sequence * np.uint64(answers), _ZERO
            for k in range(at, at + np.uint64(answers)):
                total += scratch[k]
            for k in range(at, at + np.uint64(answers)):
                scratch[k] -= scratch[size + k] * total
    elif kind == 2:
        for k in range(size):
            scratch[k] = scratch[k] / spread if abs(scratch[size + k]) < largest else _ZERO
    _write_rows(scratch, sequences, answers, d_outputs)


# -- the whole dialogue ----------------------------------------------------------------------------


@register_jitable
def left_sizes(shape, sizes):
    """Return how many numbers each array has that a dialogue leaves behind, in the order of `_forward`'s `left`.

    Args:
        shape: `(R, slots, M, inputs, outputs, made for each probe, width of the MLPs, hidden units of E_R)`.
        sizes: the RNNs' architecture.
    """
    rows, slots, sequences, inputs, outputs, columns, width, units = shape
    block = slots * rows * WIDTH
    mp, hp = panels_of(width) * block, panels_of(units) * block
    gates, own, cells, extra, _ = record_sizes(sizes, sequences)
    of_rnn = slots * rows
    return (
        (of_rnn * gates, of_rnn * own, of_rnn * cells, of_rnn * extra),
        (mp, panels_of(sequences * outputs) * block, mp, of_rnn * sequences * (2 * inputs + 1)),
        (2 * hp, 4 * hp, hp, hp, 2 * hp, 4 * hp, hp, hp),
    )


@functools.cache
def compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile both directions, once for all sizes, or take them from Numba's cache on disk."""
    source = SOURCE

    @numba.njit(cache=True, **OPTIONS)
    def forward(shape, sizes, asked, answered, flat, given, weights, packed, record, left, read, length):
        """Have a dialogue of `length` exchanges with R RNNs.

        Args:
            shape: see `left_sizes`.
            sizes: the RNNs' architecture.
            asked: `(interactive, first probe is given, inputs are categorical, probes feed on responses, low end and
                length of the range of continuous inputs)`.
            answered: kind and scale of responses, see `read_responses`.
            flat: the RNNs' flat weights, (R, P).
            given: panels of the probes of every exchange, or of the first.
            weights: of E_I, E_O and E_R, packed: a weight and a bias for each of six layers.
            packed: `(weights, biases)` of the RNNs, each (R, size).
            record: what the RNNs leave behind, each (R, size).
            left: what E_I, responses, E_O and probes leave behind.
            read: what E_R leaves behind, for each layer: what it read, gates, cells, and their tanh.
        """
        _ = source
        rows, slots, sequences, inputs, outputs, columns, width, units = shape
        interactive, begins, categorical, feeds, low, span = asked
        kind, scale = answered
        w1, b1, w2, b2, w3, b3, w4, b4, wa, ba, wb, bb = weights
        hidden_1, responses, hidden_2, kept = left
        read_a, gates_a, cells_a, squashed_a, read_b, gates_b, cells_b, squashed_b = read
        ip, op, hp, mp = panels_of(inputs), panels_of(outputs), panels_of(units), panels_of(width)
        pp, fp = panels_of(sequences * columns), panels_of(sequences * outputs)
        block, panel = rows * WIDTH, slots * rows * WIDTH
        made, top = aligned(pp * block), aligned(hp * block)
        probes, arrived = aligned(ip * sequences * WIDTH), aligned(op * sequences * WIDTH)
        recurrent = aligned(record_sizes(sizes, sequences)[4])
        responses[:] = _ZERO
        for rnn in range(rows):
            pack_forward(flat[rnn], sizes, packed[0][rnn], packed[1][rnn])
        kept_size = sequences * (2 * inputs + 1)
        counts = (inputs, columns, sequences)
        scratch = aligned(sequences * (2 * outputs + columns + 2 * inputs))
        for step in range(length):
            slot, after, before = step % slots, (step + 1) % slots, (step - 1) % slots
            at = slot * block
            asks = interactive and not (begins and step == 0)
            if asks:
                linear(w1, b1, read_b, hp * panel + at, panel, hidden_1, at, panel, rows, hp * WIDTH, mp)
                rectify(hidden_1, at, panel, rows, mp)
                linear(w2, b2, hidden_1, at, panel, made, 0, block, rows, mp * WIDTH, pp)
            for rnn in range(rows):
                first = 0
                if asks:
                    place = (slot * rows + rnn) * kept_size
                    make_probes(
                        made, rnn, block, (categorical, feeds, step > 0), (low, span),
                        (responses, before * block, panel), counts, (kept, place), probes, scratch,
                    )  # fmt: skip
                else:
                    first = (0 if interactive else step) * ip * sequences * WIDTH
                one = (record[0][rnn], record[1][rnn], record[2][rnn], record[3][rnn], recurrent)
                forward_step(
                    sizes, sequences, (packed[0][rnn], packed[1][rnn], 0, 0), probes if asks else given,
                    (first, slot, after, slot), one, arrived, 0,
                )  # fmt: skip
                read_responses(arrived, rnn, kind, scale, outputs, sequences, responses, at, panel, scratch)
            linear(w3, b3, responses, at, panel, hidden_2, at, panel, rows, fp * WIDTH, mp)
            rectify(hidden_2, at, panel, rows, mp)
            linear(w4, b4, hidden_2, at, panel, read_a, at, panel, rows, mp * WIDTH, hp)
            then = after * block
            linear(wa, ba, read_a, at, panel, gates_a, at, panel, rows, 2 * hp * WIDTH, 4 * hp)
            lstm_rows_forward(gates_a, cells_a, squashed_a, at, then, panel, top, 0, block, rows, hp)
            for part in range(hp):
                copy(top, part * block, read_b, part * panel + at, block)
                copy(top, part * block, read_a, (hp + part) * panel + then, block)
            linear(wb, bb, read_b, at, panel, gates_b, at, panel, rows, 2 * hp * WIDTH, 4 * hp)
            lstm_rows_forward(gates_b, cells_b, squashed_b, at, then, panel, top, 0, block, rows, hp)
            for part in range(hp):
                copy(top, part * block, read_b, (hp + part) * panel + then, block)

    @numba.njit(cache=True, **OPTIONS)
    def backward(shape, sizes, asked, answered, flat, weights, packed, record, left, read, gone, memory, given, sums):
        """Go back through a dialogue with R RNNs.

        Args:
            shape, sizes, asked, answered, flat, record, left, read: as they were on the way there.
            weights: of the six layers, packed for the way back.
            packed: room for the RNNs' weights, (R, size).
            gone: room for gradients of what E_I made, its hidden layer, E_O's, what E_R read, and E_R's gates, twice.
            memory: the gradients of E_R's hidden vectors and cells after the last exchange, layer by layer; those
                before the first replace them.
            given: gets the gradient of the probes that were given.
            sums: get the gradients of the weights and biases of the six layers.
        """
        _ = source
        rows, slots, sequences, inputs, outputs, columns, width, units = shape
        interactive, begins, categorical, feeds, low, span = asked
        kind, scale = answered
        w1, w2, w3, w4, wa, wb = weights
        hidden_1, responses, hidden_2, kept = left
        read_a, gates_a, cells_a, squashed_a, read_b, gates_b, cells_b, squashed_b = read
        d_made, d_hidden_1, d_hidden_2, d_read_a, d_gates_a, d_gates_b = gone
        d_ha, d_ca, d_hb, d_cb = memory
        ip, op, hp, mp = panels_of(inputs), panels_of(outputs), panels_of(units), panels_of(width)
        pp, fp = panels_of(sequences * columns), panels_of(sequences * outputs)
        block, panel, length = rows * WIDTH, slots * rows * WIDTH, slots - 1
        zeros = aligned(max(4 * hp, mp, fp) * WIDTH)
        d_read, d_probes = aligned(2 * hp * block), aligned(ip * sequences * WIDTH)
        d_outputs = aligned(op * sequences * WIDTH)
        now, then = aligned(fp * block), aligned(fp * block)
        own, gate_size = record_sizes(sizes, sequences)[1], record_sizes(sizes, sequences)[4]
        d_hidden, d_cells = aligned(rows * own), aligned(rows * own)
        d_gates, d_recurrent = aligned(gate_size), aligned(gate_size)
        kept_size = sequences * (2 * inputs + 1)
        counts = (inputs, columns, sequences)
        scratch = aligned(sequences * (2 * outputs + columns + 2 * inputs))
        d_made[:] = _ZERO
        d_hidden_1[:] = _ZERO
        for rnn in range(rows):
            pack_backward(flat[rnn], sizes, packed[rnn])
        for step in range(length - 1, -1, -1):
            at = step * block
            lstm_rows_backward(gates_b, cells_b, squashed_b, at, panel, d_hb, d_cb, d_gates_b, rows, hp)
            linear(wb, zeros, d_gates_b, at, panel, d_read, 0, block, rows, 4 * hp * WIDTH, 2 * hp)
            add(d_read, 0, d_ha, 0, hp * block)
            copy(d_read, hp * block, d_hb, 0, hp * block)
            lstm_rows_backward(gates_a, cells_a, squashed_a, at, panel, d_ha, d_ca, d_gates_a, rows, hp)
            linear(wa, zeros, d_gates_a, at, panel, d_read, 0, block, rows, 4 * hp * WIDTH, 2 * hp)
            for part in range(hp):
                copy(d_read, part * block, d_read_a, part * panel + at, block)
            copy(d_read, hp * block, d_ha, 0, hp * block)
            linear(w4, zeros, d_read, 0, block, d_hidden_2, at, panel, rows, hp * WIDTH, mp)
            retreat_rectified(hidden_2, at, d_hidden_2, at, panel, rows, mp)
            place = (0, WIDTH, block)
            add_panels(
                now, place, d_hidden_2, (at, panel), w3, (0, mp * WIDTH * WIDTH), now, place, (rows, mp * WIDTH, fp)
            )
            then[:] = _ZERO
            asks = interactive and not (begins and step == 0)
            for rnn in range(rows):
                retreat_responses(
                    (now, 0, block), (responses, at, panel), rnn, kind, scale, outputs, sequences, d_outputs, scratch
                )
                one = (record[0][rnn], record[1][rnn], record[2][rnn], record[3][rnn])
                flow = (
                    d_hidden[rnn * own : (rnn + 1) * own],
                    d_cells[rnn * own : (rnn + 1) * own],
                    d_gates,
                    d_recurrent,
                )
                backward_step(
                    sizes, sequences, (packed[rnn], 0), d_outputs, d_probes, (0, 0, step, step + 1, step), one, flow,
                    zeros,
                )  # fmt: skip
                if asks:
                    retreat_probes(
                        d_probes, rnn, (categorical, feeds, step > 0), span, counts,
                        (kept, (step * rows + rnn) * kept_size), (d_made, at, panel), (then, 0, block), scratch,
                    )  # fmt: skip
                elif not interactive:
                    add(d_probes, 0, given, step * ip * sequences * WIDTH, ip * sequences * WIDTH)
            now, then = then, now
            if asks:
                linear(w2, zeros, d_made, at, panel, d_hidden_1, at, panel, rows, pp * WIDTH, mp)
                retreat_rectified(hidden_1, at, d_hidden_1, at, panel, rows, mp)
                add_panels(
                    d_hb, place, d_hidden_1, (at, panel), w1, (0, mp * WIDTH * WIDTH), d_hb, place,
                    (rows, mp * WIDTH, hp),
                )  # fmt: skip
        all_rows = length * rows
        first = 1 if begins else 0  # the first exchange asked nothing of E_I
        if interactive and length > first:
            begin, asked_rows = first * block, (length - first) * rows
            source_1 = hp * panel + begin
            add_gradient(read_b, source_1, panel, d_hidden_1, begin, panel, sums[0], asked_rows, hp, mp)
            add_rows(d_hidden_1[begin:], panel, sums[1], asked_rows, mp)
            add_gradient(hidden_1, begin, panel, d_made, begin, panel, sums[2], asked_rows, mp, pp)
            add_rows(d_made[begin:], panel, sums[3], asked_rows, pp)
        add_gradient(responses, 0, panel, d_hidden_2, 0, panel, sums[4], all_rows, fp, mp)
        add_rows(d_hidden_2, panel, sums[5], all_rows, mp)
        add_gradient(hidden_2, 0, panel, d_read_a, 0, panel, sums[6], all_rows, mp, hp)
        add_rows(d_read_a, panel, sums[7], all_rows, hp)
        add_gradient(read_a, 0, panel, d_gates_a, 0, panel, sums[8], all_rows, 2 * hp, 4 * hp)
        add_rows(d_gates_a, panel, sums[9], all_rows, 4 * hp)
        add_gradient(read_b, 0, panel, d_gates_b, 0, panel, sums[10], all_rows, 2 * hp, 4 * hp)
        add_rows(d_gates_b, panel, sums[11], all_rows, 4 * hp)

    return forward, backward
