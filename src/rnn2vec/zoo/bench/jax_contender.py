"""The contender in JAX, an optional library: all RNNs and several updates in one compiled function."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np
import torch

from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.backends.base import BETAS, EPSILON
from rnn2vec.zoo.bench.contenders import DECAY, RATE, Contender, initial_weights
from rnn2vec.zoo.bench.workload import BATCH_SIZE, Workload, as_arrays


class JaxVmap(Contender):
    """JAX: `vmap` over RNNs, `lax.scan` over time and over updates, AdamW written out, all compiled as one.

    Args:
        workload: what is trained.
    """

    UPDATES_PER_CALL = 10
    """Compiled into one call; more make no difference to the speed."""

    def __init__(self, workload: Workload) -> None:
        super().__init__("jax.vmap")
        import jax  # noqa: PLC0415

        self._number = len(workload.examples)
        spec = workload.spec
        self._inputs, self._targets = (np.stack(part) for part in zip(*_padded_arrays(workload), strict=True))
        self._counts = np.array([len(one) for one in workload.examples])
        stack = RNNStack.from_flat(spec, torch.from_numpy(initial_weights(spec, self._number)))
        weights = {name: weight.numpy() for name, weight in stack.weights.items()}
        zeros = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self._state = (weights, zeros, dict(zeros), np.float32(0))
        self._key = jax.random.key(0)
        self._train = jax.jit(functools.partial(_jax_updates, spec.num_layers, self.UPDATES_PER_CALL))

    def run(self, updates: int) -> int:
        """See `Contender.run`."""
        import jax  # noqa: PLC0415

        calls = max(updates // self.UPDATES_PER_CALL, 1)
        for _ in range(calls):
            self._key, key = jax.random.split(self._key)
            self._state = self._train(self._state, key, self._inputs, self._targets, self._counts)
        jax.block_until_ready(self._state)
        return calls * self.UPDATES_PER_CALL * self._number


def has_jax() -> bool:
    """Whether JAX is installed."""
    return importlib.util.find_spec("jax") is not None


def _padded_arrays(workload: Workload) -> list[tuple[np.ndarray, np.ndarray]]:
    """Everybody's examples, as many for each run; what pads them is never drawn."""

    def pad(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[:1], workload.most - len(array), axis=0)])

    pairs = (as_arrays(one, workload.spec.input_size) for one in workload.examples)
    return [(pad(inputs), pad(targets)) for inputs, targets in pairs]


def _jax_updates(layers: int, updates: int, state: Any, key: Any, inputs: Any, targets: Any, counts: Any) -> Any:
    """Some updates of all RNNs, as one compiled function. Names are PyTorch's."""
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    def cell(w: Any, layer: int, carry: Any, x: Any) -> Any:
        hidden, memory = carry
        gates = x + hidden @ w[f"rnn.weight_hh_l{layer}"].T
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(memory)
        return (hidden, memory), hidden

    def loss(w: Any, x: Any, y: Any) -> Any:
        x = jnp.swapaxes(x, 0, 1)
        for layer in range(layers):
            bias = w[f"rnn.bias_ih_l{layer}"] + w[f"rnn.bias_hh_l{layer}"]
            start = (jnp.zeros((x.shape[1], w["rnn.weight_hh_l0"].shape[1])),) * 2
            _, x = jax.lax.scan(functools.partial(cell, w, layer), start, x @ w[f"rnn.weight_ih_l{layer}"].T + bias)
        logits = jax.nn.log_softmax(x @ w["readout.weight"].T + w["readout.bias"])
        return -jnp.take_along_axis(logits, jnp.swapaxes(y, 0, 1)[..., None], axis=-1).mean()

    def one_run(w: Any, key: Any, x: Any, y: Any, count: Any) -> Any:
        rows = jax.random.randint(key, (BATCH_SIZE,), 0, count)
        return jax.grad(loss)(w, x[rows], y[rows])

    def update(state: Any, key: Any) -> Any:
        w, first, second, step = state
        step = step + 1
        g = jax.vmap(one_run)(w, jax.random.split(key, len(counts)), inputs, targets, counts)
        first = jax.tree.map(lambda m, d: BETAS[0] * m + (1 - BETAS[0]) * d, first, g)
        second = jax.tree.map(lambda v, d: BETAS[1] * v + (1 - BETAS[1]) * d * d, second, g)
        rate, root = RATE / (1 - BETAS[0] ** step), jnp.sqrt(1 - BETAS[1] ** step)
        w = jax.tree.map(
            lambda p, m, v: (1 - RATE * DECAY) * p - rate * m / (jnp.sqrt(v) / root + EPSILON), w, first, second
        )
        return (w, first, second, step), None

    return jax.lax.scan(update, state, jax.random.split(key, updates))[0]
