"""Whole sequences through RNNs, one RNN after the other: its weights stay in the cache from the first step to the last.

What `RNNStack.__call__` computes, and its gradient to the inputs. See `steps` for one step, `rnn2vec.rnn.fused` for how
torch calls it.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import register_jitable

from rnn2vec.rnn.kernels.functions import INLINED
from rnn2vec.rnn.kernels.panels import SOURCE, WIDTH
from rnn2vec.rnn.kernels.steps import (
    LSTM,
    OPTIONS,
    backward_step,
    forward_step,
    pack_backward,
    pack_forward,
    packed_sizes,
    panels_of,
)


@numba.njit(**OPTIONS)
def aligned(size):
    """Return an array of zeros that begins with a line of the cache."""
    room = np.zeros(size + 16, np.float32)
    first = (-(room.ctypes.data // 4)) % 16
    return room[first : first + size]


@register_jitable
def record_sizes(sizes, rows):
    """Return how much one step leaves behind: numbers of gates, hidden vectors, cells, extra, and a recurrent part."""
    cell, _, units, layers, _, gates = sizes
    size = panels_of(units) * rows * WIDTH
    own = layers * size
    has_state = cell <= 1  # LSTM or GRU
    return gates * own, own, own if cell == LSTM else 0, own if has_state else 0, gates * size


@numba.njit(**INLINED)
def read_step(values, rnn, step, rows, columns, out, at):
    """Write step `step` of values (N, B, T, columns) to panels."""
    for column in range(columns):
        to = at + column // WIDTH * rows * WIDTH + column % WIDTH
        for row in range(rows):
            out[to + row * WIDTH] = values[rnn, row, step, column]


@numba.njit(**INLINED)
def write_step(panels, at, rnn, step, rows, columns, out):
    """Write panels to step `step` of out (N, B, T, columns)."""
    for column in range(columns):
        first = at + column // WIDTH * rows * WIDTH + column % WIDTH
        for row in range(rows):
            out[rnn, row, step, column] = panels[first + row * WIDTH]


@numba.njit(**INLINED)
def read_state(state, rnn, which, layers, rows, units, out):
    """Write the state vectors (layers, kinds, N, B, H) of one kind to the first step of a record."""
    size = panels_of(units) * rows * WIDTH
    for k in range(layers * size):
        out[k] = np.float32(0.0)
    for layer in range(layers):
        for unit in range(units):
            to = layer * size + unit // WIDTH * rows * WIDTH + unit % WIDTH
            for row in range(rows):
                out[to + row * WIDTH] = state[layer, which, rnn, row, unit]


@numba.njit(**INLINED)
def write_state(vectors, first, rnn, which, layers, rows, units, out):
    """Write the vectors of one step to the state vectors (layers, kinds, N, B, H) of one kind."""
    size = panels_of(units) * rows * WIDTH
    for layer in range(layers):
        for unit in range(units):
            at = first + layer * size + unit // WIDTH * rows * WIDTH + unit % WIDTH
            for row in range(rows):
                out[layer, which, rnn, row, unit] = vectors[at + row * WIDTH]


@functools.cache
def compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile both directions, once for all architectures, or take them from Numba's cache on disk."""
    source = SOURCE

    @numba.njit(cache=True, **OPTIONS)
    def forward(sizes, begin, end, flat, inputs, state, outputs, record, keep):
        """Run RNNs `begin` to `end`: inputs (N, B, T, I) to outputs (N, B, T, O), and the state (in place).

        flat (N, P). state (layers, kinds, N, B, H). record: `(gates, hidden, cells, extra)`, each (N, size), with
        `keep`; else empty.
        """
        _ = source
        cell, columns, units, layers, answers, _ = sizes
        rows, steps = inputs.shape[1], inputs.shape[2]
        forward_size, bias_size, _ = packed_sizes(sizes)
        weights, biases = aligned(forward_size), aligned(bias_size)
        gate_size, own, cell_size, extra_size, recurrent_size = record_sizes(sizes, rows)
        recurrent = aligned(recurrent_size)
        read = aligned(panels_of(columns) * rows * WIDTH)
        made = aligned(panels_of(answers) * rows * WIDTH)
        gates, hidden, cells, extra = aligned(gate_size), aligned(2 * own), aligned(2 * cell_size), aligned(extra_size)
        for rnn in range(begin, end):
            pack_forward(flat[rnn], sizes, weights, biases)
            if keep:
                gates, hidden, cells, extra = record[0][rnn], record[1][rnn], record[2][rnn], record[3][rnn]
            read_state(state, rnn, 0, layers, rows, units, hidden)
            if cell == LSTM:
                read_state(state, rnn, 1, layers, rows, units, cells)
            now = 0
            for step in range(steps):
                before, now = (step, step + 1) if keep else (step % 2, (step + 1) % 2)
                read_step(inputs, rnn, step, rows, columns, read, 0)
                forward_step(
                    sizes, rows, (weights, biases, 0, 0), read, (0, before, now, step if keep else 0),
                    (gates, hidden, cells, extra, recurrent), made, 0,
                )  # fmt: skip
                write_step(made, 0, rnn, step, rows, answers, outputs)
            write_state(hidden, now * own, rnn, 0, layers, rows, units, state)
            if cell == LSTM:
                write_state(cells, now * own, rnn, 1, layers, rows, units, state)

    @numba.njit(cache=True, **OPTIONS)
    def backward(sizes, begin, end, flat, d_outputs, d_inputs, d_state, record):
        """Go back: d_outputs (N, B, T, O) and d_state to d_inputs (N, B, T, I) and d_state (in place)."""
        _ = source
        cell, columns, units, layers, answers, _ = sizes
        rows, steps = d_outputs.shape[1], d_outputs.shape[2]
        weights = aligned(packed_sizes(sizes)[2])
        gate_size, own, _, _, recurrent_size = record_sizes(sizes, rows)
        arrived = aligned(panels_of(answers) * rows * WIDTH)
        made = aligned(panels_of(columns) * rows * WIDTH)
        d_hidden, d_cells = aligned(own), aligned(own)
        flow = (d_hidden, d_cells, aligned(recurrent_size), aligned(recurrent_size))
        zeros = aligned(WIDTH)
        for rnn in range(begin, end):
            pack_backward(flat[rnn], sizes, weights)
            read_state(d_state, rnn, 0, layers, rows, units, d_hidden)
            d_cells[:] = np.float32(0.0)
            if cell == LSTM:
                read_state(d_state, rnn, 1, layers, rows, units, d_cells)
            one = (record[0][rnn], record[1][rnn], record[2][rnn], record[3][rnn])
            for step in range(steps - 1, -1, -1):
                read_step(d_outputs, rnn, step, rows, answers, arrived, 0)
                backward_step(sizes, rows, (weights, 0), arrived, made, (0, 0, step, step + 1, step), one, flow, zeros)
                write_step(made, 0, rnn, step, rows, columns, d_inputs)
            if cell != LSTM:  # a GRU hands part of the gradient on past its gates
                for k in range(own):
                    d_hidden[k] += d_cells[k]
            write_state(d_hidden, 0, rnn, 0, layers, rows, units, d_state)
            if cell == LSTM:
                write_state(d_cells, 0, rnn, 1, layers, rows, units, d_state)

    return forward, backward
