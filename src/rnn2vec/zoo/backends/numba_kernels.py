"""Training one LSTM in cache: forward, backward and AdamW for S steps, compiled for one size.

The kernel of the Numba backend, alone in its file because Numba's on-disk cache notices edits only here. What
makes it fast:

- Sizes are compile-time constants (closure variables): loops unroll and vectorize.
- A model's weights, moments and activations stay in the L2 cache for hundreds of steps: one thread per model.
- Recurrent products go to BLAS through `np.dot`; products over all time steps at once (input weights of upper
  layers, every weight gradient) are single large ones.
- One-hot inputs are table lookups: row v of the table is column v of W_ih plus both biases.
- tanh and the sigmoid are one rational function without branches, which vectorizes; libm's would take longer
  than all products together.

Inside the kernel the weights are transposed (`kernel_order`), so that `h @ W` and its gradient are contiguous.
"""

# pyright: basic, reportUnusedParameter=false
from __future__ import annotations

import functools
from collections.abc import Callable

import numba
import numpy as np
from numba import types
from numba.extending import overload

from rnn2vec.rnn.spec import RNNSpec

_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}  # not "nnan": a diverging run must stay visible

# tanh(x) = x P(x^2) / Q(x^2) on [-9, 9], relative error 2.1e-8 before rounding, 4e-7 in float32. Fitted by
# iteratively reweighted least squares on Chebyshev points; beyond 9, tanh is 1 - 3e-8.
_P = (1.0, 0.13381019234657288, 0.003495580982416868, 2.0608964405255392e-05, 1.3354499728279734e-08)
_Q = (1.0, 0.46714335680007935, 0.025876956060528755, 0.00032856230973266065, 7.776491770528082e-07)


