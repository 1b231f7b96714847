"""Training one RNN in cache: forward, backward and AdamW for S steps, compiled for one architecture and size.

The kernel of the Numba backend, in a file of its own because Numba's on-disk cache detects changes of this file only.
Reasons for its speed:

- Sizes are compile-time constants (closure variables): loops unroll and vectorize.
- A model's weights, moments and activations stay in the cache for hundreds of steps: one thread per model.
- Products are our own (`product_kernels`), one time step at a time, while its numbers are in the first cache: they add
  to the input part of the gates and to the hidden gradients of the step before directly. Those of the weight gradients
  take a few steps at once, which reads and writes the gradients less often. Biases are where a product starts.
- Tokens are one-hot inputs of such a product: looking up rows of W_ih and adding to them took longer.
- exp, tanh and the sigmoid are polynomials (`rnn.kernels.functions`), which vectorize.

Cells differ in `_activate` and `_retreat` only. Weights and gradients are in PyTorch's order; the forward pass
multiplies with transposed copies, which are updated after each step.
"""

# pyright: basic, reportUnusedParameter=false, reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import functools
from collections.abc import Callable

import numba
import numpy as np

from rnn2vec.rnn.kernels.functions import FASTMATH, INLINED, fast_exp, fast_sigmoid, fast_tanh
from rnn2vec.rnn.kernels.products import INNER_BLOCK, SOURCE, add_product, vector_columns
from rnn2vec.rnn.spec import RNNSpec

_LSTM, _GRU, _TANH, _RELU = range(4)
_NUMBERS = {"lstm": _LSTM, "gru": _GRU, "rnn_tanh": _TANH, "rnn_relu": _RELU}

# -- cells -----------------------------------------------------------------------------------------

# The helpers are module functions inlined into the kernel, not closures: a closure over another compiled function
# has a new key in Numba's cache in every process.


@numba.njit(**INLINED)
def _activate(cell, gates, recurrent, state, new_state, extra, hidden, new_hidden, R, H):
    """Step forward from gates (R, G) before their nonlinearity, which replaces them.

    An LSTM's state is its cell vector, and extra the tanh of it. A GRU's recurrent part comes apart, and extra keeps
    that of its candidate. Tanh and ReLU RNNs have neither.
    """
    if cell == _LSTM:
        for r in range(R):
            for j in range(H):
                i, f = fast_sigmoid(gates[r, j]), fast_sigmoid(gates[r, H + j])
                g, o = fast_tanh(gates[r, 2 * H + j]), fast_sigmoid(gates[r, 3 * H + j])
                c = f * state[r, j] + i * g
                bounded = fast_tanh(c)
                gates[r, j], gates[r, H + j], gates[r, 2 * H + j], gates[r, 3 * H + j] = i, f, g, o
                new_state[r, j], extra[r, j], new_hidden[r, j] = c, bounded, o * bounded
    elif cell == _GRU:
        for r in range(R):
            for j in range(2 * H):
                gates[r, j] = fast_sigmoid(gates[r, j] + recurrent[r, j])
            for j in range(H):
                extra[r, j] = recurrent[r, 2 * H + j]
                gates[r, 2 * H + j] = fast_tanh(gates[r, 2 * H + j] + gates[r, j] * extra[r, j])
            for j in range(H):
                n = gates[r, 2 * H + j]
                new_hidden[r, j] = n + gates[r, H + j] * (hidden[r, j] - n)
    elif cell == _TANH:
        for r in range(R):
            for j in range(H):
                new_hidden[r, j] = fast_tanh(gates[r, j])
    else:
        zero = gates.dtype.type(0.0)
        for r in range(R):
            for j in range(H):
                new_hidden[r, j] = max(gates[r, j], zero)


