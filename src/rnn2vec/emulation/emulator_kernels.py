"""An emulator of two LSTM layers through whole sequences as one compiled kernel, forward and backward.

The products are those that the library's LSTM does, but weights and a few rows stay in the cache from step to step,
nonlinearities follow while their numbers are still there, and what does not change from step to step is computed once
(`fused_emulator`). Matrices are in panels, see `rnn2vec.rnn.kernels.panels`; rows are sequences.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba

from rnn2vec.rnn.kernels.layers import (
    add,
    add_gradient,
    add_rows,
    copy,
    linear,
    lstm_rows_backward,
    lstm_rows_forward,
)
from rnn2vec.rnn.kernels.panels import SOURCE, WIDTH, add_panels
from rnn2vec.rnn.kernels.sequences import aligned
from rnn2vec.rnn.kernels.steps import OPTIONS, panels_of


@functools.cache
def compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile both directions, once for all sizes, or take them from Numba's cache on disk."""
    source = SOURCE

    @numba.njit(cache=True, **OPTIONS)
    def forward(shape, inputs, starts, weights, left, outputs):
        """Emulate R sequences of T steps.

        Args:
            shape: `(R, T, slots, inputs, outputs, hidden units)`; a backward pass
                needs one more slot than steps, and two suffice without.
            inputs: panels of T * R rows, step by step.
            starts: initial values of the lower layer's gates: panels of R rows for the first step, then for others.
            weights: packed weights `(inputs to gates, hidden to gates, upper layer, readout)` and biases of the last
                two.
            left: values for the backward pass, `(read, gates, cells, tanh of the cells)` of the lower and of the upper
                layer; read, cells, and the first step's zeros.
            outputs: array that receives panels of T * R rows.
        """
        _ = source
        rows, steps, slots, columns, answers, units = shape
        w_in, w_hidden, w_upper, b_upper, w_out, b_out = weights
        read_a, gates_a, cells_a, squashed_a, read_b, gates_b, cells_b, squashed_b = left
        hp = panels_of(units)
        block, panel, whole = rows * WIDTH, slots * rows * WIDTH, steps * rows * WIDTH
        top = aligned(hp * block)
        for step in range(steps):
            at, then = step % slots * block, (step + 1) % slots * block
            begin = 0 if step == 0 else 4 * hp * block
            place = (at, WIDTH, panel)
            add_panels(
                starts, (begin, WIDTH, block), inputs, (step * block, whole), w_in, (0, columns * WIDTH), gates_a,
                place, (rows, columns, 4 * hp),
            )  # fmt: skip
            add_panels(
                gates_a, place, read_a, (at, panel), w_hidden, (0, hp * WIDTH * WIDTH), gates_a, place,
                (rows, hp * WIDTH, 4 * hp),
            )  # fmt: skip
            lstm_rows_forward(gates_a, cells_a, squashed_a, at, then, panel, top, 0, block, rows, hp)
            for part in range(hp):
                copy(top, part * block, read_b, part * panel + at, block)
                copy(top, part * block, read_a, part * panel + then, block)
            linear(w_upper, b_upper, read_b, at, panel, gates_b, at, panel, rows, 2 * hp * WIDTH, 4 * hp)
            lstm_rows_forward(gates_b, cells_b, squashed_b, at, then, panel, top, 0, block, rows, hp)
            for part in range(hp):
                copy(top, part * block, read_b, (hp + part) * panel + then, block)
            linear(w_out, b_out, top, 0, block, outputs, step * block, whole, rows, hp * WIDTH, panels_of(answers))

    @numba.njit(cache=True, **OPTIONS)
    def backward(shape, inputs, weights, left, d_outputs, gone, sums):
        """Go back.

        Args:
            shape, inputs, left: as they were on the way there.
            weights: `(hidden to gates, upper layer, readout)`, packed for the way back.
            d_outputs: the gradient of the outputs, in panels of T * R rows.
            gone: room for the gradients of the gates of both layers.
            sums: get the gradients of `(starts, inputs to gates, hidden to gates, upper layer, readout)` and of the
                biases of the last two.
        """
        _ = source
        rows, steps, slots, columns, answers, units = shape
        w_hidden, w_upper, w_out = weights
        read_a, gates_a, cells_a, squashed_a, read_b, gates_b, cells_b, squashed_b = left
        d_gates_a, d_gates_b = gone
        d_starts, of_inputs, of_hidden, of_upper, of_b_upper, of_out, of_b_out = sums
        hp, ip, op = panels_of(units), panels_of(columns), panels_of(answers)
        block, panel, whole = rows * WIDTH, slots * rows * WIDTH, steps * rows * WIDTH
        zeros = aligned(2 * hp * WIDTH)
        d_read = aligned(2 * hp * block)
        d_ha, d_ca, d_hb, d_cb = aligned(hp * block), aligned(hp * block), aligned(hp * block), aligned(hp * block)
        place = (0, WIDTH, block)
        for step in range(steps - 1, -1, -1):
            at = step * block
            add_panels(
                d_hb, place, d_outputs, (at, whole), w_out, (0, op * WIDTH * WIDTH), d_hb, place,
                (rows, op * WIDTH, hp),
            )  # fmt: skip
            lstm_rows_backward(gates_b, cells_b, squashed_b, at, panel, d_hb, d_cb, d_gates_b, rows, hp)
            linear(w_upper, zeros, d_gates_b, at, panel, d_read, 0, block, rows, 4 * hp * WIDTH, 2 * hp)
            add(d_read, 0, d_ha, 0, hp * block)
            copy(d_read, hp * block, d_hb, 0, hp * block)
            lstm_rows_backward(gates_a, cells_a, squashed_a, at, panel, d_ha, d_ca, d_gates_a, rows, hp)
            linear(w_hidden, zeros, d_gates_a, at, panel, d_ha, 0, block, rows, 4 * hp * WIDTH, hp)
            begin = 0 if step == 0 else 4 * hp * block
            for part in range(4 * hp):
                add(d_gates_a, part * panel + at, d_starts, begin + part * block, block)
        all_rows = steps * rows
        add_gradient(inputs, 0, whole, d_gates_a, 0, panel, of_inputs, all_rows, ip, 4 * hp)
        add_gradient(read_a, 0, panel, d_gates_a, 0, panel, of_hidden, all_rows, hp, 4 * hp)
        add_gradient(read_b, 0, panel, d_gates_b, 0, panel, of_upper, all_rows, 2 * hp, 4 * hp)
        add_rows(d_gates_b, panel, of_b_upper, all_rows, 4 * hp)
        after = hp * panel + block  # the upper hidden vectors, from that after the first step on
        add_gradient(read_b, after, panel, d_outputs, 0, whole, of_out, all_rows, hp, op)
        add_rows(d_outputs, whole, of_b_out, all_rows, op)

    return forward, backward