def kernel_order(spec: RNNSpec) -> np.ndarray:
    """Where each number of the kernel's flat weights stands in PyTorch's: `kernel = flat[:, order]`.

    The kernel keeps matrices transposed and groups them: W_ih of layer 0, W_ih of the others, W_hh, biases, readout.
    """
    sizes = [int(np.prod(shape)) for shape in spec.parameter_shapes.values()]
    starts = dict(zip(spec.parameter_shapes, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    def places(name: str) -> np.ndarray:
        shape = spec.parameter_shapes[name]
        return (starts[name] + np.arange(int(np.prod(shape))).reshape(shape)).T.ravel()

    layers = range(spec.num_layers)
    names = [f"rnn.weight_ih_l{layer}" for layer in layers] + [f"rnn.weight_hh_l{layer}" for layer in layers]
    names += [f"rnn.bias_{kind}_l{layer}" for layer in layers for kind in ("ih", "hh")]
    return np.concatenate([places(name) for name in [*names, "readout.weight", "readout.bias"]])


def _tanh(x):
    """tanh inside kernels: the rational function in float32, libm's in float64."""
    raise NotImplementedError


@overload(_tanh, inline="always")
def _tanh_of_type(x):
    if x != types.float32:
        return lambda x: np.tanh(x)
    p0, p1, p2, p3, p4 = (np.float32(c) for c in _P)
    q0, q1, q2, q3, q4 = (np.float32(c) for c in _Q)
    limit = np.float32(9.0)

    def rational(x):
        x = min(max(x, -limit), limit)
        u = x * x
        p = (((p4 * u + p3) * u + p2) * u + p1) * u + p0
        q = (((q4 * u + q3) * u + q2) * u + q1) * u + q0
        return x * p / q

    return rational


# The helpers are module functions inlined into the kernel, not closures: a closure over another compiled function
# has a new key in Numba's cache in every process.


@numba.njit(inline="always")
def _activate(gates, recurrent_part, R, H):
    """Gates (R, 4H) from their input part, in place."""
    half = gates.dtype.type(0.5)
    for r in range(R):
        for k in range(2 * H):
            gates[r, k] = half + half * _tanh(half * (gates[r, k] + recurrent_part[r, k]))
        for k in range(2 * H, 3 * H):
            gates[r, k] = _tanh(gates[r, k] + recurrent_part[r, k])
        for k in range(3 * H, 4 * H):
            gates[r, k] = half + half * _tanh(half * (gates[r, k] + recurrent_part[r, k]))


@numba.njit(inline="always")
def _advance(gates, cell, new_cell, tanh_cell, new_hidden, R, H):
    """The LSTM's cell and hidden vectors (R, H) from its gates."""
    for r in range(R):
        for j in range(H):
            new_cell[r, j] = gates[r, H + j] * cell[r, j] + gates[r, j] * gates[r, 2 * H + j]
        for j in range(H):
            tanh_cell[r, j] = _tanh(new_cell[r, j])
        for j in range(H):
            new_hidden[r, j] = gates[r, 3 * H + j] * tanh_cell[r, j]


@numba.njit(inline="always")
def _retreat(gates, cell, tanh_cell, d_hidden, d_hidden_next, d_cell, R, H):
    """Backward through one step: gates become their own pre-activation gradients, d_cell the step before's."""
    one = gates.dtype.type(1.0)
    for r in range(R):
        for j in range(H):
            d_hidden[r, j] += d_hidden_next[r, j]
        for j in range(H):
            o = gates[r, 3 * H + j]
            d_cell[r, j] += d_hidden[r, j] * o * (one - tanh_cell[r, j] * tanh_cell[r, j])
        for j in range(H):
            i, f = gates[r, j], gates[r, H + j]
            g, o = gates[r, 2 * H + j], gates[r, 3 * H + j]
            d = d_cell[r, j]
            gates[r, j] = d * g * i * (one - i)
            gates[r, H + j] = d * cell[r, j] * f * (one - f)
            gates[r, 2 * H + j] = d * i * (one - g * g)
            gates[r, 3 * H + j] = d_hidden[r, j] * tanh_cell[r, j] * o * (one - o)
            d_cell[r, j] = d * f


@numba.njit(inline="always")
def _cross_entropy(logits, targets, row_weights, T, R, O):
    """The loss; logits (T, R, O) become their own gradients."""
    steps = logits.dtype.type(T)
    loss = 0.0
    for t in range(T):
        for r in range(R):
            highest = logits[t, r, 0]
            for k in range(1, O):
                highest = max(highest, logits[t, r, k])
            right = targets[r, t]
            log_right = logits[t, r, right] - highest
            total = logits.dtype.type(0.0)
            for k in range(O):
                logits[t, r, k] = np.exp(logits[t, r, k] - highest)
                total += logits[t, r, k]
            loss += row_weights[r] * (np.log(total) - log_right)
            scale = row_weights[r] / steps
            for k in range(O):
                logits[t, r, k] *= scale / total
            logits[t, r, right] -= scale
    return loss / T


@numba.njit(inline="always")
def _adamw(w, m, v, g, learning_rate, decay, step, size):
    real = w.dtype.type
    one, b1, b2, epsilon = real(1.0), real(0.9), real(0.999), real(1e-8)
    keep = real(1.0 - learning_rate * decay)
    rate = real(learning_rate / (1.0 - 0.9**step))
    root = real(1.0 / np.sqrt(1.0 - 0.999**step))
    for k in range(size):
        m[k] = m[k] + (one - b1) * (g[k] - m[k])
        v[k] = b2 * v[k] + (one - b2) * (g[k] * g[k])
        w[k] = keep * w[k] - rate * m[k] / (np.sqrt(v[k]) * root + epsilon)


@numba.njit(inline="always")
def _matrix(w, start, rows, columns):
    """A view of a group's next matrix in the flat weights or their gradients."""
    return w[start : start + rows * columns].reshape(rows, columns)


@numba.njit(inline="always")
def _look_up(gates, table, w, bias, batch_tokens, T, R, V, G):
    """Input part of layer 0: row v of the table is what token v contributes."""
    for token in range(V):
        for k in range(G):
            table[token, k] = w[token * G + k] + (bias[k] + bias[G + k])
    for t in range(T):
        for r in range(R):
            gates[t, r, :] = table[batch_tokens[r, t]]


@numba.njit(inline="always")
def _project(flat_gates, below, w_ih, bias, table, rows, G):
    """Input part of an upper layer: one product over all steps."""
    np.dot(below, w_ih, flat_gates)
    for k in range(G):
        table[0, k] = bias[k] + bias[G + k]
    for row in range(rows):
        for k in range(G):
            flat_gates[row, k] += table[0, k]


@numba.njit(inline="always")
def _read_out(logits, top, w_out, bias, rows, O):
    np.dot(top, w_out, logits)
    for row in range(rows):
        for k in range(O):
            logits[row, k] += bias[k]


@numba.njit(inline="always")
def _sum_rows(total, matrix, rows, columns):
    total[:] = matrix.dtype.type(0.0)
    for row in range(rows):
        for k in range(columns):
            total[k] += matrix[row, k]


@numba.njit(inline="always")
def _scatter(g_table, gates, batch_tokens, T, R, G):
    """Backward of `_look_up`: a token's gradient is the sum over where it stood."""
    g_table[:] = gates.dtype.type(0.0)
    for t in range(T):
        for r in range(R):
            token = batch_tokens[r, t]
            for k in range(G):
                g_table[token, k] += gates[t, r, k]


@numba.njit(inline="always")
def _run(gates, cells, tanh_cells, hidden_states, w_hh, recurrent_part, T, R, H):
    """Forward through time: gates are the input part before, the activated gates after."""
    for t in range(T):
        np.dot(hidden_states[t], w_hh, recurrent_part)
        _activate(gates[t], recurrent_part, R, H)
        _advance(gates[t], cells[t], cells[t + 1], tanh_cells[t], hidden_states[t + 1], R, H)


@numba.njit(inline="always")
def _run_back(gates, cells, tanh_cells, d_hidden, d_next, d_cell, w_hh, T, R, H):
    """Back through time: gates are their own pre-activation gradients after."""
    d_cell[:] = gates.dtype.type(0.0)
    d_next[:] = gates.dtype.type(0.0)
    for t in range(T - 1, -1, -1):
        _retreat(gates[t], cells[t], tanh_cells[t], d_hidden[t], d_next, d_cell, R, H)
        np.dot(gates[t], w_hh.T, d_next)


@functools.cache
def lstm_trainer(
    layers: int, hidden: int, tokens: int, outputs: int, rows: int, steps: int, double: bool
) -> Callable[..., float]:
    """Compile the trainer for one size.

    Args:
        layers: recurrent layers L.
        hidden: hidden units H.
        tokens: different input tokens V.
        outputs: output features O.
        rows: rows R of a batch.
        steps: time steps T of a sequence.
        double: float64 instead of float32, with libm's tanh: for checking.

    Returns:
        A compiled function, see `train` inside. It releases the GIL.
    """
    L, H, V, O, R, T = layers, hidden, tokens, outputs, rows, steps
    G, TR = 4 * H, T * R
    real = np.float64 if double else np.float32
    upper = V * G  # where each group of the kernel's weights begins
    recurrent = upper + (L - 1) * H * G
    biases = recurrent + L * H * G
    readout = biases + L * 2 * G
    readout_bias = readout + H * O
    size = readout_bias + O

    @numba.njit(nogil=True, cache=True, fastmath=_FASTMATH, error_model="numpy")
    def train(w, m, v, tokens, targets, rows, row_weights, learning_rates, decay, updates):
        """Make one update per batch of one model, in place; return the last loss.

        w, m, v (P,): weights and Adam's moments in kernel order. tokens, targets (E, T). rows, row_weights (S, R).
        updates: updates made before.
        """
        g = np.empty(size, dtype=real)
        gates = np.empty((L, T, R, G), dtype=real)
        hidden_states = np.zeros((L, T + 1, R, H), dtype=real)  # entry 0 is the initial state
        cells = np.zeros((L, T + 1, R, H), dtype=real)
        tanh_cells = np.empty((L, T, R, H), dtype=real)
        d_hidden, d_next, d_cell = np.empty((T, R, H), real), np.empty((R, H), real), np.empty((R, H), real)
        recurrent_part, logits = np.empty((R, G), dtype=real), np.empty((TR, O), dtype=real)
        table = np.empty((V, G), dtype=real)
        batch_tokens, batch_targets = np.empty((R, T), dtype=np.int64), np.empty((R, T), dtype=np.int64)
        w_out, g_out = _matrix(w, readout, H, O), _matrix(g, readout, H, O)
        loss = 0.0
        for s in range(rows.shape[0]):
            for r in range(R):
                batch_tokens[r, :] = tokens[rows[s, r]]
                batch_targets[r, :] = targets[rows[s, r]]

            for layer in range(L):
                bias = w[biases + layer * 2 * G : biases + (layer + 1) * 2 * G]
                w_hh = _matrix(w, recurrent + layer * H * G, H, G)
                if layer == 0:
                    _look_up(gates[0], table, w, bias, batch_tokens, T, R, V, G)
                else:
                    w_ih = _matrix(w, upper + (layer - 1) * H * G, H, G)
                    below = hidden_states[layer - 1, 1:].reshape(TR, H)
                    _project(gates[layer].reshape(TR, G), below, w_ih, bias, table, TR, G)
                _run(gates[layer], cells[layer], tanh_cells[layer], hidden_states[layer], w_hh, recurrent_part, T, R, H)

            top = hidden_states[L - 1, 1:].reshape(TR, H)
            _read_out(logits, top, w_out, w[readout_bias:], TR, O)
            loss = _cross_entropy(logits.reshape(T, R, O), batch_targets, row_weights[s], T, R, O)
            np.dot(top.T, logits, g_out)
            _sum_rows(g[readout_bias:], logits, TR, O)
            np.dot(logits, w_out.T, d_hidden.reshape(TR, H))

            for layer in range(L - 1, -1, -1):
                w_hh = _matrix(w, recurrent + layer * H * G, H, G)
                _run_back(gates[layer], cells[layer], tanh_cells[layer], d_hidden, d_next, d_cell, w_hh, T, R, H)
                d_gates = gates[layer].reshape(TR, G)  # by now the gradients of the pre-activations
                before = hidden_states[layer, :T].reshape(TR, H)
                np.dot(before.T, d_gates, _matrix(g, recurrent + layer * H * G, H, G))
                g_bias = g[biases + layer * 2 * G : biases + (layer + 1) * 2 * G]
                if layer > 0:
                    below = hidden_states[layer - 1, 1:].reshape(TR, H)
                    np.dot(below.T, d_gates, _matrix(g, upper + (layer - 1) * H * G, H, G))
                    np.dot(d_gates, _matrix(w, upper + (layer - 1) * H * G, H, G).T, d_hidden.reshape(TR, H))
                    _sum_rows(g_bias[:G], d_gates, TR, G)
                else:
                    g_table = _matrix(g, 0, V, G)
                    _scatter(g_table, gates[0], batch_tokens, T, R, G)
                    _sum_rows(g_bias[:G], g_table, V, G)
                g_bias[G:] = g_bias[:G]

            _adamw(w, m, v, g, learning_rates[s], decay, updates + s + 1, size)
        return loss

    return train
