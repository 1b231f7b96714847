"""Layers whose weights all rows of a matrix share: linear ones, ReLU and LSTM, forward and backward.

Matrices are in panels (see `panels`). The rows that belong to one step of a sequence follow one another in each panel,
steps after one another, so that the gradient of weights is one product over all steps.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import numba
import numpy as np

from rnn2vec.rnn.kernels.functions import INLINED
from rnn2vec.rnn.kernels.panels import WIDTH, add_panels, add_transposed
from rnn2vec.rnn.kernels.steps import OPTIONS, lstm_backward, lstm_forward

_ZERO = np.float32(0.0)


@numba.njit(**OPTIONS)
def linear(weights, biases, source, at, step, out, to, out_step, rows, inner, panels):
    """`out = source @ weights + biases`; step and out_step are the numbers from one panel to the next."""
    add_panels(
        biases, (0, 0, WIDTH), source, (at, step), weights, (0, inner * WIDTH), out, (to, WIDTH, out_step),
        (rows, inner, panels),
    )  # fmt: skip


@numba.njit(**OPTIONS)
def add_gradient(source, at, step, gradient, to, gradient_step, out, rows, inner_panels, panels):
    """Add `source.T @ gradient` to the gradient of weights, `out` in panels (panels, inner_panels * WIDTH, WIDTH)."""
    for panel in range(inner_panels):
        place = (panel * WIDTH * WIDTH, WIDTH, inner_panels * WIDTH * WIDTH)
        add_transposed(
            out, place, source, (at + panel * step, 0), gradient, (to, gradient_step), out, place,
            (WIDTH, rows, panels),
        )  # fmt: skip


@numba.njit(**OPTIONS)
def add_rows(gradient, step, out, rows, panels):
    """Add the sum over rows to the gradient of biases."""
    for panel in range(panels):
        for row in range(rows):
            at = np.uint64(panel * step + row * WIDTH)
            to = np.uint64(panel * WIDTH)
            for lane in range(np.uint64(WIDTH)):
                out[to + lane] += gradient[at + lane]


@numba.njit(**INLINED)
def rectify(values, at, step, rows, panels):
    """Take the ReLU, in place."""
    for panel in range(panels):
        first = np.uint64(at + panel * step)
        for k in range(np.uint64(rows * WIDTH)):
            x = values[first + k]
            values[first + k] = max(x, _ZERO)  # NaN stays


@numba.njit(**INLINED)
def retreat_rectified(values, at, gradient, to, step, rows, panels):
    """Let the gradient through where the ReLU did."""
    for panel in range(panels):
        first, second = np.uint64(at + panel * step), np.uint64(to + panel * step)
        for k in range(np.uint64(rows * WIDTH)):
            if not values[first + k] > _ZERO:
                gradient[second + k] = _ZERO


@numba.njit(**OPTIONS)
def lstm_rows_forward(gates, cells, squashed, at, then, step, hidden, to, to_step, rows, hp):
    """Do one LSTM step on rows, from their gates before the nonlinearity.

    gates, cells and squashed (the tanh of the cells) have panels `step` apart; this step's begin at `at`, the next
    one's at `then`. hidden has panels `to_step` apart.
    """
    for panel in range(hp):
        i = at + panel * step
        lstm_forward(
            gates, i, i + hp * step, i + 2 * hp * step, i + 3 * hp * step, cells, i, then + panel * step, squashed, i,
            hidden, to + panel * to_step, rows * WIDTH,
        )  # fmt: skip


@numba.njit(**OPTIONS)
def lstm_rows_backward(gates, cells, squashed, at, step, d_hidden, d_cells, d_gates, rows, hp):
    """Go back through one LSTM step on rows; d_hidden and d_cells are those of this step alone, panel after panel."""
    size = rows * WIDTH
    for panel in range(hp):
        i = at + panel * step
        f, g, o = i + hp * step, i + 2 * hp * step, i + 3 * hp * step
        lstm_backward(
            gates, i, f, g, o, cells, i, squashed, i, d_hidden, panel * size, d_cells, panel * size, d_gates, i, f, g,
            o, size,
        )  # fmt: skip


@numba.njit(**INLINED)
def add(values, at, out, to, size):
    """Add `size` numbers to others."""
    at, to = np.uint64(at), np.uint64(to)
    for k in range(np.uint64(size)):
        out[to + k] += values[at + k]


@numba.njit(**INLINED)
def copy(values, at, out, to, size):
    """Copy `size` numbers."""
    at, to = np.uint64(at), np.uint64(to)
    for k in range(np.uint64(size)):
        out[to + k] = values[at + k]