@numba.njit(**INLINED)
def _retreat(cell, gates, d_gates, d_recurrent, state, extra, hidden, new_hidden, d_hidden, d_state, R, H):
    """Step back from d_hidden (R, H) to the gradients of the gates before their nonlinearity.

    d_state goes from step to step: the gradient of an LSTM's cell vector, or what a GRU hands to its hidden vector past
    the gates. d_recurrent, the gradient of the recurrent part, is d_gates itself except in a GRU.
    """
    one = gates.dtype.type(1.0)
    if cell == _LSTM:
        for r in range(R):
            for j in range(H):
                i, f, g, o = gates[r, j], gates[r, H + j], gates[r, 2 * H + j], gates[r, 3 * H + j]
                d = d_state[r, j] + d_hidden[r, j] * o * (one - extra[r, j] * extra[r, j])
                d_gates[r, j] = d * g * i * (one - i)
                d_gates[r, H + j] = d * state[r, j] * f * (one - f)
                d_gates[r, 2 * H + j] = d * i * (one - g * g)
                d_gates[r, 3 * H + j] = d_hidden[r, j] * extra[r, j] * o * (one - o)
                d_state[r, j] = d * f
    elif cell == _GRU:
        for r in range(R):
            for j in range(H):
                reset, z, n = gates[r, j], gates[r, H + j], gates[r, 2 * H + j]
                d = d_hidden[r, j] + d_state[r, j]
                d_n = d * (one - z) * (one - n * n)
                d_gates[r, j] = d_n * extra[r, j] * reset * (one - reset)
                d_gates[r, H + j] = d * (hidden[r, j] - n) * z * (one - z)
                d_gates[r, 2 * H + j] = d_n
                d_recurrent[r, j] = d_gates[r, j]
                d_recurrent[r, H + j] = d_gates[r, H + j]
                d_recurrent[r, 2 * H + j] = d_n * reset
                d_state[r, j] = d * z
    elif cell == _TANH:
        for r in range(R):
            for j in range(H):
                d_gates[r, j] = d_hidden[r, j] * (one - new_hidden[r, j] * new_hidden[r, j])
    else:
        zero = gates.dtype.type(0.0)
        for r in range(R):
            for j in range(H):
                d_gates[r, j] = d_hidden[r, j] if new_hidden[r, j] > zero else zero


# -- pieces of an update ---------------------------------------------------------------------------


@numba.njit(**INLINED)
def _matrix(w, start, rows, columns):
    """Return a view of a matrix in the flat weights or their gradients."""
    return w[start : start + rows * columns].reshape(rows, columns)


@numba.njit(**INLINED)
def _transpose(matrix, out, rows, columns):
    """`out[:columns, :rows]` becomes the transpose of a matrix (rows, columns)."""
    for row in range(rows):
        for column in range(columns):
            out[column, row] = matrix[row, column]


@numba.njit(**INLINED)
def _read_image(image, pixels, values, pixel, frame, r, T, I):
    """Row r of the inputs (T, R, I) from an image (K,) and its map; `RunFrames` says what pixels K and K + 1 are."""
    size = image.shape[0]
    for k in range(size):
        pixel[k] = values[image[k]]
    pixel[size] = values[0]
    for t in range(T):
        for i in range(I):
            frame[t, r, i] = pixel[pixels[t, i]]


@numba.njit(**INLINED)
def _read_tokens(tokens, frame, r, T, I):
    """Row r of the inputs (T, R, I) from tokens (T,): one-hot vectors."""
    one, zero = frame.dtype.type(1.0), frame.dtype.type(0.0)
    for t in range(T):
        for i in range(I):
            frame[t, r, i] = one if tokens[t] == i else zero


@numba.njit(**INLINED)
def _add_rows(matrix, total, rows, columns):
    for r in range(rows):
        for k in range(columns):
            total[k] += matrix[r, k]


@numba.njit(**INLINED)
def _cross_entropy(logits, targets, row_weights, needs_loss, T, R, O, padded):
    """Return the loss; replace logits (T, R, padded) by their gradients, 0 in the columns from O on."""
    real = logits.dtype.type
    for t in range(T):
        for r in range(R):
            highest = logits[t, r, 0]
            for k in range(1, O):
                highest = max(highest, logits[t, r, k])
            for k in range(O):
                logits[t, r, k] -= highest
    loss = 0.0
    if needs_loss:
        for t in range(T):
            for r in range(R):
                total = 0.0
                for k in range(O):
                    total += np.exp(logits[t, r, k])
                loss += row_weights[r] * (np.log(total) - logits[t, r, targets[r, t]])
    flat = logits.reshape(T * R * padded)
    for k in range(T * R * padded):
        flat[k] = fast_exp(flat[k])
    for t in range(T):
        for r in range(R):
            total = real(0.0)
            for k in range(O):
                total += logits[t, r, k]
            scale = row_weights[r] / real(T)
            for k in range(O):
                logits[t, r, k] *= scale / total
            for k in range(O, padded):
                logits[t, r, k] = real(0.0)
            logits[t, r, targets[r, t]] -= scale
    return loss / T


