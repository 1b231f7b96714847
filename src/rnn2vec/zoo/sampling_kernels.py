"""RNNs that generate tokens, sampled episode by episode, as one compiled kernel.

A trained RNN writes the same strings again and again, and whatever begins alike leaves it in the same state. So the
episodes are followed through the tree of what has been written: each step is computed once for every *node*, a distinct
beginning, and an episode only moves from node to node. An untrained RNN has as many nodes as episodes.

An RNN's answer to a beginning does not depend on the others that are computed beside it (`rnn.kernels.panels`), so that
this samples what a computation episode by episode would.
"""

# pyright: basic, reportCallIssue=false
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from rnn2vec.rnn.kernels.functions import INLINED, fast_exp
from rnn2vec.rnn.kernels.panels import SOURCE, WIDTH
from rnn2vec.rnn.kernels.sequences import aligned, record_sizes
from rnn2vec.rnn.kernels.steps import LSTM, OPTIONS, forward_step, pack_forward, packed_sizes, panels_of

_ROWS = 16  # nodes computed together
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


@numba.njit(**INLINED)
def _gather(states, node, first, row, size, out):
    """Copy the state of a node to a row of the states before a step: `size` numbers in each block of nodes."""
    at = (1 + first + node // _ROWS) * size + node % _ROWS * WIDTH
    for panel in range(size // (_ROWS * WIDTH)):
        begin = np.uint64(at + panel * _ROWS * WIDTH)
        to = np.uint64(panel * _ROWS * WIDTH + row * WIDTH)
        for lane in range(np.uint64(WIDTH)):
            out[to + lane] = states[begin + lane]


@numba.njit(**OPTIONS)
def _cumulate(outputs, row, count, out, at):
    """Write the cumulative probabilities of one node."""
    highest = outputs[row * WIDTH]
    for k in range(1, count):
        highest = max(highest, outputs[k // WIDTH * _ROWS * WIDTH + row * WIDTH + k % WIDTH])
    total = _ZERO
    for k in range(count):
        total += fast_exp(outputs[k // WIDTH * _ROWS * WIDTH + row * WIDTH + k % WIDTH] - highest)
        out[at + k] = total
    for k in range(count):
        out[at + k] /= total


@functools.cache
def compiled() -> Callable[..., Any]:
    """Compile the kernel, once for all architectures, or take it from Numba's cache on disk."""
    source = SOURCE

    @numba.njit(cache=True, **OPTIONS)
    def sample(sizes, flat, draws, tokens):
        """Let one RNN generate.

        Args:
            sizes: its architecture, see `steps.Sizes`.
            flat: its weights, (P,).
            draws: uniform random numbers, (T - 1, B).
            tokens: (B, T), of which the first step is given; gets the others.
        """
        _ = source
        cell, inputs, _, _, outputs, _ = sizes
        episodes, length = tokens.shape
        forward_size, bias_size, _ = packed_sizes(sizes)
        weights, biases = aligned(forward_size), aligned(bias_size)
        pack_forward(flat, sizes, weights, biases)
        gate_size, own, cell_size, extra_size, recurrent_size = record_sizes(sizes, _ROWS)
        blocks = (episodes + _ROWS - 1) // _ROWS
        hidden = aligned((1 + 2 * blocks) * own)  # the states before a step, and those of the nodes of two steps
        cells = aligned((1 + 2 * blocks) * own if cell == LSTM else 0)
        record = (aligned(gate_size), hidden, cells, aligned(extra_size), aligned(recurrent_size))
        read = aligned(panels_of(inputs) * _ROWS * WIDTH)
        made = aligned(panels_of(outputs) * _ROWS * WIDTH)
        cumulative = np.empty(episodes * outputs, np.float32)
        at_node = np.zeros(episodes, np.int64)
        parents, written = np.zeros(episodes, np.int64), np.empty(episodes, np.int64)
        child = np.full(episodes * outputs, -1, np.int64)
        nodes, first = 1, 0
        written[0] = tokens[0, 0]
        for step in range(length - 1):
            before, first = first, blocks - first
            for begin in range(0, nodes, _ROWS):
                count = min(_ROWS, nodes - begin)
                read[:] = _ZERO
                for row in range(count):
                    token = written[begin + row]
                    read[token // WIDTH * _ROWS * WIDTH + row * WIDTH + token % WIDTH] = _ONE
                    if step > 0:
                        _gather(hidden, parents[begin + row], before, row, own, hidden)
                        if cell == LSTM:
                            _gather(cells, parents[begin + row], before, row, own, cells)
                forward_step(
                    sizes, _ROWS, (weights, biases, 0, 0), read, (0, 0, 1 + first + begin // _ROWS, 0), record, made, 0
                )
                for row in range(count):
                    _cumulate(made, row, outputs, cumulative, (begin + row) * outputs)
            for k in range(nodes * outputs):
                child[k] = -1
            children = 0
            for episode in range(episodes):
                node = at_node[episode]
                drawn = 0
                for k in range(outputs - 1):
                    if draws[step, episode] > cumulative[node * outputs + k]:
                        drawn += 1
                tokens[episode, step + 1] = drawn
                place = node * outputs + drawn
                if child[place] < 0:
                    child[place] = children
                    parents[children], written[children] = node, drawn
                    children += 1
                at_node[episode] = child[place]
            nodes = children

    return sample