@numba.njit(**INLINED)
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


# -- the trainer -----------------------------------------------------------------------------------


@functools.cache
def trainer(spec: RNNSpec, rows: int, steps: int, *, frames: bool, double: bool) -> Callable[..., float]:
    """Compile the trainer for one architecture and size.

    Args:
        spec: the RNNs' architecture.
        rows: rows R of a batch.
        steps: time steps T of a sequence.
        frames: inputs are pixels of images instead of tokens.
        double: float64 instead of float32, with libm's functions: for checking.

    Returns:
        A compiled function, see `train` inside. It releases the GIL.
    """
    cell, gru = _NUMBERS[spec.cell], spec.cell == "gru"
    L, H, I, O, R, T = spec.num_layers, spec.hidden_size, spec.input_size, spec.output_size, rows, steps
    G, TR, padded = spec.num_gates * H, T * R, vector_columns(O)
    C = max(1, INNER_BLOCK // R)  # time steps whose weight gradients are one product
    real = np.float64 if double else np.float32
    zero = real(0.0)
    first, other = G * I + G * H + 2 * G, 2 * G * H + 2 * G  # parameters of layer 0, and of each other
    readout, size = first + (L - 1) * other, spec.num_parameters
    S = H if spec.cell in ("lstm", "gru") else 0  # the others keep no state of their own
    source = SOURCE

    @numba.njit(nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")
    def train(w, m, v, inputs, pixels, values, targets, rows, row_weights, learning_rates, decay, updates):
        """Make one update per batch of one model, in place; return the last loss.

        w, m, v (P,): weights and Adam's moments. inputs (E, T) tokens, or images (E, K) of which pixels[t, i] is input
        i of step t, its byte to be looked up in values (256,). targets (E, T), or (E, 1) if every step has the same.
        rows, row_weights (S, R). updates: updates made before.
        """
        _ = source
        g = np.empty(size, real)
        gates, hidden = np.empty((L, T, R, G), real), np.zeros((L, T + 1, R, H), real)  # hidden[:, 0] stays 0
        states, extra = np.zeros((L, T + 1, R, S), real), np.empty((L, T, R, S), real)
        d_gates, d_hidden, d_state = np.empty((C, R, G), real), np.empty((T, R, H), real), np.empty((R, H), real)
        recurrent, d_recurrent = np.empty((R, G), real), np.empty((C, R, G), real)
        w_in, w_ih, w_hh = np.empty((I, G), real), np.empty((H, G), real), np.empty((H, G), real)
        bias, out_bias, d_in = np.empty(G, real), np.zeros(padded, real), np.empty((I, G), real)
        nothing = np.broadcast_to(np.zeros(H, real), (TR, H))
        w_out, logits = np.zeros((H, padded), real), np.empty((TR, padded), real)
        target, frame = np.empty((R, T), np.int64), np.empty((T, R, I), real)
        pixel = np.zeros(inputs.shape[1] + 2, real)
        loss = 0.0
        for s in range(rows.shape[0]):
            for r in range(R):
                row = rows[s, r]
                if frames:
                    _read_image(inputs[row], pixels, values, pixel, frame, r, T, I)
                else:
                    _read_tokens(inputs[row], frame, r, T, I)
                for t in range(T):
                    target[r, t] = targets[row, 0 if frames else t]

            for layer in range(L):
                below = first + (layer - 1) * other if layer > 0 else 0  # where this layer's parameters begin
                at_hh = below + G * (H if layer > 0 else I)
                at_bias = at_hh + G * H
                _transpose(_matrix(w, at_hh, G, H), w_hh, G, H)
                for k in range(G):
                    bias[k] = w[at_bias + k] if gru else w[at_bias + k] + w[at_bias + G + k]
                if layer > 0:
                    _transpose(_matrix(w, below, G, H), w_ih, G, H)
                else:
                    _transpose(_matrix(w, below, G, I), w_in, G, I)
                biases = np.broadcast_to(bias, (R, G))
                other_biases = np.broadcast_to(w[at_bias + G : at_bias + 2 * G], (R, G))
                for t in range(T):
                    if layer > 0:
                        add_product(biases, hidden[layer - 1, t + 1], w_ih, gates[layer, t], R, H, G)
                    else:
                        add_product(biases, frame[t], w_in, gates[layer, t], R, I, G)
                    if gru:
                        add_product(other_biases, hidden[layer, t], w_hh, recurrent, R, H, G)
                    else:
                        add_product(gates[layer, t], hidden[layer, t], w_hh, gates[layer, t], R, H, G)
                    now, then = (states[layer, t], states[layer, t + 1])
                    _activate(
                        cell, gates[layer, t], recurrent, now, then, extra[layer, t], hidden[layer, t],
                        hidden[layer, t + 1], R, H,
                    )  # fmt: skip

            top = hidden[L - 1, 1:].reshape(TR, H)
            _transpose(_matrix(w, readout, O, H), w_out, O, H)
            out_bias[:O] = w[readout + O * H :]
            add_product(np.broadcast_to(out_bias, (TR, padded)), top, w_out, logits, TR, H, padded)
            is_last = s == rows.shape[0] - 1
            loss = _cross_entropy(logits.reshape(T, R, padded), target, row_weights[s], is_last, T, R, O, padded)

            g[:] = zero
            at_out = _matrix(g, readout, O, H)
            add_product(at_out, logits.T, top, at_out, O, TR, H)
            _add_rows(logits, g[readout + O * H :], TR, O)
            add_product(nothing, logits, _matrix(w, readout, O, H), d_hidden.reshape(TR, H), TR, O, H)
            for layer in range(L - 1, -1, -1):
                below = first + (layer - 1) * other if layer > 0 else 0
                at_hh = below + G * (H if layer > 0 else I)
                at_bias = at_hh + G * H
                d_state[:] = zero
                d_in[:] = zero
                for end in range(T, 0, -C):
                    begin = max(end - C, 0)
                    for t in range(end - 1, begin - 1, -1):
                        d_part = d_recurrent[t - begin] if gru else d_gates[t - begin]
                        _retreat(
                            cell, gates[layer, t], d_gates[t - begin], d_part, states[layer, t], extra[layer, t],
                            hidden[layer, t], hidden[layer, t + 1], d_hidden[t], d_state, R, H,
                        )  # fmt: skip
                        if t > 0:
                            before = d_hidden[t - 1]
                            add_product(before, d_part, _matrix(w, at_hh, G, H), before, R, G, H)
                    number = (end - begin) * R
                    d_input = d_gates.reshape(C * R, G)[:number]
                    d_part = (d_recurrent if gru else d_gates).reshape(C * R, G)[:number]
                    into_hh = _matrix(g, at_hh, G, H)
                    add_product(into_hh, d_part.T, hidden[layer, begin:end].reshape(number, H), into_hh, G, number, H)
                    _add_rows(d_input, g[at_bias : at_bias + G], number, G)
                    if gru:
                        _add_rows(d_part, g[at_bias + G : at_bias + 2 * G], number, G)
                    if layer > 0:
                        into_ih, under = (
                            _matrix(g, below, G, H),
                            hidden[layer - 1, begin + 1 : end + 1].reshape(number, H),
                        )
                        add_product(into_ih, d_input.T, under, into_ih, G, number, H)
                        for t in range(begin, end):
                            add_product(nothing, d_gates[t - begin], _matrix(w, below, G, H), d_hidden[t], R, G, H)
                    else:
                        add_product(d_in, frame[begin:end].reshape(number, I).T, d_input, d_in, I, number, G)
                if layer == 0:
                    _transpose(d_in, _matrix(g, below, G, I), I, G)
                if not gru:
                    for k in range(G):
                        g[at_bias + G + k] = g[at_bias + k]

            _adamw(w, m, v, g, learning_rates[s], decay, updates + s + 1, size)
        return loss

    return train
